import type { BatchTensor } from "../batch";
import type { Pair } from "./parallel";

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

/** Ids of the special tokens that a batch of pairs needs. */
export interface PairSpecials {
  readonly pad: number;
  readonly bos: number;
  readonly eos: number;
}

/** @throws RangeError when there are no pairs, a source is empty, or an id is not a whole number, as one that a vocabulary lacks */
export function checkPairs(name: string, pairs: readonly Pair[], specials: PairSpecials): void {
  for (const role of ["pad", "bos", "eos"] as const) checkIds(`${name}: specials.${role}`, [specials?.[role]]);
  if (pairs.length === 0) throw new RangeError(`${name}: there are no pairs`);
  pairs.forEach(({ source, target }, i) => {
    if (source.length === 0) throw new RangeError(`${name}: pair ${i}: the source is empty`);
    checkIds(`${name}: pair ${i}: source`, source);
    checkIds(`${name}: pair ${i}: target`, target);
  });
}

function checkIds(what: string, ids: ArrayLike<number | undefined>): void {
  for (let i = 0; i < ids.length; i++) {
    if (Number.isInteger(ids[i]) && ids[i]! >= 0) continue;
    const place = ids.length > 1 ? ` at position ${i}` : "";
    throw new RangeError(`${what}: token ids must be whole numbers of at least 0, got ${String(ids[i])}${place}`);
  }
}
