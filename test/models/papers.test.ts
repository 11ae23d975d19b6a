import { describe, expect, it } from "vitest";
import { Graph, type Instruction } from "../../host/graph/graph";
import { kernelOf, operandsOf } from "../../host/graph/operands";
import { activations } from "../../host/models/activations";
import { GPT, gptPresets } from "../../host/models/gpt";
import { Llama, llamaPresets } from "../../host/models/llama";
import type { Model } from "../../host/models/model";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { Cells } from "../../host/train/cells";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const count = (model: Model): number => [...model.parameters().values()].reduce((sum, { size }) => sum + size, 0);

/** Root mean square and maximum magnitude of a weight. */
function statistics(model: Model, name: string): { rms: number; largest: number } {
  const { data } = model.weights.read().get(name)!;
  return { rms: Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length), largest: data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0) };
}

/** The layers and kernels of a training program's forward pass, with the activation that each kernel computes. */
function recorded(model: Model, shapes: Record<string, number[]>): string[] {
  const graph = new Graph(runtime, { training: true });
  const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, graph.input(shape, "i32")]));
  const cells = new Cells(runtime, "test");
  const loss = model.loss(inputs);
  graph.within("loss", () => loss.backward(graph.use(cells.state)));
  cells.dispose();
  const activationOf = ({ op, operands }: Instruction): string => {
    const code = operands[operandsOf(op).findIndex(({ name }) => name === "activation")] ?? 0;
    const name = Object.entries(activations).find(([, value]) => value === code)?.[0];
    return name ? ` ${name}` : "";
  };
  return graph.instructions.filter(({ backward }) => !backward).map((line) => `${line.layer}: ${kernelOf(line.op)}${activationOf(line)}`);
}

describe("GPT, as described by Radford et al. 2019 and implemented in nanoGPT", () => {
  it("has 124,439,808 parameters in GPT-2's shape", () => {
    expect(count(new GPT({ ...gptPresets.gpt2, vocabulary: 50257 }))).toBe(124_439_808);
  });

  it("is initialised from N(0, 0.02²), residual projections with a deviation of 0.02/√(2·layers), and decays only matrices", () => {
    const model = new GPT({ vocabulary: 65, block: 64, layers: 8, heads: 2, width: 64, bias: true }).place(runtime, { seed: 1 });
    for (const name of ["embedding", "positions", "layers.0.attention.queryKeyValue", "layers.7.feedForward.up"]) {
      expect(statistics(model, `${name}.weight`).rms / 0.02).toBeCloseTo(1, 1);
    }
    for (const name of ["layers.0.attention.output", "layers.7.feedForward.down"]) expect(statistics(model, `${name}.weight`).rms / (0.02 / 4)).toBeCloseTo(1, 1);
    for (const [name, { decays }] of model.parameters()) expect([name, decays]).toEqual([name, !/bias$|norm\d?\.weight$/.test(name)]);
    model.dispose();
  });

  it("normalises before each sublayer, applies dropout to embeddings, attention weights and sublayer outputs, and uses the erf form of GELU", () => {
    const model = new GPT({ vocabulary: 65, block: 8, layers: 1, heads: 2, width: 8, dropout: 0.1 }).place(runtime);
    expect(recorded(model, { tokens: [1, 8], targets: [1, 8] })).toEqual([
      "embedding: embeddingForward", "positions: positionsForward", ": dropout",
      "layers.0.norm1: layerNormForward", "layers.0.attention.queryKeyValue: matmulNT", "layers.0.attention: attentionForward",
      "layers.0.attention.output: matmulNT", "layers.0: dropout",
      "layers.0.norm2: layerNormForward", "layers.0.feedForward.up: matmulNT", "layers.0.feedForward.up: activationForward gelu",
      "layers.0.feedForward.down: matmulNT", "layers.0: dropout",
      "norm: layerNormForward", "loss: matmulNT", "loss: crossEntropy", "loss: matmulNN", "loss: matmulTN", "loss: lossSum",
    ]);
    model.dispose();
  });

  it("with the preset gpt2 has GPT-2's biases, the tanh form of GELU, ε = 1e-5 and one matrix for embedding and output", () => {
    const model = new GPT({ ...gptPresets.gpt2, vocabulary: 9, block: 4, layers: 1, heads: 2, width: 8 }).place(runtime);
    const biased = ["norm1", "attention.queryKeyValue", "attention.output", "norm2", "feedForward.up", "feedForward.down"].map((part) => `layers.0.${part}`);
    expect([...model.parameters().keys()]).toEqual(["embedding.weight", "positions.weight", ...[...biased, "norm"].flatMap((part) => [`${part}.weight`, `${part}.bias`])]);
    const lines = recorded(model, { tokens: [1, 4], targets: [1, 4] });
    expect(lines).toContain("layers.0.feedForward.up: activationForward geluTanh");
    model.dispose();
  });

  it("has a separate output matrix initialised from N(0, 0.02²) if untied", () => {
    const model = new GPT({ vocabulary: 65, block: 8, layers: 1, heads: 2, width: 64, tied: false }).place(runtime, { seed: 1 });
    expect([...model.parameters().keys()].at(-1)).toBe("output.weight");
    expect(statistics(model, "output.weight").rms / 0.02).toBeCloseTo(1, 1);
    expect(model.weights.read().get("output.weight")!.data).not.toEqual(model.weights.read().get("embedding.weight")!.data);
    model.dispose();
  });
});

describe("Llama, as described by Touvron et al. 2023", () => {
  const config = { vocabulary: 65, block: 8, layers: 2, heads: 4, keyValueHeads: 2, width: 64, hidden: 96 };
  const shapes = (model: Model): [string, readonly number[]][] => [...model.parameters()].map(([name, { shape }]) => [name, shape]);

  it("has no biases, a gated feed-forward layer, and key and value rows for its key-value heads only", () => {
    const layer = (i: number): [string, number[]][] => [
      ["norm1.weight", [64]], ["attention.queryKeyValue.weight", [128, 64]], ["attention.output.weight", [64, 64]],
      ["norm2.weight", [64]], ["feedForward.gate.weight", [96, 64]], ["feedForward.up.weight", [96, 64]], ["feedForward.down.weight", [64, 96]],
    ].map(([name, shape]) => [`layers.${i}.${name}`, shape as number[]]);
    const tied: [string, number[]][] = [["embedding.weight", [65, 64]], ...layer(0), ...layer(1), ["norm.weight", [64]]];
    expect(shapes(new Llama(config))).toEqual([...tied, ["output.weight", [65, 64]]]);
    expect(shapes(new Llama({ ...config, tied: true }))).toEqual(tied);
  });

  it("accepts a head size other than width/heads", () => {
    const names = ["layers.0.attention.queryKeyValue.weight", "layers.0.attention.output.weight"];
    expect(names.map((name) => new Llama({ ...config, headSize: 6 }).parameters().get(name)!.shape)).toEqual([[48, 64], [64, 24]]);
  });

  it("has 134,515,008 parameters in SmolLM-135M's shape with 49,152 tokens", () => {
    expect(count(new Llama({ ...llamaPresets["llama-135m"], vocabulary: 49_152 }))).toBe(134_515_008);
  });

  it("is initialised from N(0, 0.02²), residual projections with a deviation of 0.02/√(2·layers), norms with 1", () => {
    const model = new Llama({ ...config, layers: 8 }).place(runtime, { seed: 1 });
    for (const name of ["embedding", "output", "layers.0.attention.queryKeyValue", "layers.7.feedForward.gate", "layers.7.feedForward.up"]) {
      expect(statistics(model, `${name}.weight`).rms / 0.02).toBeCloseTo(1, 1);
    }
    for (const name of ["layers.0.attention.output", "layers.7.feedForward.down"]) expect(statistics(model, `${name}.weight`).rms / (0.02 / 4)).toBeCloseTo(1, 1);
    for (const name of ["layers.0.norm1.weight", "norm.weight"]) expect(new Set(model.weights.read().get(name)!.data)).toEqual(new Set([1]));
    model.dispose();
  });

  it("applies RMSNorm before each sublayer, rotates queries and keys, and gates with SiLU", () => {
    const model = new Llama({ ...config, layers: 1, dropout: 0.1 }).place(runtime);
    expect(recorded(model, { tokens: [1, 8], targets: [1, 8] })).toEqual([
      "embedding: embeddingForward", ": dropout",
      "layers.0.norm1: rmsNormForward", "layers.0.attention.queryKeyValue: matmulNT", "rotary: rotary", "layers.0.attention: attentionForward",
      "layers.0.attention.output: matmulNT", "layers.0: dropout",
      "layers.0.norm2: rmsNormForward", "layers.0.feedForward.gate: matmulNT", "layers.0.feedForward: activationForward silu",
      "layers.0.feedForward.up: matmulNT", "layers.0.feedForward: multiply", "layers.0.feedForward.down: matmulNT", "layers.0: dropout",
      "norm: rmsNormForward", "loss: matmulNT", "loss: crossEntropy", "loss: matmulNN", "loss: matmulTN", "loss: lossSum",
    ]);
    model.dispose();
  });
});

describe("the Transformer of Vaswani et al. 2017", () => {
  it("has 63 million parameters in the base shape with the paper's 37,000 tokens (table 3: 65 million)", () => {
    expect(count(new Transformer({ ...transformerPresets.base, vocabulary: 37_000 }))).toBe(63_045_632);
  });

  it("initialises each projection with Glorot's uniform distribution for its shape, and embeddings from N(0, 1/width)", () => {
    const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 99 }).place(runtime, { seed: 1 });
    const bounds = { "encoder.layers.0.attention.queryKeyValue": [64, 64], "decoder.layers.0.crossAttention.keyValue": [64, 64], "encoder.layers.1.feedForward.up": [64, 128] };
    for (const [name, [inputs, outputs]] of Object.entries(bounds)) {
      const bound = Math.sqrt(6 / (inputs! + outputs!));
      const { rms, largest } = statistics(model, `${name}.weight`);
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThan(0.99 * bound);
      expect(rms / (bound / Math.sqrt(3))).toBeCloseTo(1, 1);
    }
    expect(statistics(model, "embedding.weight").rms * 8).toBeCloseTo(1, 1);
    model.dispose();
  });

  it("normalises after each residual connection, and applies dropout to embeddings plus positions and to sublayer outputs", () => {
    const config = { ...transformerPresets.base, vocabulary: 9, encoderLayers: 1, decoderLayers: 1, width: 16, hidden: 16, heads: 2 };
    const model = new Transformer(config).place(runtime);
    const lines = recorded(model, { source: [1, 4], sourceLengths: [1], target: [1, 3], targets: [1, 3] });
    const embedded = ["embedding: embeddingForward", "positions: positionsForward", ": dropout"];
    const of = (part: string): string[] => lines.filter((line) => line.startsWith(part)).map((line) => line.slice(part.length));
    expect(lines.slice(0, 3)).toEqual(embedded);
    expect(lines.filter((line) => line === ": dropout")).toHaveLength(2);
    expect(of("encoder.")).toEqual([
      "layers.0.attention.queryKeyValue: matmulNT", "layers.0.attention: attentionForward", "layers.0.attention.output: matmulNT", "layers.0: dropout",
      "layers.0.norm1: layerNormForward",
      "layers.0.feedForward.up: matmulNT relu", "layers.0.feedForward.down: matmulNT", "layers.0: dropout", "layers.0.norm2: layerNormForward",
    ]);
    expect(of("decoder.").filter((line) => /norm|dropout|attentionForward/.test(line))).toEqual([
      "layers.0.selfAttention: attentionForward", "layers.0: dropout", "layers.0.norm1: layerNormForward",
      "layers.0.crossAttention: attentionForward", "layers.0: dropout", "layers.0.norm2: layerNormForward",
      "layers.0: dropout", "layers.0.norm3: layerNormForward",
    ]);
    model.dispose();
  });
});
