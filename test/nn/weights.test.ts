import { describe, expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import { constant, normal, type Parameter } from "../../host/graph/parameter";
import { compile } from "../../host/graph/program";
import { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import type { PlaceOptions } from "../../host/models/model";
import { LearnedPositions } from "../../host/nn/embedding";
import { Layer } from "../../host/nn/layer";
import { LayerNorm } from "../../host/nn/layernorm";
import { Linear } from "../../host/nn/linear";
import { Weights } from "../../host/nn/weights";
import { computeGradients } from "../../host/train/evaluate";
import { Trainer, type TrainerOptions } from "../../host/train/trainer";
import { randomArray } from "../random";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const shape = { vocabulary: 19, block: 12, layers: 2, heads: 2, width: 24, bias: true };
const place = (options: PlaceOptions = {}): GPT => new GPT(shape).place(runtime, { seed: 1, ...options });
const owned = (): string[] => runtime.memory.report().map(({ owner }) => owner).filter((owner) => owner !== "runtime");

const ids = (seed: number) => ({ shape: [3, 12], data: Int32Array.from(randomArray(36, seed, 0, 19), Math.floor) });
const batch = { tokens: ids(1), targets: ids(2) };
const options: TrainerOptions<LanguageInputs> = { steps: 3, schedule: { kind: "constant", peak: 0.01 }, optimizer: { kind: "adamw", decay: 0.1 } };
async function train(model: GPT): Promise<Trainer<LanguageInputs>> {
  const trainer = new Trainer(model, { batch: () => batch }, options);
  for await (const event of trainer.run()) if (event.type === "step") expect(event.applied).toBe(true);
  return trainer;
}

/** The matrices of linear layers, and the embedding: the weights that kernels can decode. */
const isMatrix = (name: string, { shape }: Parameter): boolean => shape.length === 2 && !name.startsWith("positions");
const format = "bf16";

function logits(model: GPT): Float32Array {
  const graph = new Graph(runtime);
  const tokens = graph.input([3, 12], "i32");
  const out = graph.keep(model.logits(model.forward(tokens)));
  const program = compile(graph);
  program.write(tokens, batch.tokens.data);
  program.run();
  const read = program.read(out);
  program.dispose();
  return read;
}

describe("Weights", () => {
  class Three extends Layer {
    readonly norm = new LayerNorm(3);
    readonly linear = new Linear(3, 5, { initializer: normal(1) });
    readonly table = new LearnedPositions(4, 3, constant(0.5));
  }

  it("are stored in two groups, with those that decay (only matrices) first", () => {
    const weights = new Weights(runtime, new Three().parameters());
    expect(weights.groups).toEqual([
      { offset: 0, length: 32, decays: true }, // [5, 3] and [4, 3], each rounded up to 64 bytes
      { offset: 128, length: 48, decays: false }, // [3], [3] and [5]
    ]);
    weights.dispose();
  });

  it("follow their initializers, and are the same for the same seed", () => {
    const draw = (seed: number): Map<string, number[]> => {
      const weights = new Weights(runtime, new Three().parameters());
      weights.initialize(seed);
      const arrays = new Map([...weights.read()].map(([name, { data }]) => [name, [...data]]));
      weights.dispose();
      return arrays;
    };
    const arrays = draw(1);
    expect(arrays.get("norm.weight")).toEqual([1, 1, 1]);
    expect(arrays.get("linear.bias")).toEqual([0, 0, 0, 0, 0]);
    expect(arrays.get("table.weight")).toEqual(new Array(12).fill(0.5));
    expect(new Set(arrays.get("linear.weight")).size).toBe(15);
    expect(draw(1)).toEqual(arrays);
    expect(() => draw(-1)).toThrow("seed: expected an integer in [0, 2^53), got -1");
    for (const seed of [2, 1 + 2 ** 32]) expect(draw(seed).get("linear.weight")).not.toEqual(arrays.get("linear.weight"));
  });
});

describe("weights placed in bf16", () => {
  it("are the seed's values, rounded, in half the memory", () => {
    const [whole, half] = [place(), place({ format })];
    const rounded = half.weights.read();
    for (const [name, { data }] of whole.weights.read()) {
      const parameter = half.weights.parameters.get(name)!;
      expect(parameter.format).toBe(isMatrix(name, parameter) ? "bf16" : "f32");
      if (parameter.format === "f32") expect(rounded.get(name)!.data).toEqual(data);
      else rounded.get(name)!.data.forEach((value, i) => expect(Math.abs(value - data[i]!)).toBeLessThanOrEqual(Math.abs(data[i]!) * 2 ** -8));
    }
    const matrices = [...half.weights.parameters].filter(([name, parameter]) => isMatrix(name, parameter)).reduce((sum, [, { size }]) => sum + size, 0);
    expect(whole.weights.block.bytes - half.weights.block.bytes).toBeGreaterThan(2 * matrices - 64 * half.weights.parameters.size);
    whole.dispose();
    half.dispose();
  });

  it("give the logits of a model with the same values in f32, bit for bit, and are written and read as f32", () => {
    const [whole, half] = [place({ seed: 2 }), place({ format })];
    whole.weights.write(half.weights.read());
    expect(logits(half)).toEqual(logits(whole));
    const other = place({ seed: 3 });
    half.weights.write(other.weights.read());
    whole.weights.write(half.weights.read());
    expect(logits(half)).toEqual(logits(whole));
    expect(logits(half)).not.toEqual(logits(other));
    for (const model of [whole, half, other]) model.dispose();
  });

  it("let gradients flow to the trained weights: those of the f32 model with the same values, bit for bit", () => {
    const half = place({ format });
    const trainable = (name: string, parameter: Parameter): boolean => !isMatrix(name, parameter);
    const whole = place({ trainable });
    whole.weights.write(half.weights.read());
    expect(computeGradients(half, batch)).toEqual(computeGradients(whole, batch));
    half.dispose();
    whole.dispose();
  });

  it.each<[string, PlaceOptions, string]>([
    ["that are to be trained", { format, trainable: () => true }, "embedding.weight: only f32 parameters can be trained, and this one is bf16"],
    ["in a format that is not a weight format", { format: () => "i32" as "f32" }, 'embedding.weight: expected one of the weight formats f32, bf16, panels, int8, int8row, int4, got "i32"'],
    ["in an unknown format", { format: "f16" as "f32" }, 'embedding.weight: expected one of the weight formats f32, bf16, panels, int8, int8row, int4, got "f16"'],
    ["in a format that their op cannot read", { format: () => "bf16" }, "positions.weight: only the weights of products and embeddings can be stored as bf16"],
  ])("%s are refused, and no memory is kept", (_, options, message) => {
    const before = owned();
    const model = new GPT(shape);
    expect(() => model.place(runtime, options)).toThrow(new TypeError(message));
    expect(owned()).toEqual(before);
    model.place(runtime).dispose(); // it can be placed with valid options
  });
});

describe.each(["int8", "int8row", "int4"] as const)("weights placed in %s", (format) => {
  it("are the same whether they are written at once or in pieces of any length", () => {
    const [once, pieces] = [place({ format, seed: 2 }), place({ format, seed: 3 })];
    const arrays = place({ seed: 4 }).weights.read();
    once.weights.write(arrays);
    for (const length of [1, 7, 24, 50, 1000]) {
      pieces.weights.block.u8(0, pieces.weights.block.bytes).fill(0);
      for (const [name, { data }] of arrays) {
        const write = pieces.weights.writer(name);
        for (let from = 0; from < data.length; from += length) write(data.slice(from, from + length), from);
      }
      expect(pieces.weights.read()).toEqual(once.weights.read());
      expect(logits(pieces)).toEqual(logits(once));
    }
  });

  it("are refused by name if they are not finite, at once or in pieces", () => {
    const model = place({ format });
    const arrays = model.weights.read();
    const [name] = [...arrays.keys()].filter((key) => model.weights.parameters.get(key)!.format === format).slice(1);
    const data = arrays.get(name!)!.data.slice();
    data[30] = NaN;
    const message = `${name}: ${format} stores finite numbers up to ${format === "int4" ? 458528 : 8319008}, got NaN in row 1, column 6`;
    expect(() => model.weights.write(new Map(arrays).set(name!, { shape: [], data }))).toThrow(new RangeError(message));
    const write = model.weights.writer(name!);
    write(data.slice(0, 5), 0);
    expect(() => write(data.slice(5), 5)).toThrow(new RangeError(message));
  });
});

describe("weights that are not trained", () => {
  const trainable = (name: string): boolean => name.startsWith("layers.1") || name === "norm.weight";

  it("have no gradients and no moments, and are stored after the others", () => {
    const model = place({ trainable });
    const { weights } = model;
    const trained = [...weights.parameters.keys()].filter(trainable);
    const trainer = new Trainer(model, { batch: () => batch }, options);
    expect([...computeGradients(model, batch).gradients.keys()]).toEqual(trained);
    const snapshot = [...trainer.snapshot().training.keys()];
    expect(snapshot.filter((name) => name.startsWith("m."))).toEqual(trained.map((name) => `m.${name}`));
    expect(snapshot.filter((name) => name.startsWith("weights.")).length).toBe(weights.parameters.size);
    const sizes = Object.fromEntries(runtime.memory.report().filter(({ owner }) => owner !== "runtime").map(({ name, bytes }) => [name, bytes]));
    for (const name of ["gradients", "optimizer state m", "optimizer state v"]) expect(sizes[name]).toBe(weights.trainableBytes);
    expect(weights.trainableBytes).toBeLessThan(weights.block.bytes / 2);
    for (const [name, { state, gradient }] of weights.parameters) {
      expect(state!.offset < weights.trainableBytes).toBe(trainable(name));
      expect(gradient === undefined).toBe(!trainable(name));
    }
    trainer.dispose();
    model.dispose();
  });

  it("stay unchanged in training, while the others get the same gradients as if all were trained, bit for bit", async () => {
    const [part, all] = [place({ trainable }), place()];
    const before = part.weights.read();
    const expected = computeGradients(all, batch).gradients;
    for (const [name, { data }] of computeGradients(part, batch).gradients) expect(data, name).toEqual(expected.get(name)!.data);
    const trainer = await train(part);
    for (const [name, { data }] of part.weights.read()) {
      if (trainable(name)) expect(data, name).not.toEqual(before.get(name)!.data);
      else expect(data, name).toEqual(before.get(name)!.data);
    }
    trainer.dispose();
    part.dispose();
    all.dispose();
  });

  it("need no backward pass below the lowest trained one", () => {
    const model = place({ trainable: (name) => name === "norm.weight" });
    const graph = new Graph(runtime, { training: true });
    const [tokens, targets] = [graph.input([3, 12], "i32"), graph.input([3, 12], "i32")];
    model.weights.gradientBlock();
    model.loss({ tokens, targets }).backward(graph.input([16]));
    const backward = compile(graph).describe().instructions.filter((line) => line.backward);
    expect([...new Set(backward.map(({ layer }) => layer))]).toEqual(["norm"]);
    model.dispose();
  });

  it("may be all of them; a trainer is then refused", () => {
    const before = owned();
    const model = place({ trainable: () => false });
    expect(() => new Trainer(model, { batch: () => batch }, options)).toThrow(new TypeError("Trainer: expected a model with trainable parameters, got none"));
    model.dispose();
    expect(owned()).toEqual(before);
  });
});
