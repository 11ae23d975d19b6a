import { describe, expect, it } from "vitest";
import type { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import { type Snapshot, Trainer, type TrainerOptions } from "../../host/train/trainer";
import { countingBatch, drain, hashOf, type LanguageBatch, place as placePlain, weightsOf } from "./counting";

const options: TrainerOptions<LanguageInputs> = {
  steps: 12, seed: 5, clip: 1, validateEvery: 4, validation: () => [countingBatch(1000)],
  schedule: { kind: "cosine", peak: 1e-2, warmup: 3 }, optimizer: { kind: "adamw", decay: 0.1 },
};
const data = { batch: (step: number, microBatch: number): LanguageBatch => countingBatch(step * 10 + microBatch) };

const place = (seed = 3): Promise<GPT> => placePlain({ seed, dropout: 0.1 });
const bytes = ({ state, best, training }: Snapshot): string => JSON.stringify([state, hashOf(best), hashOf(training)]);

describe("Trainer", () => {
  it("learns to count: the loss falls below a tenth of ln V in 200 steps", async () => {
    const trainer = new Trainer(await place(), data, { ...options, steps: 200, validateEvery: 200 });
    const events = await drain(trainer);
    expect(events.at(-1)).toEqual({ type: "end", step: 200, reason: "steps" });
    expect(trainer.state.bestLoss).toBeLessThan(Math.log(11) / 10);
  });

  it("is bit-identical on repeated runs, including dropout", async () => {
    const runs = await Promise.all([0, 1].map(async () => {
      const trainer = new Trainer(await place(), data, options);
      await drain(trainer);
      return bytes(trainer.snapshot());
    }));
    expect(runs[0]).toBe(runs[1]);
  });

  it.each([1, 4, 6, 11])("resumes from a snapshot after step %i with the bits of an uninterrupted run", async (stop) => {
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

  it("gets the same gradient from two micro-batches as from one batch of twice the size, to 1e-5", async () => {
    const join = ({ data: a }: { data: Int32Array }, { data: b }: { data: Int32Array }) => ({ shape: [8, 8], data: Int32Array.from([...a, ...b]) });
    const merge = (a: LanguageBatch, b: LanguageBatch): LanguageBatch => ({ tokens: join(a.tokens, b.tokens), targets: join(a.targets, b.targets) });
    const once = { steps: 1, schedule: { kind: "constant", peak: 0.1 }, optimizer: { kind: "sgd" } } as const;
    const [split, whole] = [await placePlain({ seed: 1 }), await placePlain({ seed: 1 })];
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
    const weight = model.embedding.weight.state!;
    let before: Snapshot | undefined;
    const events = await drain(trainer, (event) => {
      if (event.type !== "step") return;
      if (event.step === 5) {
        before = trainer.snapshot();
        weight.write([NaN]);
      }
      if (event.step === 6) {
        expect(event).toMatchObject({ applied: false });
        weight.write([before!.training.get("weights.embedding.weight")!.data[0]!]);
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
      if (event.type === "validation" && event.best) best = weightsOf(model);
    });
    expect(events.at(-1)).toMatchObject({ type: "end", reason: "patience" });
    expect(trainer.state.step).toBe(trainer.state.bestStep + 3);
    expect(weightsOf(model)).toBe(best);
  });

  it.each([{ kind: "sgd" }, { kind: "sgd", momentum: 0.9, decay: 0.01 }] as const)("trains with %j", async (optimizer) => {
    const trainer = new Trainer(await place(), data, { ...options, steps: 100, optimizer, schedule: { kind: "linear", peak: 0.2 } });
    const losses = (await drain(trainer)).flatMap((event) => (event.type === "step" ? [event.loss] : []));
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.9);
  });

  it("refuses a batch with ids outside the vocabulary before changing anything", async () => {
    const model = await place();
    const bad = countingBatch(0);
    bad.tokens.data[5] = 11;
    const trainer = new Trainer(model, { batch: () => bad }, options);
    const before = bytes(trainer.snapshot());
    await expect(drain(trainer)).rejects.toThrow("GPT: tokens: ids must be in [0, 11), got 11 at position 5");
    expect(bytes(trainer.snapshot())).toBe(before);
  });
});
