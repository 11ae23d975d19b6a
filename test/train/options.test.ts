import { describe, expect, it } from "vitest";
import type { LanguageInputs } from "../../host/models/language";
import { learningRate, type Schedule } from "../../host/train/schedule";
import { Trainer, type TrainerOptions, type TrainingData } from "../../host/train/trainer";
import { place, randomBatch } from "./counting";

const model = await place();
const data = { batch: (step: number) => randomBatch(step) };
const options: TrainerOptions<LanguageInputs> = { steps: 6, schedule: { kind: "constant", peak: 0.05 }, optimizer: { kind: "sgd" } };

/** The error that the constructor throws, if any. */
function refusal(changed: object): unknown {
  try {
    new Trainer(model, data, { ...options, ...changed } as TrainerOptions<LanguageInputs>).dispose();
  } catch (error) {
    return error;
  }
  return undefined;
}

const schedule = (fields: object): object => ({ schedule: { kind: "constant", peak: 1, ...fields } });
const optimizer = (fields: object): object => ({ optimizer: { kind: "adamw", ...fields } });
const kinds = '"constant" or "linear" or "cosine" or "noam"';

describe("new Trainer", () => {
  it.each<[object, ErrorConstructor, string]>([
    [{ steps: undefined }, TypeError, "Trainer: steps: expected an integer from 1 to 2147483647, got nothing"],
    [{ steps: 0 }, RangeError, "Trainer: steps: expected an integer from 1 to 2147483647, got 0"],
    [{ steps: 2 ** 31 }, RangeError, "Trainer: steps: expected an integer from 1 to 2147483647, got 2147483648"],
    [{ steps: "6" }, TypeError, 'Trainer: steps: expected an integer from 1 to 2147483647, got "6"'],
    [{ step: 6 }, TypeError, 'Trainer: unknown field "step"; did you mean "steps"?'],
    [{ microbatches: 2 }, TypeError, 'Trainer: unknown field "microbatches"; did you mean "microBatches"?'],
    [{ learningRate: 0.1 }, TypeError, 'Trainer: unknown field "learningRate"; the fields are steps, schedule, optimizer, seed, clip, microBatches, validation, validateEvery, patience, signal'],
    [{ microBatches: 0 }, RangeError, "Trainer: microBatches: expected an integer of at least 1, got 0"],
    [{ patience: 0 }, RangeError, "Trainer: patience: expected an integer of at least 1, got 0"],
    [{ patience: NaN }, RangeError, "Trainer: patience: expected an integer of at least 1, got NaN"],
    [{ validateEvery: 1.5 }, RangeError, "Trainer: validateEvery: expected an integer of at least 1, got 1.5"],
    [{ validation: [] }, TypeError, "Trainer: validation: expected a function, got []"],
    [{ clip: -1 }, RangeError, "Trainer: clip: expected 0, or a number that is above 0 as an f32, got -1"],
    [{ clip: 1e-60 }, RangeError, "Trainer: clip: expected 0, or a number that is above 0 as an f32, got 1e-60"],
    [{ clip: NaN }, RangeError, "Trainer: clip: expected 0, or a number that is above 0 as an f32, got NaN"],
    [{ seed: 1.5 }, RangeError, "Trainer: seed: expected an integer in [0, 2^53), got 1.5"],
    [{ seed: -1 }, RangeError, "Trainer: seed: expected an integer in [0, 2^53), got -1"],
    [{ seed: 2 ** 53 }, RangeError, "Trainer: seed: expected an integer in [0, 2^53), got 9007199254740992"],

    [{ schedule: undefined }, TypeError, "Trainer: schedule: expected an object, got nothing"],
    [{ schedule: 0.05 }, TypeError, "Trainer: schedule: expected an object, got 0.05"],
    [{ schedule: { kind: "step", peak: 1 } }, RangeError, `schedule: kind: expected ${kinds}, got "step"`],
    [{ schedule: { kind: "constructor", peak: 1 } }, RangeError, `schedule: kind: expected ${kinds}, got "constructor"`],
    [{ schedule: { peak: 1 } }, TypeError, `schedule: kind: expected ${kinds}, got nothing`],
    [{ schedule: { kind: "constant" } }, TypeError, "schedule: peak: expected a number of at least 0, got nothing"],
    [{ schedule: { kind: "constant", paek: 1 } }, TypeError, 'schedule: unknown field "paek"; did you mean "peak"?'],
    [schedule({ final: 0 }), TypeError, 'schedule: unknown field "final"; the fields are kind, peak, warmup'],
    [schedule({ peak: NaN }), RangeError, "schedule: peak: expected a number of at least 0, got NaN"],
    [schedule({ peak: Infinity }), RangeError, "schedule: peak: expected a number of at least 0, got Infinity"],
    [schedule({ peak: -1 }), RangeError, "schedule: peak: expected a number of at least 0, got -1"],
    [schedule({ peak: "1e-3" }), TypeError, 'schedule: peak: expected a number of at least 0, got "1e-3"'],
    [schedule({ peak: 1e39 }), RangeError, "schedule: expected learning rates that fit in an f32, got 1e+39 at step 1"],
    [schedule({ kind: "linear", warmup: 3, peak: 1e39 }), RangeError, "schedule: expected learning rates that fit in an f32, got 1e+39 at step 3"],
    [schedule({ kind: "cosine", final: 1e39 }), RangeError, "schedule: expected learning rates that fit in an f32, got 1e+39 at step 6"],
    [schedule({ kind: "cosine", final: NaN }), RangeError, "schedule: final: expected a number of at least 0, got NaN"],
    [schedule({ warmup: -5 }), RangeError, "schedule: warmup: expected a number of at least 0, got -5"],
    [{ schedule: { kind: "noam", width: 0, warmup: 10 } }, RangeError, "schedule: width: expected a number above 0, got 0"],
    [{ schedule: { kind: "noam", width: 64 } }, TypeError, "schedule: warmup: expected a number above 0, got nothing"],
    [{ schedule: { kind: "noam", width: 64, warmup: 10, peak: 1 } }, TypeError, 'schedule: unknown field "peak"; the fields are kind, width, warmup, factor'],
    [{ schedule: { kind: "noam", width: 1, warmup: 4, factor: 1e39 } }, RangeError, "schedule: expected learning rates that fit in an f32, got 5e+38 at step 4"],

    [{ optimizer: undefined }, TypeError, "Trainer: optimizer: expected an object, got nothing"],
    [{ optimizer: { kind: "adam" } }, RangeError, 'optimizer: kind: expected "adamw" or "sgd", got "adam"'],
    [{ optimizer: { kind: "adam", amsgrad: true } }, RangeError, 'optimizer: kind: expected "adamw" or "sgd", got "adam"'],
    [optimizer({ weightDecay: 0.1 }), TypeError, 'optimizer: unknown field "weightDecay"; the fields are kind, beta1, beta2, epsilon, decay'],
    [optimizer({ beta: 0.9 }), TypeError, 'optimizer: unknown field "beta"; did you mean "beta1"?'],
    [optimizer({ momentum: 0.9 }), TypeError, 'optimizer: unknown field "momentum"; the fields are kind, beta1, beta2, epsilon, decay'],
    [optimizer({ beta1: 1 }), RangeError, "optimizer: beta1: expected a number in [0, 1), got 1"],
    [optimizer({ beta2: 1 - 1e-9 }), RangeError, "optimizer: beta2: expected a number in [0, 1), got 0.999999999"],
    [optimizer({ beta1: NaN }), RangeError, "optimizer: beta1: expected a number in [0, 1), got NaN"],
    [optimizer({ epsilon: 0 }), RangeError, "optimizer: epsilon: expected a number above 0, got 0"],
    [optimizer({ epsilon: 1e-50 }), RangeError, "optimizer: epsilon: expected a number above 0, got 1e-50"],
    [optimizer({ decay: -1 }), RangeError, "optimizer: decay: expected a number of at least 0, got -1"],
    [{ optimizer: { kind: "sgd", momentum: NaN } }, RangeError, "optimizer: momentum: expected a number in [0, 1), got NaN"],
    [{ optimizer: { kind: "sgd", beta1: 0.9 } }, TypeError, 'optimizer: unknown field "beta1"; the fields are kind, momentum, decay'],
  ])("refuses %j", (changed, kind, message) => {
    const before = model.weights.runtime.memory.used;
    expect(refusal(changed)).toEqual(new kind(message));
    expect((refusal(changed) as Error).constructor).toBe(kind);
    expect(model.weights.runtime.memory.used).toBe(before);
  });

  it.each<object>([
    { clip: 0 }, { clip: 1e-45 }, { seed: 2 ** 53 - 1 }, { steps: 2 ** 31 - 1 }, { patience: undefined, validation: undefined },
    schedule({ peak: 3.4e38 }), schedule({ peak: 0 }), schedule({ warmup: 1e9 }), optimizer({ epsilon: 1e-45, decay: 0, beta1: 0 }),
  ])("accepts %j", (changed) => expect(refusal(changed)).toBeUndefined());

  it.each<[unknown, string]>([
    [undefined, "Trainer: expected an object with steps, schedule, optimizer, got nothing"],
    [null, "Trainer: expected an object with steps, schedule, optimizer, got null"],
    [6, "Trainer: expected an object with steps, schedule, optimizer, got 6"],
  ])("refuses %j as options", (given, message) => {
    expect(() => new Trainer(model, data, given as TrainerOptions<LanguageInputs>)).toThrow(new TypeError(message));
  });

  it.each<unknown>([undefined, [], {}, () => randomBatch(0)])("refuses %j as data", (given) => {
    const message = "Trainer: expected data with a function batch(step, microBatch)";
    expect(() => new Trainer(model, given as TrainingData<LanguageInputs>, options)).toThrow(new TypeError(message));
  });
});

describe("learningRate", () => {
  it.each(["step", undefined, "constructor"])("refuses the kind %s", (kind) => {
    const message = `learningRate: expected a schedule of kind constant, linear, cosine or noam, got ${JSON.stringify(kind)}`;
    expect(() => learningRate({ kind, peak: 1 } as unknown as Schedule, 1, 2)).toThrow(new TypeError(message));
  });
});
