import { describe, expect, it } from "vitest";
import type { Runtime } from "../../host/core/runtime";
import { GPT } from "../../host/models/gpt";
import type { Batch } from "../../host/batch";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { type Snapshot, Trainer, type TrainerOptions, type TrainingEvent } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { uniform } from "../random";

const config = { vocabulary: 11, block: 8, layers: 1, heads: 2, width: 16, dropout: 0.1 };
const options: TrainerOptions = {
  steps: 12, seed: 5, clip: 1, validateEvery: 4, validation: () => [batchAt(1000)],
  schedule: { kind: "cosine", peak: 1e-2, warmup: 3 }, optimizer: { kind: "adamw", decay: 0.1 },
};

/** Sequences that count upwards modulo the vocabulary: learnable. */
function batchAt(step: number, rows = 4): Batch {
  const next = uniform(step + 1);
  const starts = Array.from({ length: rows }, () => Math.floor(next() * 11));
  const ids = (shift: number): Int32Array => Int32Array.from({ length: rows * 8 }, (_, i) => (starts[i >> 3]! + (i % 8) + shift) % 11);
  return { tokens: { shape: [rows, 8], data: ids(0) }, targets: { shape: [rows, 8], data: ids(1) } };
}

const data = { batch: (step: number, microBatch: number): Batch => batchAt(step * 10 + microBatch) };

async function drain(trainer: Trainer, each: (event: TrainingEvent) => void = () => {}): Promise<TrainingEvent[]> {
  const events: TrainingEvent[] = [];
  for await (const event of trainer.run()) {
    events.push(event);
    each(event);
  }
  return events;
}

const place = async (seed = 3, runtime?: Runtime): Promise<GPT> => new GPT(config).place(runtime ?? (await createRuntime()), { seed });
const bytes = (snapshot: Snapshot): string => JSON.stringify([snapshot.state, ...[snapshot.best, snapshot.training].map((map) => [...map].map(([name, { data }]) => [name, [...data]]))]);

describe("Trainer", () => {
  it("learns to count: the loss falls below a tenth of ln V in 200 steps", async () => {
    const trainer = new Trainer(await place(), data, { ...options, steps: 200, validateEvery: 200 });
    const events = await drain(trainer);
    expect(events.at(-1)).toEqual({ type: "end", step: 200, reason: "steps" });
    expect(trainer.state.bestLoss).toBeLessThan(Math.log(11) / 10);
  });

  it("gives identical bits on repeated runs, dropout included", async () => {
    const runs = await Promise.all([0, 1].map(async () => {
      const trainer = new Trainer(await place(), data, options);
      await drain(trainer);
      return bytes(trainer.snapshot());
    }));
    expect(runs[0]).toBe(runs[1]);
  });

  it.each([1, 4, 6, 11])("goes on from a snapshot after step %i as if it had never stopped", async (stop) => {
    const whole = new Trainer(await place(), data, options);
    await drain(whole);

    const abort = new AbortController();
    const first = new Trainer(await place(), data, { ...options, signal: abort.signal });
    const events = await drain(first, (event) => event.type === "step" && event.step === stop && abort.abort());
    expect(events.at(-1)).toEqual({ type: "end", step: stop, reason: "aborted" });

    const second = new Trainer(await place(99), data, options);
    second.restore(first.snapshot());
    await drain(second);
    expect(bytes(second.snapshot())).toBe(bytes(whole.snapshot()));
  });

  it("two micro-batches give the gradient of one batch twice as large, to 1e-5", async () => {
    const merge = (a: Batch, b: Batch): Batch =>
      Object.fromEntries(Object.keys(a).map((name) => [name, { shape: [8, 8], data: Int32Array.from([...a[name]!.data, ...b[name]!.data]) }]));
    const plain = { ...config, dropout: 0 };
    const once = { steps: 1, schedule: { kind: "constant", peak: 0.1 }, optimizer: { kind: "sgd" } } as const;
    const split = new GPT(plain).place(await createRuntime(), { seed: 1 });
    const whole = new GPT(plain).place(await createRuntime(), { seed: 1 });
    await drain(new Trainer(split, data, { ...once, microBatches: 2 }));
    await drain(new Trainer(whole, { batch: (step) => merge(data.batch(step, 0), data.batch(step, 1)) }, once));
    for (const [name, { data }] of split.weights.read()) {
      const expected = whole.weights.read().get(name)!.data;
      data.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5));
    }
  });

  it("skips a step whose loss is not finite, counts it, and leaves weights and moments untouched", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, validation: undefined });
    const weight = model.embedding.weight.address;
    let before: Snapshot | undefined;
    const events = await drain(trainer, (event) => {
      if (event.type !== "step") return;
      if (event.step === 5) {
        before = trainer.snapshot();
        model.weights.runtime.memory.f32(weight, 1)[0] = NaN;
      }
      if (event.step === 6) {
        expect(event).toMatchObject({ applied: false });
        model.weights.runtime.memory.f32(weight, 1)[0] = before!.training.get("weights.embedding.weight")!.data[0]!;
        expect(bytes({ ...trainer.snapshot(), state: before!.state })).toBe(bytes(before!));
      }
    });
    expect(events.filter((event) => event.type === "step" && !event.applied)).toHaveLength(1);
    expect(trainer.state).toMatchObject({ step: 12, updates: 11, skipped: 1 });
  });

  it("stops early and restores the best weights", async () => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, steps: 400, validateEvery: 1, patience: 3, schedule: { kind: "constant", peak: 3 } });
    let best = "";
    const events = await drain(trainer, (event) => {
      if (event.type === "validation" && event.best) best = JSON.stringify([...model.weights.read()].map(([, { data }]) => [...data]));
    });
    expect(events.at(-1)).toMatchObject({ type: "end", reason: "patience" });
    expect(trainer.state.step).toBe(trainer.state.bestStep + 3);
    expect(JSON.stringify([...model.weights.read()].map(([, { data }]) => [...data]))).toBe(best);
  });

  it.each([{ kind: "sgd" }, { kind: "sgd", momentum: 0.9, decay: 0.01 }] as const)("trains with %j", async (optimizer) => {
    const trainer = new Trainer(await place(), data, { ...options, steps: 100, optimizer, schedule: { kind: "linear", peak: 0.2 } });
    const losses = (await drain(trainer)).flatMap((event) => (event.type === "step" ? [event.loss] : []));
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.9);
  });

  it("refuses a batch with ids outside the vocabulary before anything is changed", async () => {
    const model = await place();
    const bad = batchAt(0);
    bad.tokens!.data[5] = 11;
    const trainer = new Trainer(model, { batch: () => bad }, options);
    const before = bytes(trainer.snapshot());
    await expect(drain(trainer)).rejects.toThrow("GPT tokens: token ids must lie in [0, 11), got 11 at position 5");
    expect(bytes(trainer.snapshot())).toBe(before);
  });

  it("refuses options that make no sense", async () => {
    const model = await place();
    expect(() => new Trainer(model, data, { ...options, steps: 0 })).toThrow("Trainer: steps must be a positive integer, got 0");
    expect(() => new Trainer(model, data, { ...options, clip: -1 })).toThrow("Trainer: clip must not be negative, got -1");
  });
});

describe("models", () => {
  it("say how much memory they need when 4 GiB cannot hold them", async () => {
    const model = new Transformer({ ...transformerPresets.base, width: 8192, hidden: 32768, vocabulary: 32000 });
    const runtime = await createRuntime();
    expect(() => model.place(runtime)).toThrow(/the model's weights need \d+\.\d GiB; WebAssembly's 32-bit memory ends at 4\.00 GiB/);
  });

  it.each<[object, string]>([
    [{ encoderLayers: 0 }, "Transformer: encoderLayers must be an integer of at least 1, got 0"],
    [{ decoderLayers: 1.5 }, "Transformer: decoderLayers must be an integer of at least 1, got 1.5"],
    [{ vocabulary: undefined }, "Transformer: vocabulary must be an integer of at least 1, got undefined"],
    [{ norm: "none" }, 'Transformer: norm: expected "pre" or "post", got "none"'],
  ])("refuse %j", (bad, message) => {
    expect(() => new Transformer({ ...transformerPresets.tiny, vocabulary: 11, ...bad })).toThrow(message);
  });

  it("refuse a width that the heads do not divide", () => {
    expect(() => new Transformer({ ...transformerPresets.tiny, heads: 5, vocabulary: 11 })).toThrow(
      "attention: the width must be divisible by the number of heads, got width=64 heads=5",
    );
  });
});
