import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Batch } from "../../host/batch";
import { Graph } from "../../host/graph/graph";
import { rotary } from "../../host/graph/ops/rotary";
import { Table } from "../../host/graph/parameter";
import { compile } from "../../host/graph/program";
import type { AnyModel } from "../../host/io/model";
import { readSafetensors } from "../../host/io/safetensors";
import { families, type ModelType } from "../../host/models/families";
import type { Model } from "../../host/models/model";
import { Weights } from "../../host/nn/weights";
import { computeGradients } from "../../host/train/evaluate";
import { Trainer } from "../../host/train/trainer";
import { expectAllclose } from "../allclose";
import { createRuntime } from "../graph/runtime";
import { logitsOf } from "./logits";

// Expected values come from JAX in f64; see test/vectors/models/generate.py.
interface Vector {
  config: Record<string, unknown> & { labelSmoothing: number; ignoredTarget: number };
  versions: { jax: string };
  optimizer: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  loss: number;
  losses: number[];
}

const names = ["transformer-post", "transformer-pre", "gpt", "gpt-bias", "gpt2", "gpt-untied", "llama", "llama-untied"];
const read = (file: string): Uint8Array => readFileSync(new URL(`../vectors/models/${file}`, import.meta.url));
const parse = <T>(file: string): T => JSON.parse(new TextDecoder().decode(read(file))) as T;

/** The model of a vector, from those fields of its config that the family has. */
function make(name: string, { config }: Vector): AnyModel {
  const type = /^[a-z]+/.exec(name)![0] as ModelType;
  const { Model, fields } = families[type];
  const given = type === "transformer" ? { ...config, maxLength: 16, smoothing: config.labelSmoothing, padding: config.ignoredTarget } : config;
  return new Model(Object.fromEntries(Object.entries(given).filter(([field]) => Object.hasOwn(fields, field))) as never);
}

function load(name: string): { vector: Vector; tensors: ReturnType<typeof readSafetensors>["tensors"]; batch: Batch } {
  const vector = parse<Vector>(`${name}.json`);
  const { tensors } = readSafetensors(read(`${name}.safetensors`));
  const batch = Object.fromEntries(Object.keys(make(name, vector).inputs).map((input) => {
    const { shape, data } = tensors.get(`inputs.${input}`)!;
    return [input, { shape, data: data as Int32Array }];
  }));
  return { vector, tensors, batch };
}

describe.each(["simd", "relaxed"] as const)("on the %s build", (build) => {
  describe.each(names)("%s matches JAX", (name) => {
    const { vector, tensors, batch } = load(name);
    const place = async (): Promise<AnyModel & Model> => {
      const model = make(name, vector).place(await createRuntime(build)) as AnyModel & Model;
      const parameters = [...tensors].filter(([tensor]) => tensor.startsWith("parameters."));
      const named = new Map(parameters.map(([tensor, { data }]) => [tensor.slice("parameters.".length), { data: data as Float32Array }]));
      expect([...named.keys()].sort()).toEqual([...model.weights.parameters.keys()].sort());
      model.weights.write(named);
      return model;
    };

    it("in its logits, to 1e-4", async () => {
      expectAllclose(logitsOf(await place(), batch), tensors.get("logits")!.data as Float32Array, { rtol: 1e-4, atol: 1e-4 });
    });

    it("in the loss and every parameter's gradient, to 1e-4", async () => {
      const { loss, gradients } = computeGradients(await place(), batch);
      expectAllclose([loss], [vector.loss], { rtol: 1e-5 });
      expect(gradients.size).toBe([...tensors.keys()].filter((tensor) => tensor.startsWith("gradients.")).length);
      for (const [parameter, { data }] of gradients) {
        const expected = tensors.get(`gradients.${parameter}`)!.data as Float32Array;
        expectAllclose(data, expected, { rtol: 1e-4, atol: 1e-5 });
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

  it("rotary matches JAX to 1e-6, from position 0 and from a past", async () => {
    const { config, input, output } = parse<{ config: { headSize: number; rotaryBase: number }; input: number[][]; output: number[][] }>("rotary.json");
    const [T, D] = [input.length, config.headSize];
    const runtime = await createRuntime(build);
    const table = new Table([T, D], { kind: "rotary", base: config.rotaryBase });
    new Weights(runtime, new Map(), { tables: [table] }).initialize(0);
    for (let first = 0; first < T; first++) {
      const graph = new Graph(runtime);
      const x = graph.input([1, T - first, D]);
      const past = graph.input([1], "i32");
      const y = graph.keep(rotary(x, table, { heads: 1, headSize: D }, first > 0 ? past : null));
      const program = compile(graph);
      program.write(x, input.slice(first).flat());
      program.write(past, [first]);
      program.run();
      expectAllclose(program.read(y), output.slice(first).flat(), { rtol: 0, atol: 1e-6 });
    }
  });
});
