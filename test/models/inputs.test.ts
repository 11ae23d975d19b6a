import { describe, expect, it } from "vitest";
import type { Batch } from "../../host/batch";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import type { Model } from "../../host/models/model";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { computeGradients, evaluate } from "../../host/train/evaluate";
import { Trainer } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { Digits, digitsBatch } from "./digits";

const i32 = (shape: number[], data: ArrayLike<number> = new Int32Array(shape.reduce((a, b) => a * b, 1))) => ({ shape, data: Int32Array.from(data) });
const language = { tokens: i32([2, 4]), targets: i32([2, 4]) };
const models: Record<string, { model: Model; batch: Batch }> = {
  GPT: { model: new GPT({ vocabulary: 11, block: 8, layers: 1, heads: 2, width: 8 }), batch: language },
  Llama: { model: new Llama({ vocabulary: 11, block: 8, layers: 1, heads: 2, width: 8, hidden: 8 }), batch: language },
  Transformer: {
    model: new Transformer({ ...transformerPresets.tiny, maxLength: 8, vocabulary: 11 }),
    batch: { source: i32([2, 3]), sourceLengths: i32([2], [1, 3]), target: i32([2, 4]), targets: i32([2, 4]) },
  },
  Digits: { model: new Digits(), batch: digitsBatch(1, 2) },
};

type Change = (batch: Batch) => unknown;
const replace = (name: string, array: unknown): Change => (batch) => ({ ...batch, [name]: array });
const without = (name: string): Change => (batch) => Object.fromEntries(Object.entries(batch).filter(([key]) => key !== name));
/** Replaces one value of an array. */
const put = (name: string, place: number, value: number): Change => (batch) => {
  const { shape, data } = batch[name]!;
  const copy = data.slice();
  copy[place] = value;
  return { ...batch, [name]: { shape, data: copy } };
};

const [languageArrays, pairArrays, digitArrays] = ["tokens, targets", "source, sourceLengths, target, targets", "pixels, digits, parity"];
const both = (kind: ErrorConstructor, title: string, change: Change, message: string): [string, string, Change, ErrorConstructor, string][] =>
  ["GPT", "Llama"].map((name) => [name, title, change, kind, `${name}: ${message}`]);

const flaws: [string, string, Change, ErrorConstructor, string][] = [
  ...both(TypeError, "no batch", () => undefined, `expected a batch with the arrays ${languageArrays}, got undefined`),
  ...both(TypeError, "null", () => null, `expected a batch with the arrays ${languageArrays}, got null`),
  ...both(TypeError, "a promise", (batch) => Promise.resolve(batch), `expected a batch with the arrays ${languageArrays}, got a promise: make batches synchronously`),
  ...both(TypeError, "a missing array", without("targets"), `expected a batch with the arrays ${languageArrays}, but targets is missing`),
  ...both(TypeError, "an unknown array", replace("target", i32([2, 4])), `expected a batch with the arrays ${languageArrays}, got unknown array target`),
  ...both(TypeError, "a list instead of an array", replace("tokens", { shape: [2, 4], data: new Array(8).fill(1) }), "tokens: expected { shape, data } with Int32Array data"),
  ...both(TypeError, "f32 ids", replace("tokens", { shape: [2, 4], data: new Float32Array(8) }), "tokens: expected { shape, data } with Int32Array data"),
  ...both(TypeError, "data without a shape", replace("tokens", { data: new Int32Array(8) }), "tokens: expected { shape, data } with Int32Array data"),
  ...both(TypeError, "bare data", replace("tokens", new Int32Array(8)), "tokens: expected { shape, data } with Int32Array data"),
  ...both(RangeError, "too few axes", replace("tokens", i32([8])), "tokens: expected the shape [B,T], got [8]"),
  ...both(RangeError, "too many axes", replace("tokens", i32([2, 2, 2])), "tokens: expected the shape [B,T], got [2,2,2]"),
  ...both(RangeError, "an axis of 0", replace("tokens", i32([0, 4])), "tokens: expected the shape [B,T], got [0,4]"),
  ...both(RangeError, "an axis that is a fraction", replace("tokens", { shape: [1.5, 4], data: new Int32Array(6) }), "tokens: expected the shape [B,T], got [1.5,4]"),
  ...both(RangeError, "another batch size", replace("targets", i32([3, 4])), "targets: expected the shape [B=2,T=4], got [3,4]"),
  ...both(RangeError, "another length", replace("targets", i32([2, 5])), "targets: expected the shape [B=2,T=4], got [2,5]"),
  ...both(RangeError, "data that do not fill the shape", replace("tokens", { shape: [2, 4], data: new Int32Array(7) }), "tokens: expected 8 numbers for the shape [2,4], got 7"),
  ...both(RangeError, "more tokens than the model takes", () => ({ tokens: i32([1, 9]), targets: i32([1, 9]) }), "tokens: the model takes at most 8 along T, got 9"),
  ...both(RangeError, "an id of V", put("tokens", 5, 11), "tokens: ids must be in [0, 11), got 11 at position 5"),
  ...both(RangeError, "a negative id", put("tokens", 0, -1), "tokens: ids must be in [0, 11), got -1 at position 0"),
  ...both(RangeError, "a target of −2", put("targets", 7, -2), "targets: ids must be in [0, 11) or be -1, got -2 at position 7"),
  ["Transformer", "no batch", () => undefined, TypeError, `Transformer: expected a batch with the arrays ${pairArrays}, got undefined`],
  ["Transformer", "a promise", (batch) => Promise.resolve(batch), TypeError, `Transformer: expected a batch with the arrays ${pairArrays}, got a promise: make batches synchronously`],
  ["Transformer", "a missing array", without("sourceLengths"), TypeError, `Transformer: expected a batch with the arrays ${pairArrays}, but sourceLengths is missing`],
  ["Transformer", "an unknown array", replace("lengths", i32([2])), TypeError, `Transformer: expected a batch with the arrays ${pairArrays}, got unknown array lengths`],
  ["Transformer", "f32 lengths", replace("sourceLengths", { shape: [2], data: Float32Array.of(1, 3) }), TypeError, "Transformer: sourceLengths: expected { shape, data } with Int32Array data"],
  ["Transformer", "another batch size", replace("target", i32([3, 4])), RangeError, "Transformer: target: expected the shape [B=2,T], got [3,4]"],
  ["Transformer", "a target of another length than its labels", replace("targets", i32([2, 3])), RangeError, "Transformer: targets: expected the shape [B=2,T=4], got [2,3]"],
  ["Transformer", "lengths of another batch", replace("sourceLengths", i32([3])), RangeError, "Transformer: sourceLengths: expected the shape [B=2], got [3]"],
  ["Transformer", "a length beyond the source", put("sourceLengths", 1, 4), RangeError, "Transformer: sourceLengths: lengths must be in [0, 4), got 4 at position 1"],
  ["Transformer", "a negative length", put("sourceLengths", 0, -1), RangeError, "Transformer: sourceLengths: lengths must be in [0, 4), got -1 at position 0"],
  ["Transformer", "a source that is too long", replace("source", i32([2, 9])), RangeError, "Transformer: source: the model takes at most 8 along S, got 9"],
  ["Transformer", "a target that is too long", (batch) => ({ ...batch, target: i32([2, 9]), targets: i32([2, 9]) }), RangeError, "Transformer: target: the model takes at most 8 along T, got 9"],
  ["Transformer", "an id of V as a source", put("source", 2, 11), RangeError, "Transformer: source: ids must be in [0, 11), got 11 at position 2"],
  ["Transformer", "−1 as a label", put("targets", 2, -1), RangeError, "Transformer: targets: ids must be in [0, 11) or be 0, got -1 at position 2"],
  ["Digits", "a missing array", without("pixels"), TypeError, `Digits: expected a batch with the arrays ${digitArrays}, but pixels is missing`],
  ["Digits", "pixels of i32", replace("pixels", i32([2, 16])), TypeError, "Digits: pixels: expected { shape, data } with Float32Array data"],
  ["Digits", "pixels of f64", replace("pixels", { shape: [2, 16], data: new Float64Array(32) }), TypeError, "Digits: pixels: expected { shape, data } with Float32Array data"],
  ["Digits", "another number of pixels", replace("pixels", { shape: [2, 15], data: new Float32Array(30) }), RangeError, "Digits: pixels: expected the shape [B,16], got [2,15]"],
  ["Digits", "more images than digits", replace("pixels", { shape: [3, 16], data: new Float32Array(48) }), RangeError, "Digits: digits: expected the shape [B=3], got [2]"],
  ["Digits", "a digit of 10", put("digits", 1, 10), RangeError, "Digits: digits: ids must be in [0, 10), got 10 at position 1"],
  ["Digits", "−1 where nothing is ignored", put("digits", 0, -1), RangeError, "Digits: digits: ids must be in [0, 10), got -1 at position 0"],
  ["Digits", "a class of 2 beside an ignored −1", put("parity", 0, 2), RangeError, "Digits: parity: ids must be in [0, 2) or be -1, got 2 at position 0"],
];

describe("Model.check", () => {
  it.each(Object.entries(models))("accepts a batch of %s", (_, { model, batch }) => expect(() => model.check(batch)).not.toThrow());

  it.each(flaws)("for %s refuses %s", (name, _, change, kind, message) => {
    const { model, batch } = models[name]!;
    const error = (() => {
      try {
        model.check(change(batch) as Batch);
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    expect([error?.constructor, error?.message]).toEqual([kind, message]);
  });

  it("accepts ignored values, lengths of 0, full lengths and sequences of the maximum length", () => {
    models.GPT!.model.check({ tokens: i32([1, 8]), targets: i32([1, 8], new Array(8).fill(-1)) });
    const { model, batch } = models.Transformer!;
    model.check({ ...batch, sourceLengths: i32([2], [0, 3]) });
  });

  it("is called by Trainer, evaluate and computeGradients before they compute anything", async () => {
    const model = new GPT({ vocabulary: 11, block: 8, layers: 1, heads: 2, width: 8 }).place(await createRuntime());
    const bad = { ...language, tokens: i32([2, 4], [0, 0, 0, 11, 0, 0, 0, 0]) };
    const message = "GPT: tokens: ids must be in [0, 11), got 11 at position 3";
    const options = { steps: 1, schedule: { kind: "constant", peak: 1 }, optimizer: { kind: "sgd" } } as const;
    await expect(new Trainer(model, { batch: () => bad }, options).run().next()).rejects.toThrow(new RangeError(message));
    await expect(evaluate(model, [bad])).rejects.toThrow(new RangeError(message));
    expect(() => computeGradients(model, bad)).toThrow(new RangeError(message));
  });

  it("says that batches must be made synchronously if batch() is async", async () => {
    const model = new GPT({ vocabulary: 11, block: 8, layers: 1, heads: 2, width: 8 }).place(await createRuntime());
    const batch = (async () => language) as unknown as () => typeof language;
    const trainer = new Trainer(model, { batch }, { steps: 1, schedule: { kind: "constant", peak: 1 }, optimizer: { kind: "sgd" } });
    await expect(trainer.run().next()).rejects.toThrow(new TypeError("GPT: expected a batch with the arrays tokens, targets, got a promise: make batches synchronously"));
  });
});
