import { describe, expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import { add, scale } from "../../host/graph/ops/elementwise";
import type { Tensor } from "../../host/graph/tensor";
import { GatedFeedForward } from "../../host/models/llama";
import { Model } from "../../host/models/model";
import { CrossAttention, SelfAttention } from "../../host/nn/attention";
import { type BlockConfig, Decoder, Encoder } from "../../host/nn/blocks";
import { Embedding, LearnedPositions } from "../../host/nn/embedding";
import { FeedForward } from "../../host/nn/feedforward";
import { Layer } from "../../host/nn/layer";
import { LayerNorm } from "../../host/nn/layernorm";
import { RMSNorm } from "../../host/nn/rmsnorm";
import { Linear } from "../../host/nn/linear";
import { RotaryPositions, SinusoidalPositions } from "../../host/nn/positions";
import { Weights } from "../../host/nn/weights";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const names = (layer: Layer): string[] => [...layer.parameters().keys()];
const config: BlockConfig = { width: 8, heads: 2, hidden: 12, norm: "pre" };

/** The shape of a layer's output for inputs of the given shapes. */
function shapeOf(layer: Layer, shapes: number[][], forward: (...inputs: Tensor[]) => Tensor): readonly number[] {
  const weights = new Weights(runtime, layer.parameters(), { tables: layer.tables() });
  const graph = new Graph(runtime);
  try {
    return forward(...shapes.map((shape) => graph.input(shape))).shape;
  } finally {
    weights.dispose();
  }
}

describe("shapes", () => {
  const linear = new Linear(8, 3);
  const embedding = new Embedding(11, 8);
  const positions = new LearnedPositions(5, 8);
  const sinusoids = new SinusoidalPositions(9, 8);
  const rotary = new RotaryPositions(9, 4);
  const norm = new LayerNorm(8);
  const rms = new RMSNorm(8);
  const self = new SelfAttention({ width: 8, heads: 2 });
  const cross = new CrossAttention({ width: 8, heads: 2 });
  const feedForward = new FeedForward({ width: 8, hidden: 12 });
  const gated = new GatedFeedForward(8, 12);
  const grouped = new SelfAttention({ width: 8, heads: 4, keyValueHeads: 2, headSize: 6 });
  const encoder = new Encoder(2, config);
  const decoder = new Decoder(2, config);
  const source = (memory?: Tensor): { memory: Tensor; lengths: null } => ({ memory: memory!, lengths: null });

  it.each<[string, () => readonly number[], number[]]>([
    ["Linear [2,5,8] → [2,5,3]", () => shapeOf(linear, [[2, 5, 8]], (x) => linear.forward(x)), [2, 5, 3]],
    ["Embedding [2,5] → [2,5,8]", () => shapeOf(embedding, [[1]], ({ graph }) => embedding.forward(graph.input([2, 5], "i32"))), [2, 5, 8]],
    ["LearnedPositions keep [2,5,8]", () => shapeOf(positions, [[2, 5, 8]], (x) => positions.forward(x)), [2, 5, 8]],
    ["SinusoidalPositions keep [2,9,8]", () => shapeOf(sinusoids, [[2, 9, 8]], (x) => sinusoids.forward(x)), [2, 9, 8]],
    ["RotaryPositions keep [2,9,12], of which they turn two heads", () => shapeOf(rotary, [[2, 9, 12]], (x) => rotary.forward(x, 2)), [2, 9, 12]],
    ["RMSNorm keeps [2,5,8]", () => shapeOf(rms, [[2, 5, 8]], (x) => rms.forward(x)), [2, 5, 8]],
    ["LayerNorm keeps [2,5,8]", () => shapeOf(norm, [[2, 5, 8]], (x) => norm.forward(x)), [2, 5, 8]],
    ["SelfAttention keeps [2,5,8]", () => shapeOf(self, [[2, 5, 8]], (x) => self.forward(x, { causal: true })), [2, 5, 8]],
    ["SelfAttention with heads of its own size keeps [2,5,8]", () => shapeOf(grouped, [[2, 5, 8]], (x) => grouped.forward(x)), [2, 5, 8]],
    ["CrossAttention keeps the queries' [2,5,8]", () => shapeOf(cross, [[2, 5, 8], [2, 7, 8]], (x, memory) => cross.forward(x, source(memory))), [2, 5, 8]],
    ["GatedFeedForward keeps [2,5,8]", () => shapeOf(gated, [[2, 5, 8]], (x) => gated.forward(x)), [2, 5, 8]],
    ["FeedForward keeps [2,5,8]", () => shapeOf(feedForward, [[2, 5, 8]], (x) => feedForward.forward(x)), [2, 5, 8]],
    ["Encoder keeps [2,5,8]", () => shapeOf(encoder, [[2, 5, 8]], (x) => encoder.forward(x)), [2, 5, 8]],
    ["Decoder keeps the target's [2,5,8]", () => shapeOf(decoder, [[2, 5, 8], [2, 7, 8]], (x, memory) => decoder.forward(x, source(memory))), [2, 5, 8]],
  ])("%s", (_, record, expected) => expect(record()).toEqual(expected));

  it("that do not match are named in the error", () => {
    expect(() => shapeOf(linear, [[2, 7]], (x) => linear.forward(x))).toThrow("linear: inner dimensions must match, got x=[2,7] weight=[3,8]");
    expect(() => shapeOf(norm, [[2, 7]], (x) => norm.forward(x))).toThrow("layerNorm: expected a weight of shape [7], got [8]");
    expect(() => shapeOf(embedding, [[2]], (x) => embedding.forward(x as never))).toThrow("embedding: expected i32 ids, got f32");
    expect(() => shapeOf(positions, [[1, 6, 8]], (x) => positions.forward(x))).toThrow("addPositions: x=[1,6,8] needs a table of at least [6,8], got [5,8]");
    expect(() => shapeOf(cross, [[2, 5, 8], [3, 7, 8]], (x, memory) => cross.forward(x, source(memory)))).toThrow(
      "crossAttention: expected keys and values of shape [2,Tk,16] for queries [2,5,8], got [3,7,16]",
    );
    expect(() => shapeOf(rms, [[2, 7]], (x) => rms.forward(x))).toThrow("rmsNorm: expected a weight of shape [7], got [8]");
  });
});

describe("a custom layer", () => {
  class Gate extends Layer {
    readonly up = new Linear(4, 4);
    forward({ x, gate }: { x: Tensor; gate: Tensor }, factor = 1): Tensor {
      return this.within(x, () => scale(add(this.up.forward(x), gate), factor));
    }
  }
  class Scaled extends Linear {
    override forward(x: Tensor): Tensor {
      return scale(super.forward(x), 2);
    }
  }
  class Own extends Model {
    readonly gate = new Gate();
    readonly scaled = new Scaled(4, 4);
    readonly inputs = {};
    loss(): never {
      throw new Error("not trained");
    }
  }

  it("may take any inputs, may call its parent's forward, and names what it records in `within`", () => {
    const model = new Own().place(runtime);
    const { program } = model.programs.get("own", (graph) => {
      const x = graph.input([2, 4]);
      return graph.keep(model.scaled.forward(model.gate.forward({ x, gate: x }, 3)));
    });
    expect(program.describe().instructions.map(({ name, layer }) => [name, layer])).toEqual([
      ["matmulNT", "gate.up"], ["add", "gate"], ["scale", "gate"], ["matmulNT", "scaled"], ["scale", ""],
    ]);
    model.dispose();
  });
});

describe("parameters()", () => {
  it("names each parameter by the path of fields that leads to it", () => {
    expect(names(new Encoder(1, config))).toEqual([
      "layers.0.norm1.weight", "layers.0.norm1.bias", "layers.0.attention.queryKeyValue.weight", "layers.0.attention.output.weight",
      "layers.0.norm2.weight", "layers.0.norm2.bias", "layers.0.feedForward.up.weight", "layers.0.feedForward.up.bias",
      "layers.0.feedForward.down.weight", "layers.0.feedForward.down.bias", "norm.weight", "norm.bias",
    ]);
  });

  it("leaves out absent biases, and the final norm of a post-norm stack", () => {
    expect(names(new Encoder(1, { ...config, bias: false, norm: "post" }))).toEqual([
      "layers.0.norm1.weight", "layers.0.attention.queryKeyValue.weight", "layers.0.attention.output.weight",
      "layers.0.norm2.weight", "layers.0.feedForward.up.weight", "layers.0.feedForward.down.weight",
    ]);
  });

  it("contains a shared layer once, under its first name", () => {
    class Twice extends Layer {
      readonly first = new Linear(2, 2);
      readonly second = [this.first, new Linear(2, 2, { bias: false })];
    }
    expect(names(new Twice())).toEqual(["first.weight", "first.bias", "second.1.weight"]);
  });

  it("terminates if a layer refers to its parent", () => {
    class Child extends Layer {
      readonly linear = new Linear(2, 2, { bias: false });
      constructor(readonly parent: Layer) {
        super();
      }
    }
    class Parent extends Layer {
      readonly child = new Child(this);
    }
    expect(names(new Parent())).toEqual(["child.linear.weight"]);
  });
});
