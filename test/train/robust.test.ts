import { describe, expect, it } from "vitest";
import type { LanguageInputs } from "../../host/models/language";
import { GPT } from "../../host/models/gpt";
import { HeedError } from "../../host/errors";
import { evaluate } from "../../host/train/evaluate";
import { Trainer, type TrainerOptions } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { config, drain, type LanguageBatch, place, randomBatch, weightsOf } from "./counting";

const options: TrainerOptions<LanguageInputs> = { steps: 6, schedule: { kind: "constant", peak: 0.05 }, optimizer: { kind: "sgd" } };
const data = { batch: (step: number): LanguageBatch => randomBatch(step) };

/** Makes the weights NaN during the validations whose numbers are in `broken`. */
function breaking(model: GPT, broken: number[]): () => Iterable<LanguageBatch> {
  let count = 0;
  return function* () {
    const state = model.norm.weight.state!;
    const before = state.read()[0]!;
    if (broken.includes(++count)) state.write([NaN]);
    yield randomBatch(1000);
    state.write([before]);
  };
}

describe("a validation loss of NaN", () => {
  it("is never the best, and counts towards patience", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, validation: breaking(model, [1, 3, 4]), patience: 2 });
    const events = await drain(trainer);
    const validations = events.flatMap((event) => (event.type === "validation" ? [event] : []));
    expect(validations.map(({ best, loss }) => [best, Number.isNaN(loss)])).toEqual([[false, true], [true, false], [false, true], [false, true]]);
    expect(events.at(-1)).toEqual({ type: "end", step: 4, reason: "patience" });
    expect(trainer.state).toMatchObject({ bestStep: 2, stale: 2 });
  });

  it("keeps the last weights if every validation loss is NaN", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, steps: 2, validation: breaking(model, [1, 2]) });
    let last = "";
    await drain(trainer, () => (last = weightsOf(model)));
    expect(trainer.state.bestLoss).toBeNull();
    expect(weightsOf(model)).toBe(last);
  });
});

describe("evaluate", () => {
  it("refuses to average over no tokens", async () => {
    await expect(evaluate(await place(), [])).rejects.toThrow(new HeedError("data", "evaluate: expected at least one target to predict, got none; are the batches empty?"));
  });

  it("gives the same results for two concurrent evaluations as for each alone", async () => {
    const model = await place();
    const sets = [[1, 2, 3], [4, 5, 6, 7]].map((seeds) => seeds.map((seed) => randomBatch(seed)));
    const alone = [await evaluate(model, sets[0]!), await evaluate(model, sets[1]!)];
    expect(await Promise.all(sets.map((set) => evaluate(model, set)))).toEqual(alone);
  });

  it("rejects with the reason of its signal", async () => {
    const abort = new AbortController();
    const batches = function* (): Iterable<LanguageBatch> {
      yield randomBatch(1);
      abort.abort(new Error("enough"));
      yield randomBatch(2);
    };
    await expect(evaluate(await place(), batches(), abort.signal)).rejects.toThrow("enough");
  });

  it("frees its memory, also after a failure", async () => {
    const model = await place();
    await evaluate(model, [randomBatch(0)]); // reserves the arena
    const before = model.weights.runtime.memory.report();
    await evaluate(model, [randomBatch(1), randomBatch(2)]);
    await expect(evaluate(model, [randomBatch(1), {} as LanguageBatch])).rejects.toThrow(TypeError);
    expect(model.weights.runtime.memory.report()).toEqual(before);
  });
});

describe("a trainer", () => {
  it("continues where an earlier loop over its events stopped", async () => {
    const [left, whole] = [await place(), await place()];
    const trainer = new Trainer(left, data, options);
    for await (const event of trainer.run()) if (event.step === 3) break;
    await drain(trainer);
    await drain(new Trainer(whole, data, options));
    expect(weightsOf(left)).toBe(weightsOf(whole));
  });

  it("puts the best weights in place even if the loop breaks at the end event", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, steps: 3, validation: breaking(model, [2, 3]) });
    let best = "";
    for await (const event of trainer.run()) {
      if (event.type === "validation" && event.best) best = weightsOf(model);
      if (event.type === "end") break;
    }
    expect(weightsOf(model)).toBe(best);
  });

  it("can share a model with another trainer, step by step, without mixing gradients", async () => {
    const [shared, alone] = [await place(), await place()];
    const pair = [0, 1].map((offset) => new Trainer(shared, { batch: (step) => randomBatch(2 * step + offset) }, options).run());
    for (let step = 0; step < options.steps; step++) for (const events of pair) await events.next();
    await drain(new Trainer(alone, data, { ...options, steps: 2 * options.steps }));
    expect(weightsOf(shared)).toBe(weightsOf(alone));
  });

  it("asks for a micro-batch only after the program of the one before has run", async () => {
    const model = await place();
    const { runtime } = model.weights;
    const happened: string[] = [];
    const run = runtime.run.bind(runtime);
    runtime.run = (address) => {
      happened.push("run");
      run(address);
    };
    const batch = (step: number, micro: number): LanguageBatch => {
      happened.push(`batch ${step}.${micro}`);
      return randomBatch(3 * step + micro);
    };
    await drain(new Trainer(model, { batch }, { ...options, steps: 2, microBatches: 3 }));
    const step = (i: number): string[] => [...[0, 1, 2].flatMap((micro) => [`batch ${i}.${micro}`, "run"]), "run"]; // the last is the update
    expect(happened).toEqual([...step(0), ...step(1)]);
  });

  it.each<[string, () => LanguageBatch]>([
    ["is refused", () => ({ ...randomBatch(1), tokens: { shape: [2, 8], data: new Int32Array(15) } })],
    ["is a promise", () => Promise.resolve(randomBatch(1)) as unknown as LanguageBatch],
    ["throws", () => {
      throw new TypeError("no more batches");
    }],
  ])("that continues after a micro-batch that %s ends with the same weights as one without it", async (_, bad) => {
    const [model, other] = [await place({ dropout: 0.1 }), await place({ dropout: 0.1 })];
    const many: TrainerOptions<LanguageInputs> = { ...options, microBatches: 3, optimizer: { kind: "adamw" } };
    const good = (step: number, micro: number): LanguageBatch => randomBatch(3 * step + micro);
    let failures = 0;
    const trainer = new Trainer(model, { batch: (step, micro) => (step === 2 && micro === 2 && failures++ < 2 ? bad() : good(step, micro)) }, many);
    for (let attempt = 0; attempt < 2; attempt++) await expect(drain(trainer)).rejects.toThrow();
    expect(trainer.state).toMatchObject({ step: 2, updates: 2 });
    await drain(trainer);
    await drain(new Trainer(other, { batch: good }, many));
    expect(weightsOf(model)).toBe(weightsOf(other));
  });

  it("leaves no gradients behind for the next trainer if a micro-batch is refused", async () => {
    const [model, other] = [await place(), await place()];
    const short = { ...randomBatch(1), tokens: { shape: [2, 8], data: new Int32Array(15) } };
    const bad = new Trainer(model, { batch: (_, micro) => (micro === 0 ? randomBatch(0) : short) }, { ...options, microBatches: 2 });
    await expect(drain(bad)).rejects.toThrow(new RangeError("GPT: tokens: expected 16 numbers for the shape [2,8], got 15"));
    await drain(new Trainer(model, data, options));
    await drain(new Trainer(other, data, options));
    expect(weightsOf(model)).toBe(weightsOf(other));
  });

  it("clips to the given norm, however small", async () => {
    const model = await place();
    const before = model.weights.read();
    const trainer = new Trainer(model, data, { ...options, steps: 1, clip: 1e-3, schedule: { kind: "constant", peak: 1 } });
    await drain(trainer);
    let squares = 0;
    for (const [name, { data }] of model.weights.read()) data.forEach((value, i) => (squares += (value - before.get(name)!.data[i]!) ** 2));
    expect(Math.sqrt(squares)).toBeCloseTo(1e-3, 5);
  });
});

describe("memory", () => {
  it("is freed completely by trainers and models, in either order of disposal", async () => {
    const runtime = await createRuntime();
    const used = new Set<number>();
    for (const order of [["trainer", "model"], ["model", "trainer", "trainer"]]) {
      const model = await place({ runtime });
      const trainer = new Trainer(model, data, { ...options, optimizer: { kind: "adamw" }, validation: () => [randomBatch(9)] });
      await drain(trainer);
      for (const item of order) ({ trainer, model })[item]!.dispose();
      used.add(runtime.memory.used);
      expect(runtime.memory.report().map(({ owner }) => owner)).toEqual(["runtime"]);
    }
    expect(used.size).toBe(1);
  });

  it("is freed if a model does not fit", async () => {
    const runtime = await createRuntime();
    const model = new GPT(config);
    const before = runtime.memory.used;
    const original = runtime.memory.allocate.bind(runtime.memory);
    let calls = 0;
    runtime.memory.allocate = (bytes, owner, name) => {
      if (++calls === 2) throw new HeedError("memory", "full");
      return original(bytes, owner, name);
    };
    expect(() => model.place(runtime)).toThrow("full");
    expect(runtime.memory.used).toBe(before);
    model.place(runtime);
  });

  it("of a layer belongs to one model", async () => {
    const model = await place();
    const other = new GPT(config);
    Object.assign(other, { norm: model.norm });
    expect(() => other.place(model.weights.runtime)).toThrow("norm.weight: the parameter is already placed as part of another model");
  });
});
