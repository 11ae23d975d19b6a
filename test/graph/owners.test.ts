import { beforeEach, describe, expect, it } from "vitest";
import type { BlockInfo } from "../../host/core/memory";
import type { Runtime } from "../../host/core/runtime";
import { Session } from "../../host/decode/session";
import { greedy } from "../../host/decode/greedy";
import { generate } from "../../host/decode/generate";
import { Graph } from "../../host/graph/graph";
import { layerNorm } from "../../host/graph/ops/layernorm";
import { linear } from "../../host/graph/ops/linear";
import { compile, type Program } from "../../host/graph/program";
import { State, type Tensor } from "../../host/graph/tensor";
import { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { Cells } from "../../host/train/cells";
import { computeGradients, evaluate } from "../../host/train/evaluate";
import { Trainer, type TrainerOptions } from "../../host/train/trainer";
import { createRuntime } from "./runtime";

let runtime: Runtime;
beforeEach(async () => void (runtime = await createRuntime()));

const shape = { vocabulary: 7, block: 8, layers: 1, heads: 2, width: 8 };
const create = (seed: number, on = runtime): GPT => new GPT(shape).place(on, { seed });
const tokens = { shape: [2, 4], data: Int32Array.of(1, 2, 3, 4, 5, 6, 0, 1) };
const batch = { tokens, targets: tokens };
const longer = { tokens: { shape: [1, 5], data: Int32Array.of(1, 2, 3, 4, 5) }, targets: { shape: [1, 5], data: Int32Array.of(2, 3, 4, 5, 6) } };
type Options = TrainerOptions<LanguageInputs>;
const options: Options = { steps: 9, schedule: { kind: "constant", peak: 0.1 }, optimizer: { kind: "adamw" } };
const train = (model: GPT, more: Partial<Options> = {}): Trainer<LanguageInputs> => new Trainer(model, { batch: () => batch }, { ...options, ...more });
const gone = /^(GPT|trainer): .*: this memory was freed; its owner was disposed$|^(Trainer|Session): the model has since been disposed and placed again|^the model has no memory yet/;

/** The bytes of all blocks except the arena. */
const contents = (blocks: readonly BlockInfo[]): string => blocks.map(({ address, bytes }) => runtime.memory.u8(address, bytes).join()).join("\n");

/** A program that computes a model's logits. */
function recordLogits(model: GPT, on = runtime): { program: Program; ids: Tensor<"i32">; logits: Tensor } {
  const graph = new Graph(on);
  const ids = graph.input([2, 4], "i32");
  const logits = graph.keep(model.logits(model.forward(ids)));
  return { program: compile(graph), ids, logits };
}

describe("another runtime's memory is rejected on recording:", () => {
  const foreign = (owner: string, name: string): TypeError => new TypeError(`${owner}: ${name} belongs to another runtime; use a model, trainer or session of the graph's own runtime`);

  it("parameters, in inference and in training; neither model changes", async () => {
    const other = await createRuntime();
    const [mine, theirs] = [create(1), create(2, other)];
    theirs.weights.gradientBlock();
    const before = [mine.weights.read(), theirs.weights.read(), theirs.weights.read(theirs.weights.gradientBlock())];
    const graph = new Graph(runtime, { training: true });
    const x = graph.input([1, 8], "f32", true);
    for (const record of [() => linear(x, theirs.embedding.weight), () => layerNorm(x, theirs.norm.weight), () => graph.gradient(theirs.norm.weight)]) expect(record).toThrow(foreign("GPT", "weights"));
    const ids = graph.input([2, 4], "i32");
    expect(() => theirs.loss({ tokens: ids, targets: ids })).toThrow(foreign("GPT", "weights"));
    expect(() => recordLogits(theirs)).toThrow(foreign("GPT", "weights"));
    expect([mine.weights.read(), theirs.weights.read(), theirs.weights.read(theirs.weights.gradientBlock())]).toEqual(before);
  });

  it("states and tables", async () => {
    const other = await createRuntime();
    const block = other.memory.allocate(16, "someone", "cells");
    expect(() => new Graph(runtime).use(new State(block, [4]))).toThrow(foreign("someone", "cells"));
    const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 7 }).place(other);
    expect(() => new Graph(runtime).use(model.positions.table)).toThrow(foreign("Transformer", "tables"));
  });

  it("a trainer's cells, in the loss of a model", async () => {
    const other = await createRuntime();
    const model = create(1);
    const graph = new Graph(runtime, { training: true });
    const ids = graph.input([2, 4], "i32");
    expect(() => model.loss({ tokens: ids, targets: ids }).backward(new Graph(other).use(new Cells(other, "trainer").state))).toThrow(TypeError);
  });
});

describe("after a model is disposed and another takes its place in memory,", () => {
  /** Disposes the model and places another one at the same address. */
  const replace = (model: GPT): { other: GPT; before: string } => {
    const { address } = model.weights.block;
    model.dispose();
    const other = create(99);
    expect(other.weights.block.address).toBe(address);
    other.weights.gradientBlock();
    return { other, before: contents(runtime.memory.report().filter(({ owner }) => owner === "GPT")) };
  };
  const expectSame = ({ other, before }: ReturnType<typeof replace>): void => {
    expect(contents(runtime.memory.report().filter(({ owner }) => owner === "GPT"))).toBe(before);
    other.dispose();
  };

  it("its programs throw, whether or not they were compiled or run before, and whether or not the model is placed again", () => {
    const model = create(1);
    const [fresh, used] = [recordLogits(model), recordLogits(model)];
    used.program.write(used.ids, tokens.data);
    used.program.run();
    const replaced = replace(model);
    for (const again of [false, true]) {
      if (again) model.place(runtime, { seed: 1 });
      for (const { program, ids, logits } of [fresh, used]) {
        for (const use of [() => program.run(), () => program.time(() => 0), () => program.write(ids, tokens.data), () => program.read(logits)]) {
          expect(use).toThrow(new TypeError("GPT: weights: this memory was freed; its owner was disposed"));
        }
      }
      if (again) model.dispose();
    }
    expectSame(replaced);
  });

  it("a graph that has used it can neither be run nor record more ops with it", () => {
    const model = create(1);
    const graph = new Graph(runtime);
    const x = graph.input([1, 8]);
    const y = linear(x, model.embedding.weight);
    const replaced = replace(model);
    expect(() => linear(x, model.embedding.weight)).toThrow("the model has no memory yet: call model.place(runtime) first");
    graph.keep(y);
    expect(() => compile(graph).write(x, new Float32Array(8))).toThrow(gone);
    expectSame(replaced);
  });

  it.each<[string, Partial<Options>]>([["adamw", {}], ["sgd", { optimizer: { kind: "sgd" } }]])(
    "its trainer (%s) throws on every use, even after the model is placed again, and changes nothing", async (_, more) => {
      const model = create(1);
      const trainer = train(model, { ...more, validation: () => [longer] });
      const events = trainer.run();
      expect((await events.next()).value).toMatchObject({ applied: true });
      const snapshot = trainer.snapshot();
      const replaced = replace(model);
      for (const again of [false, true]) {
        if (again) model.place(runtime, { seed: 3 });
        const before = contents(runtime.memory.report().filter(({ owner }) => owner === "GPT"));
        await expect(trainer.run().next()).rejects.toThrow(gone);
        expect(() => trainer.snapshot()).toThrow(gone);
        expect(() => trainer.restore(snapshot)).toThrow(gone);
        expect(contents(runtime.memory.report().filter(({ owner }) => owner === "GPT"))).toBe(before);
        if (again) model.dispose();
      }
      trainer.dispose();
      expectSame(replaced);
    },
  );

  it("its session throws on every use, even after the model is placed again", async () => {
    const model = create(1);
    const session = new Session(model, { rows: 2 });
    const [row] = await session.open([{ tokens: [1, 2, 3] }]);
    await session.step([row!]);
    const replaced = replace(model);
    for (const again of [false, true]) {
      if (again) model.place(runtime, { seed: 3 });
      await expect(session.step([row!])).rejects.toThrow(gone);
      await expect(session.open([{ tokens: [1, 2, 3] }])).rejects.toThrow(gone);
      await expect(session.append(row!, [1, 2])).rejects.toThrow(gone);
      expect(() => session.fork(row!)).toThrow(gone);
      if (again) model.dispose();
    }
    session.dispose();
    expectSame(replaced);
  });

  it("evaluation, gradients and decoding report that it has no memory", async () => {
    const model = create(1);
    const replaced = replace(model);
    const none = "the model has no memory yet: call model.place(runtime) first";
    await expect(evaluate(model, [batch])).rejects.toThrow(none);
    expect(() => computeGradients(model, batch)).toThrow(none);
    expect(() => model.weights).toThrow(none);
    expect(() => train(model)).toThrow(none);
    await expect(generate(model, [[1]], { maxTokens: 1 }).next()).rejects.toThrow(none);
    expectSame(replaced);
  });
});

describe("after a trainer is disposed", () => {
  it.each<[string, Partial<Options>]>([["adamw", {}], ["sgd", { optimizer: { kind: "sgd" } }]])("restore, snapshot and run throw (%s), and another model in its place stays as it was", async (_, more) => {
    const model = create(1);
    const trainer = train(model, more);
    await trainer.run().next();
    const snapshot = trainer.snapshot();
    trainer.dispose();
    const others = [create(2), create(3)];
    const before = contents(runtime.memory.report().filter(({ owner }) => owner === "GPT"));
    expect(() => trainer.restore(snapshot)).toThrow(gone);
    expect(() => trainer.snapshot()).toThrow(gone);
    await expect(trainer.run().next()).rejects.toThrow(gone);
    expect(contents(runtime.memory.report().filter(({ owner }) => owner === "GPT"))).toBe(before);
    others.forEach((other) => other.dispose());
  });
});

describe("runtime.memory.report()", () => {
  const owners = (): string[] => [...new Set(runtime.memory.report().map(({ owner }) => owner))];
  const named = (owner: string): [string, number][] => runtime.memory.report().filter((block) => block.owner === owner).map(({ name, bytes }) => [name, bytes]);

  it("lists a model's weights and gradients and a trainer's cells and moments, and none of them after dispose", async () => {
    const model = create(1);
    const trainer = train(model, { validation: () => [longer] });
    await trainer.run().next();
    const { bytes } = model.weights.block;
    expect(named("GPT")).toEqual([["weights", bytes], ["gradients", bytes]]);
    expect(named("trainer")).toEqual([["cells", 64], ["optimizer state m", bytes], ["optimizer state v", bytes]]);
    trainer.dispose();
    expect(owners().sort()).toEqual(["GPT", "runtime"]);
    computeGradients(model, batch);
    await evaluate(model, [batch, longer]);
    expect(owners().sort()).toEqual(["GPT", "runtime"]);
    model.dispose();
    expect(owners()).toEqual(["runtime"]);
    expect(runtime.memory.report().map(({ name }) => name)).toEqual(["the arena of intermediate results"]);
  });

  it.each([
    ["GPT", () => new GPT(shape)],
    ["Llama", () => new Llama({ ...shape, hidden: 12, keyValueHeads: 1 })],
    ["Transformer", () => new Transformer({ ...transformerPresets.tiny, vocabulary: 7 })],
  ])("lists the pages and cells of a session with a %s, and none of them after dispose", async (name, make) => {
    const model = make().place(runtime, { seed: 1 });
    const session = new Session<GPT | Llama | Transformer>(model, { rows: 2 });
    const [row] = await session.open([{ tokens: [1, 2, 3], ...(name === "Transformer" ? { source: [1, 2, 3] } : {}) }]);
    await session.step([row!]);
    expect(named("session").map(([block]) => block)).toContain("pages of keys and values");
    expect(named("session").map(([block]) => block)).toContain("cells of the slots");
    session.dispose();
    session.dispose();
    expect(owners().sort()).toEqual([name, "runtime"]);
    if (model instanceof Transformer) await greedy(model, [[1, 2], [3]], { start: 1, end: 2, maxTokens: 3 });
    else for await (const _ of generate(model, [[1, 2], [3]], { maxTokens: 3 })) continue;
    expect(owners().sort()).toEqual([name, "runtime"]);
    model.dispose();
    expect(owners()).toEqual(["runtime"]);
  });
});
