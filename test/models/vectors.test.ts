import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Cell } from "../../assembly/layouts";
import { linear } from "../../host/graph/ops/linear";
import type { Graph } from "../../host/graph/graph";
import { readSafetensors } from "../../host/io/safetensors";
import { GPT } from "../../host/models/gpt";
import type { Batch } from "../../host/batch";
import type { Model } from "../../host/models/model";
import { Transformer } from "../../host/models/transformer";
import { lossProgram, takeLoss, writeBatch } from "../../host/train/evaluate";
import { Trainer } from "../../host/train/trainer";
import { expectAllclose } from "../allclose";
import { createRuntime } from "../graph/runtime";

// Numbers from JAX in f64; test/vectors/models/generate.py made them.
interface Vector {
  config: Record<string, any>; // eslint-disable-line @typescript-eslint/no-explicit-any
  versions: { jax: string };
  optimizer: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  loss: number;
  losses: number[];
}

const INPUTS = { gpt: ["tokens", "targets"], transformer: ["source", "sourceLengths", "target", "targets"] };

function load(name: string): { vector: Vector; tensors: ReturnType<typeof readSafetensors>["tensors"]; batch: Batch } {
  const file = (extension: string): Uint8Array => readFileSync(new URL(`../vectors/models/${name}.${extension}`, import.meta.url));
  const vector = JSON.parse(new TextDecoder().decode(file("json"))) as Vector;
  const { tensors } = readSafetensors(file("safetensors"));
  const names = name.startsWith("gpt") ? INPUTS.gpt : INPUTS.transformer;
  const batch = Object.fromEntries(names.map((input) => {
    const { shape, data } = tensors.get(`inputs.${input}`)!;
    return [input, { shape, data: data as Int32Array }];
  }));
  return { vector, tensors, batch };
}

function make(name: string, vector: Vector): GPT | Transformer {
  const { config } = vector;
  if (name.startsWith("gpt")) return new GPT(config as never);
  const { width, heads, hidden, norm, vocabulary, encoderLayers, decoderLayers, labelSmoothing } = config;
  return new Transformer({ width, heads, hidden, norm, vocabulary, encoderLayers, decoderLayers, maxLength: 16, smoothing: labelSmoothing });
}

function logits(model: GPT | Transformer, batch: Batch): Float32Array {
  const { program, tensors } = model.program("logits", (graph: Graph) => {
    const inputs = Object.fromEntries(Object.entries(batch).map(([name, { shape }]) => [name, graph.input(shape, "i32")]));
    const states = model instanceof GPT
      ? model.forward(inputs.tokens!)
      : model.decode(inputs.target!, model.encode(inputs.source!, inputs.sourceLengths!), inputs.sourceLengths!);
    return { inputs, logits: graph.keep(linear(states, model.embedding.weight)) };
  });
  for (const [name, tensor] of Object.entries(tensors.inputs)) program.write(tensor, batch[name]!.data);
  program.run();
  return program.read(tensors.logits) as Float32Array;
}

/** The loss and the mean loss's gradient of every parameter. */
function gradients(model: Model, batch: Batch): { loss: number; arrays: Map<string, number[]> } {
  const { weights } = model;
  const block = weights.gradientBlock();
  const cells = weights.runtime.memory.allocate(Cell.Bytes);
  const compiled = lossProgram(model, batch, cells, true);
  writeBatch(compiled, batch);
  compiled.program.run();
  const { loss, tokens } = takeLoss(weights.runtime, cells);
  const arrays = new Map([...weights.read(block)].map(([name, { data }]) => [name, Array.from(data, (value) => value / tokens)]));
  return { loss, arrays };
}

describe.each(["simd", "relaxed"] as const)("on the %s build", (build) => {
  describe.each(["transformer-post", "transformer-pre", "gpt", "gpt-bias"])("%s matches JAX", (name) => {
    const { vector, tensors, batch } = load(name);
    const place = async (): Promise<GPT | Transformer> => {
      const model = make(name, vector).place(await createRuntime(build));
      const parameters = [...tensors].filter(([tensor]) => tensor.startsWith("parameters."));
      const named = new Map(parameters.map(([tensor, { data }]) => [tensor.slice("parameters.".length), { data: data as Float32Array }]));
      expect([...named.keys()].sort()).toEqual([...model.weights.parameters.keys()].sort());
      model.weights.write(named);
      return model;
    };

    it("in its logits, to 1e-4", async () => {
      expectAllclose(logits(await place(), batch), tensors.get("logits")!.data as Float32Array, { rtol: 1e-4, atol: 1e-4 });
    });

    it("in the loss and every parameter's gradient, to 1e-4", async () => {
      const model = await place();
      const { loss, arrays } = gradients(model, batch);
      expectAllclose([loss], [vector.loss], { rtol: 1e-5 });
      for (const [parameter, array] of arrays) {
        const expected = tensors.get(`gradients.${parameter}`)!.data as Float32Array;
        expectAllclose(array, expected, { rtol: 1e-4, atol: 1e-5 });
      }
    });

    it("in the first ten losses of AdamW, to 1e-4", async () => {
      const { learningRate, beta1, beta2, epsilon, weightDecay } = vector.optimizer;
      const trainer = new Trainer(await place(), { batch: () => batch }, {
        steps: 10,
        schedule: { kind: "constant", peak: learningRate },
        optimizer: { kind: "adamw", beta1, beta2, epsilon, decay: weightDecay },
      });
      const losses: number[] = [];
      for await (const event of trainer.run()) if (event.type === "step") losses.push(event.loss);
      expectAllclose(losses, vector.losses, { rtol: 1e-4, atol: 1e-4 });
    });
  });
});
