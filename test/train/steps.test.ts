import { describe, expect, it } from "vitest";
import type { LanguageInputs } from "../../host/models/language";
import type { GPT } from "../../host/models/gpt";
import { evaluate } from "../../host/train/evaluate";
import { learningRate, type Schedule } from "../../host/train/schedule";
import { Trainer, type TrainerOptions } from "../../host/train/trainer";
import { countingBatch, drain, type LanguageBatch, place, randomBatch, weightsOf } from "./counting";

const options: TrainerOptions<LanguageInputs> = { steps: 6, seed: 5, schedule: { kind: "constant", peak: 0.05 }, optimizer: { kind: "sgd" } };
const losses = async (model: GPT, batch: () => LanguageBatch, more: Partial<TrainerOptions<LanguageInputs>>): Promise<number[]> =>
  (await drain(new Trainer(model, { batch }, { ...options, ...more }))).flatMap((event) => (event.type === "step" ? [event.loss] : []));

/** `batch` with only its first `count` targets. */
const first = (count: number, { tokens, targets }: LanguageBatch): LanguageBatch =>
  ({ tokens, targets: { ...targets, data: targets.data.map((id, i) => (i < count ? id : -1)) } });

describe("a step", () => {
  it.each<Schedule>([{ kind: "linear", peak: 0.1, warmup: 3 }, { kind: "cosine", peak: 0.1, final: 0.01 }, { kind: "noam", width: 16, warmup: 2 }])("has the learning rate of its own number, in the event and in the update: %j", async (schedule) => {
    const model = await place();
    let before = model.weights.read();
    await drain(new Trainer(model, { batch: (step) => randomBatch(step) }, { ...options, schedule }), (event) => {
      if (event.type !== "step") return;
      const rate = learningRate(schedule, event.step, options.steps);
      expect(event.learningRate).toBe(rate);
      let squares = 0; // of what SGD subtracted: the rate times the gradient
      for (const [name, { data }] of model.weights.read()) data.forEach((value, i) => (squares += (value - before.get(name)!.data[i]!) ** 2));
      expect(Math.abs(Math.sqrt(squares) - rate * event.gradientNorm)).toBeLessThan(1e-5);
      before = model.weights.read();
    });
  });

  it("that is skipped does not count in Adam's t: the next update is the first", async () => {
    const [model, other] = [await place(), await place()];
    const weight = model.embedding.weight.state!;
    const good = weight.read()[0]!;
    const skip = (step: number): LanguageBatch => {
      weight.write([step === 0 ? NaN : good]);
      return randomBatch(0);
    };
    const adam: TrainerOptions<LanguageInputs> = { ...options, optimizer: { kind: "adamw" } };
    const trainer = new Trainer(model, { batch: skip }, { ...adam, steps: 2 });
    await drain(trainer);
    expect(trainer.state).toMatchObject({ step: 2, updates: 1, skipped: 1 });
    await drain(new Trainer(other, { batch: () => randomBatch(0) }, { ...adam, steps: 1 }));
    expect(weightsOf(model)).toBe(weightsOf(other));
  });

  it("draws dropout of its own for each micro-batch, and other dropout than the step before", async () => {
    const still = { steps: 2, schedule: { kind: "constant", peak: 0 } } as const; // the weights do not change
    const model = await place({ dropout: 0.5 });
    const [one, next] = await losses(model, () => randomBatch(0), still);
    const [both] = await losses(model, () => randomBatch(0), { ...still, microBatches: 2 });
    expect(Math.abs(one! - both!)).toBeGreaterThan(1e-4);
    expect(Math.abs(one! - next!)).toBeGreaterThan(1e-4);
    expect(await losses(model, () => randomBatch(0), still)).toEqual([one, next]);
  });
});

describe("validation", () => {
  const still: TrainerOptions<LanguageInputs> = { ...options, schedule: { kind: "constant", peak: 0 }, validation: () => [randomBatch(9)] };
  const validations = async (more: Partial<TrainerOptions<LanguageInputs>>): Promise<[step: number, best: boolean][]> =>
    (await drain(new Trainer(await place(), { batch: (step) => randomBatch(step) }, { ...still, ...more })))
      .flatMap((event) => (event.type === "validation" ? [[event.step, event.best]] : []));

  it("runs every validateEvery steps, and after the last", async () => {
    expect((await validations({ steps: 5, validateEvery: 2 })).map(([step]) => step)).toEqual([2, 4, 5]);
    expect((await validations({ steps: 2, validateEvery: 3 })).map(([step]) => step)).toEqual([2]);
  });

  it("with the same loss as the best is not better, and uses up patience", async () => {
    expect(await validations({ patience: 2 })).toEqual([[1, true], [2, false], [3, false]]);
  });
});

describe("a run without validation that is resumed", () => {
  it("ends with its last weights", async () => {
    const [whole, start, model] = [await place(), await place(), await place({ seed: 4 })];
    const data = { batch: (step: number): LanguageBatch => randomBatch(step) };
    await drain(new Trainer(whole, data, options));
    const trainer = new Trainer(start, data, options);
    for await (const event of trainer.run()) if (event.step === 3) break;
    const resumed = new Trainer(model, data, options);
    resumed.restore(trainer.snapshot());
    await drain(resumed);
    expect(weightsOf(model)).toBe(weightsOf(whole));
  });
});

describe("evaluate", () => {
  it("averages over tokens, not over batches: batches of 1, 7 and 32 targets weigh as much as their targets", async () => {
    const model = await place();
    const batches = [first(1, countingBatch(1)), first(7, randomBatch(2)), randomBatch(3, 4)];
    const alone = await Promise.all(batches.map((batch) => evaluate(model, [batch])));
    expect(alone.map(({ tokens }) => tokens)).toEqual([1, 7, 32]);
    const { loss, tokens } = await evaluate(model, batches);
    expect(tokens).toBe(40);
    expect(loss).toBeCloseTo(alone.reduce((sum, { loss, tokens }) => sum + loss * tokens, 0) / 40, 10);
  });
});
