import { describe, expect, it } from "vitest";
import type { Runtime } from "../../host/core/runtime";
import { HeedError } from "../../host/errors";
import { GPT } from "../../host/models/gpt";
import type { Batch } from "../../host/batch";
import { evaluate } from "../../host/train/evaluate";
import { Trainer, type TrainerOptions, type TrainingEvent } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { uniform } from "../random";

const config = { vocabulary: 11, block: 8, layers: 1, heads: 2, width: 16 };
const options: TrainerOptions = { steps: 6, schedule: { kind: "constant", peak: 0.05 }, optimizer: { kind: "sgd" } };

function batchAt(step: number, rows = 2): Batch {
  const next = uniform(step + 1);
  const ids = (): Int32Array => Int32Array.from({ length: rows * 8 }, () => Math.floor(next() * 11));
  return { tokens: { shape: [rows, 8], data: ids() }, targets: { shape: [rows, 8], data: ids() } };
}
const data = { batch: (step: number): Batch => batchAt(step) };

const place = async (runtime?: Runtime): Promise<GPT> => new GPT(config).place(runtime ?? (await createRuntime()), { seed: 3 });
const bits = (model: GPT): string => JSON.stringify([...model.weights.read()].map(([, { data }]) => [...data]));
async function drain(trainer: Trainer, each: (event: TrainingEvent) => void = () => {}): Promise<TrainingEvent[]> {
  const events: TrainingEvent[] = [];
  for await (const event of trainer.run()) {
    events.push(event);
    each(event);
  }
  return events;
}

/** Weights that are NaN while the validations numbered in `broken` are measured. */
function breaking(model: GPT, broken: number[]): () => Iterable<Batch> {
  let count = 0;
  return function* () {
    const cell = (): Float32Array => model.weights.runtime.memory.f32(model.norm.weight.address, 1);
    const before = cell()[0]!;
    if (broken.includes(++count)) cell()[0] = NaN;
    yield batchAt(1000);
    cell()[0] = before;
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

  it("leaves the last weights where no validation has another", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, steps: 2, validation: breaking(model, [1, 2]) });
    let last = "";
    await drain(trainer, () => (last = bits(model)));
    expect(trainer.state.bestLoss).toBeNull();
    expect(bits(model)).toBe(last);
  });
});

describe("evaluate", () => {
  it("refuses to average over no tokens", async () => {
    const model = await place();
    await expect(evaluate(model, [])).rejects.toThrow("evaluate: no target to predict; are the batches empty?");
  });

  it("gives two evaluations at once what each gives alone", async () => {
    const model = await place();
    const sets = [[1, 2, 3], [4, 5, 6, 7]].map((seeds) => seeds.map((seed) => batchAt(seed)));
    const alone = [await evaluate(model, sets[0]!), await evaluate(model, sets[1]!)];
    expect(await Promise.all(sets.map((set) => evaluate(model, set)))).toEqual(alone);
  });

  it("stops at its signal, with its reason", async () => {
    const model = await place();
    const abort = new AbortController();
    const batches = function* (): Iterable<Batch> {
      yield batchAt(1);
      abort.abort(new Error("enough"));
      yield batchAt(2);
    };
    await expect(evaluate(model, batches(), abort.signal)).rejects.toThrow("enough");
  });
});

describe("a trainer", () => {
  it("goes on where a loop over its events was left", async () => {
    const [left, whole] = [await place(), await place()];
    const trainer = new Trainer(left, data, options);
    for await (const event of trainer.run()) if (event.step === 3) break;
    await drain(trainer);
    await drain(new Trainer(whole, data, options));
    expect(bits(left)).toBe(bits(whole));
  });

  it("puts the best weights in place for a loop that is left at its end too", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, steps: 3, validation: breaking(model, [2, 3]) });
    let best = "";
    for await (const event of trainer.run()) {
      if (event.type === "validation" && event.best) best = bits(model);
      if (event.type === "end") break;
    }
    expect(bits(model)).toBe(best);
  });

  it("shares a model with another, step by step, without mixing gradients", async () => {
    const [shared, alone] = [await place(), await place()];
    const pair = [0, 1].map((offset) => new Trainer(shared, { batch: (step) => batchAt(2 * step + offset) }, options).run());
    for (let step = 0; step < options.steps; step++) for (const events of pair) await events.next();
    await drain(new Trainer(alone, data, { ...options, steps: 2 * options.steps }));
    expect(bits(shared)).toBe(bits(alone));
  });

  it("leaves no gradient behind when a micro-batch is refused", async () => {
    const [model, other] = [await place(), await place()];
    const short = { ...batchAt(1), tokens: { shape: [2, 8], data: new Int32Array(15) } };
    const bad = new Trainer(model, { batch: (_, micro) => (micro === 0 ? batchAt(0) : short) }, { ...options, microBatches: 2 });
    await expect(drain(bad)).rejects.toThrow("tokens: a batch of shape [2,8] holds 16 numbers, got 15");
    await drain(new Trainer(model, data, options));
    await drain(new Trainer(other, data, options));
    expect(bits(model)).toBe(bits(other));
  });

  it.each<[Partial<TrainerOptions>, string]>([
    [{ patience: 0 }, "Trainer: patience must be a positive integer, got 0"],
    [{ patience: NaN }, "Trainer: patience must be a positive integer, got NaN"],
    [{ validateEvery: 1.5 }, "Trainer: validateEvery must be a positive integer, got 1.5"],
    [{ steps: 2 ** 31 }, "Trainer: at most 2147483647 steps fit a program's cells, got 2147483648"],
    [{ schedule: { kind: "constant", peak: NaN } }, 'Trainer: the schedule gives no learning rate: {"kind":"constant","peak":"NaN"}'],
    [{ schedule: { kind: "constant", peak: Infinity } }, 'Trainer: the schedule gives no learning rate: {"kind":"constant","peak":"Infinity"}'],
    [{ schedule: { kind: "cosine", peak: 1, final: NaN } }, 'Trainer: the schedule gives no learning rate: {"kind":"cosine","peak":1,"final":"NaN"}'],
    [{ schedule: { kind: "constant", peak: 1, warmup: -5 } }, 'Trainer: the schedule gives no learning rate: {"kind":"constant","peak":1,"warmup":-5}'],
    [{ schedule: { kind: "noam", width: 0, warmup: 10 } }, 'Trainer: the schedule gives no learning rate: {"kind":"noam","width":0,"warmup":10}'],
    [{ schedule: { kind: "step", peak: 1 } as unknown as TrainerOptions["schedule"] }, 'learningRate: expected a schedule of kind constant, linear, cosine or noam, got "step"'],
    [{ optimizer: { kind: "adam" } as unknown as TrainerOptions["optimizer"] }, 'optimizer: expected the kind adamw or sgd, got "adam"'],
    [{ optimizer: { kind: "adamw", beta1: 1 } }, "optimizer: beta1: expected a number in [0, 1), got 1"],
    [{ optimizer: { kind: "adamw", beta2: 1 - 1e-9 } }, "optimizer: beta2: expected a number in [0, 1), got 0.999999999"],
    [{ optimizer: { kind: "adamw", beta1: NaN } }, "optimizer: beta1: expected a number in [0, 1), got NaN"],
    [{ optimizer: { kind: "adamw", epsilon: 0 } }, "optimizer: epsilon: expected a number above 0, got 0"],
    [{ optimizer: { kind: "adamw", epsilon: 1e-50 } }, "optimizer: epsilon: expected a number above 0, got 1e-50"],
    [{ optimizer: { kind: "adamw", decay: -1 } }, "optimizer: decay: expected a number of at least 0, got -1"],
    [{ optimizer: { kind: "sgd", momentum: NaN } }, "optimizer: momentum: expected a number in [0, 1), got NaN"],
    [{ seed: 1.5 }, "seed: expected an integer in [0, 2^53), got 1.5"],
    [{ seed: -1 }, "seed: expected an integer in [0, 2^53), got -1"],
  ])("refuses %j", async (bad, message) => {
    const model = await place();
    expect(() => new Trainer(model, data, { ...options, ...bad })).toThrow(message);
  });
});

describe("memory", () => {
  it("comes back whole from trainers and models, in either order of disposal", async () => {
    const runtime = await createRuntime();
    const used = new Set<number>();
    for (const order of [["trainer", "model"], ["model", "trainer", "trainer"]]) {
      const model = await place(runtime);
      const trainer = new Trainer(model, data, { ...options, optimizer: { kind: "adamw" }, validation: () => [batchAt(9)] });
      await drain(trainer);
      for (const item of order) ({ trainer, model })[item]!.dispose();
      used.add(runtime.memory.used);
    }
    expect(used.size).toBe(1);
  });

  it("comes back from a model that did not fit", async () => {
    const runtime = await createRuntime();
    const model = new GPT(config);
    const before = runtime.memory.used;
    const original = runtime.memory.allocate.bind(runtime.memory);
    let calls = 0;
    runtime.memory.allocate = (bytes, purpose) => {
      if (++calls === 2) throw new HeedError("memory", "full");
      return original(bytes, purpose);
    };
    expect(() => model.place(runtime)).toThrow("full");
    expect(runtime.memory.used).toBe(before);
    model.place(runtime);
  });

  it("of a layer belongs to one model", async () => {
    const model = await place();
    const other = new GPT(config);
    Object.assign(other, { norm: model.norm });
    expect(() => other.place(model.weights.runtime)).toThrow("norm.weight: the parameter has its place in another model");
  });
});

describe("token ids", () => {
  it.each([1.5, NaN, -1, 11, Infinity])("of %s are refused", async (id) => {
    const model = await place();
    const batch = { ...batchAt(0), tokens: { shape: [2, 8], data: Array.from({ length: 16 }, () => id) as unknown as Int32Array } };
    await expect(evaluate(model, [batch])).rejects.toThrow(`GPT tokens: token ids must lie in [0, 11), got ${id} at position 0`);
  });

  it("must be rows of tokens", async () => {
    const model = await place();
    const flat = { tokens: { shape: [8], data: new Int32Array(8) }, targets: { shape: [8], data: new Int32Array(8) } };
    await expect(evaluate(model, [flat])).rejects.toThrow("GPT: expected tokens of shape [B,T], got [8]");
  });
});
