import { describe, expect, it } from "vitest";
import type { PairBatch } from "../../host/data/batch";
import { evaluationBatches, languageModelBatches } from "../../host/data/language";
import type { Pair } from "../../host/data/parallel";
import { pairBatch } from "../../host/data/pairbatch";
import { batchesByTokens } from "../../host/data/translation";
import { uniform } from "../random";

const specials = { pad: 0, bos: 1, eos: 2 };
const name = (ids: ArrayLike<number>) => Array.from(ids).join(" ");

/** `n` pairs of 1 to 29 ids ≥ 3; the first two ids of each source are unique. */
function randomPairs(n: number): Pair[] {
  const next = uniform(5);
  const ids = (length: number) => Array.from({ length }, () => 3 + Math.floor(next() * 50));
  return Array.from({ length: n }, (_, i) => ({
    source: [3 + (i % 50), 3 + Math.floor(i / 50), ...ids(Math.floor(next() * 28))],
    target: ids(1 + Math.floor(next() * 29)),
  }));
}

/** The pairs in the rows of a batch; unused rows, whose targets are all ignored, are left out. */
function rowsOf(batch: PairBatch): Pair[] {
  const [B, T] = batch.targets!.shape as [number, number];
  const S = batch.source!.shape[1]!;
  const pairs: Pair[] = [];
  for (let b = 0; b < B; b++) {
    const targets = batch.targets!.data.subarray(b * T, (b + 1) * T);
    const input = batch.target!.data.subarray(b * T, (b + 1) * T);
    const length = targets.indexOf(specials.eos);
    expect(input[0]).toBe(specials.bos);
    expect(batch.sourceLengths!.data[b]).toBeGreaterThan(0);
    if (length < 0) {
      expect(targets.every((id) => id === specials.pad)).toBe(true);
      continue;
    }
    expect(name(input.subarray(1, length + 1))).toBe(name(targets.subarray(0, length)));
    expect(targets.subarray(length + 1).every((id) => id === specials.pad)).toBe(true);
    const source = batch.source!.data.subarray(b * S, b * S + batch.sourceLengths!.data[b]!);
    pairs.push({ source: Array.from(source), target: Array.from(targets.subarray(0, length)) });
  }
  return pairs;
}

describe("batchesByTokens", () => {
  const pairs = randomPairs(1000);
  const batches = batchesByTokens(pairs, { tokensPerBatch: 300, specials, seed: 3 });

  it.each([0, 1, 7])("returns every pair exactly once in epoch %i, with <bos> before and <eos> after the target", (epoch) => {
    const seen = [...batches.epoch(epoch)].flatMap(rowsOf);
    const key = (pair: Pair) => `${name(pair.source)} | ${name(pair.target)}`;
    expect(seen.map(key).sort()).toEqual(pairs.map(key).sort());
  });

  it("keeps rows times length within tokensPerBatch, with multiples of 8 as lengths and one shape per length", () => {
    expect(batches.shapes).toEqual([[37, 8], [18, 16], [12, 24], [9, 32]]);
    const shapes = new Set([...batches.epoch(0)].map((batch) => String(batch.source!.shape)));
    expect([...shapes].sort()).toEqual(batches.shapes.map(String).sort());
  });

  it("leaves unused rows in at most one batch per epoch", () => {
    const short = [...batches.epoch(2)].filter((batch) => rowsOf(batch).length < batch.source!.shape[0]!);
    expect(short.length).toBeLessThanOrEqual(1);
  });

  it("resumes at any step: batchAt(step) does not depend on earlier calls", () => {
    const fresh = () => batchesByTokens(pairs, { tokensPerBatch: 300, specials, seed: 3 });
    const n = batches.perEpoch;
    for (const step of [0, 1, n - 1, n, 3 * n + 5]) {
      expect(batches.batchAt(step)).toEqual(fresh().batchAt(step));
      expect(batches.batchAt(step)).toEqual(batches.at(Math.floor(step / n), step % n));
    }
  });

  it("uses a different order for a different epoch or seed", () => {
    const other = batchesByTokens(pairs, { tokensPerBatch: 300, specials, seed: 4 });
    expect(batches.at(0, 0)).not.toEqual(batches.at(1, 0));
    expect(batches.at(0, 0)).not.toEqual(other.at(0, 0));
  });

  it("puts other pairs together, and lengths in another order, in every epoch", () => {
    const together = (epoch: number) => new Set([...batches.epoch(epoch)].map((batch) => rowsOf(batch).map(({ source }) => name(source)).sort().join(" | ")));
    const lengths = (epoch: number) => [...batches.epoch(epoch)].map((batch) => batch.source!.shape[1]!);
    const [sets, orders] = [[0, 1, 2].map(together), [0, 1, 2].map(lengths)];
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) {
      expect([...sets[a]!].filter((pairs) => sets[b]!.has(pairs))).toEqual([]);
      expect(orders[a]).not.toEqual(orders[b]);
    }
    expect(new Set(orders.map((order) => String([...order].sort())))).toHaveProperty("size", 1); // only the order differs
  });

  it("keeps the order of pairs of the same length with inOrder", () => {
    const few = [[5], [6], [7]].map((source) => ({ source, target: [9] }));
    const [batch] = [...batchesByTokens(few, { tokensPerBatch: 32, specials, inOrder: true }).epoch(0)];
    expect(rowsOf(batch!)).toEqual(few);
    expect(batch!.sourceLengths!.data).toEqual(Int32Array.of(1, 1, 1, 1));
  });

  it("rejects an empty list, and a pair that is longer than a batch", () => {
    expect(() => batchesByTokens([], { tokensPerBatch: 8, specials })).toThrow("no pairs");
    const long = [{ source: [3], target: new Array<number>(8).fill(3) }];
    expect(() => batchesByTokens(long, { tokensPerBatch: 15, specials })).toThrow("needs 16 tokens (rounded up to a multiple of 8), but tokensPerBatch is 15");
    expect(batchesByTokens(long, { tokensPerBatch: 16, specials }).shapes).toEqual([[1, 16]]);
  });
});

describe("pairBatch", () => {
  it("fills each side up to its longest row, the source to a multiple of 8", () => {
    const batch = pairBatch([{ source: [5, 6, 7], target: [8] }, { source: [9], target: [4, 4] }], specials);
    expect([batch.source, batch.sourceLengths]).toEqual([
      { shape: [2, 8], data: Int32Array.of(5, 6, 7, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0) }, { shape: [2], data: Int32Array.of(3, 1) },
    ]);
    expect([batch.target, batch.targets]).toEqual([
      { shape: [2, 3], data: Int32Array.of(1, 8, 0, 1, 4, 4) }, { shape: [2, 3], data: Int32Array.of(8, 2, 0, 4, 4, 2) },
    ]);
    expect(pairBatch([{ source: [5], target: [] }], { ...specials, pad: 3 }, 2)).toMatchObject({ source: { data: Int32Array.of(5, 3) }, target: { data: Int32Array.of(1) }, targets: { data: Int32Array.of(2) } });
  });

  it("makes one batch of 140,000 pairs, more than a function takes arguments", () => {
    const pairs = Array.from({ length: 140_000 }, (_, i) => ({ source: [3, 4].slice(i % 2), target: [5] }));
    const { source, target } = pairBatch(pairs, specials, 1);
    expect([source.shape, target.shape]).toEqual([[140_000, 2], [140_000, 2]]);
  });

  it("refuses a multiple that is none", () => expect(() => pairBatch([{ source: [5], target: [6] }], specials, 0)).toThrow(RangeError));
});

describe.each([
  ["pairBatch", pairBatch],
  ["batchesByTokens", (pairs: readonly Pair[], specials: { pad: number; bos: number; eos: number }) => batchesByTokens(pairs, { tokensPerBatch: 64, specials })],
] as const)("%s", (name, make) => {
  const good = { source: [5, 6], target: [7] };
  it.each<[string, unknown[], object, string]>([
    ["no pairs", [], specials, "there are no pairs"],
    ["an empty source", [good, { source: [], target: [7] }], specials, "pair 1: the source is empty"],
    ["an undefined id, as a tokenizer might give", [good, { source: [3, undefined, 4], target: [7] }], specials, "pair 1: source: token ids must be whole numbers of at least 0, got undefined at position 1"],
    ["NaN as an id", [{ source: [3], target: [7, NaN] }], specials, "pair 0: target: token ids must be whole numbers of at least 0, got NaN at position 1"],
    ["a fraction", [{ source: [3.5], target: [7] }], specials, "pair 0: source: token ids must be whole numbers of at least 0, got 3.5"],
    ["a negative id", [{ source: [-1, 2], target: [7] }], specials, "pair 0: source: token ids must be whole numbers of at least 0, got -1 at position 0"],
    ["an undefined <bos>", [good], { ...specials, bos: undefined }, "specials.bos: token ids must be whole numbers of at least 0, got undefined"],
    ["no specials", [good], undefined as unknown as object, "specials.pad: token ids must be whole numbers of at least 0, got undefined"],
  ])("refuses %s", (_, pairs, specials, message) => {
    expect(() => make(pairs as Pair[], specials as never)).toThrow(new RangeError(`${name}: ${message}`));
  });
});

describe("languageModelBatches", () => {
  const tokens = Int32Array.from({ length: 100 }, (_, i) => i);
  const batches = languageModelBatches(tokens, { batch: 5, block: 16, seed: 1 });

  it("returns targets shifted by one token, all within the text", () => {
    for (let step = 0; step < 200; step++) {
      const { tokens: inputs, targets } = batches.batchAt(step);
      expect(inputs!.shape).toEqual([5, 16]);
      inputs!.data.forEach((id, i) => expect(targets!.data[i]).toBe(id + 1));
      expect(Math.max(...targets!.data)).toBeLessThan(100);
    }
  });

  it("draws an offset of its own for every row of a batch", () => {
    const { tokens } = batches.batchAt(3);
    expect(new Set([0, 1, 2, 3, 4].map((row) => tokens.data[16 * row])).size).toBeGreaterThan(3);
  });

  it("reaches the first and the last offset, and depends only on the step", () => {
    const firsts = Array.from({ length: 300 }, (_, step) => batches.batchAt(step).tokens!.data[0]);
    expect(new Set(firsts)).toContain(0);
    expect(new Set(firsts)).toContain(83);
    expect(batches.batchAt(7)).toEqual(languageModelBatches(tokens, { batch: 5, block: 16, seed: 1 }).batchAt(7));
  });

  it("rejects a text shorter than a block and its target", () => {
    expect(() => languageModelBatches(tokens, { batch: 1, block: 100 })).toThrow("a block of 100 needs 101 tokens, got 100");
    expect(languageModelBatches(tokens, { batch: 1, block: 99 }).batchAt(3).tokens!.data[0]).toBe(0);
  });
});

describe("evaluationBatches", () => {
  it.each([2, 12, 13, 14, 25, 26])("predicts every token but the first exactly once, for a text of %i tokens", (length) => {
    const tokens = Int32Array.from({ length }, (_, i) => i);
    const { batches, batchAt } = evaluationBatches(tokens, { batch: 3, block: 4 });
    const predicted: number[] = [];
    for (let index = 0; index < batches; index++) {
      const { tokens: inputs, targets } = batchAt(index);
      expect(targets!.shape).toEqual([3, 4]);
      targets!.data.forEach((target, i) => {
        if (target < 0) return;
        expect(inputs!.data[i]).toBe(target - 1);
        predicted.push(target);
      });
    }
    expect(predicted).toEqual(Array.from(tokens.subarray(1)));
    expect(() => batchAt(batches)).toThrow(RangeError);
  });
});
