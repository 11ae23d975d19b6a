import type { BatchTensor } from "../batch";

/** A tensor of integers: token ids, targets, lengths. */
export interface IntTensor extends BatchTensor {
  readonly data: Int32Array;
}

/** A batch for a language model: `tokens` and `targets` [B, T]. */
export type TokenBatch = Readonly<Record<"tokens" | "targets", IntTensor>>;

/** A batch for a translation model: `source` [B, S], `sourceLengths` [B], `target` and `targets` [B, T]. */
export type PairBatch = Readonly<Record<"source" | "sourceLengths" | "target" | "targets", IntTensor>>;

/** An integer tensor filled with one value. */
export function filled(shape: number[], value = 0): IntTensor {
  return { shape, data: new Int32Array(shape.reduce((size, dim) => size * dim, 1)).fill(value) };
}

/** @throws RangeError unless `value` is an integer ≥ 1; `name` is the function and its argument */
export function checkPositive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} must be an integer of at least 1, got ${value}`);
}
