/**
 * The online softmax over blocks of keys, with sums whose error does not grow with the number of keys.
 *
 * Per query: m, the largest score so far; l = Σ_j exp(s_j − m); O = Σ_j exp(s_j − m)·v_j. When m grows, l and O are rescaled.
 * Sums have three levels, whose boundaries are at fixed keys, so a query's bits depend only on its own operands:
 *   block   64 keys: O from zero, in key order; l in four lanes by j mod 4, combined as (0 + 2) + (1 + 3)
 *   chunk   1024 keys: its blocks, in order
 *   row     its chunks, in order, with compensated summation (Neumaier 1974)
 * A block in which a query attends to no key leaves that query's m, l and O unchanged, bit for bit.
 *
 * Weights sum to 1 within 3e-6 for any scores. The worst case found is 2.2e-6 over 1024 keys (one large score, all others equal) and
 * 3e-7 over 10⁵ and 10⁶ keys. The error of lse is then at most 1e-6 + 1e-7·|lse|.
 */
import { exp, log } from "../math";
import { madd, maxNumber, storeTail } from "../simd";
import { ROW } from "./attention-visibility";
import { element } from "./element";

/** The number of keys in a chunk, a multiple of BLOCK. */
const CHUNK: i32 = 1024;

// The state of up to BLOCK queries consists of rows of BLOCK floats in the scratch, at these byte offsets.
export const M: usize = 0;
export const L: usize = ROW;
/** exp(m_old − m), the factor by which the last block scaled O. */
export const SHRINK: usize = 2 * ROW;
/** m and l over all completed chunks, and the rounding error of l. */
const TOTAL_M: usize = 3 * ROW;
const TOTAL_L: usize = 4 * ROW;
const LOST_L: usize = 5 * ROW;
// O is at `sum`, f32 [queries, wide]. O over all completed chunks is at `sum + matrix`, and its rounding error at `sum + 2·matrix`.

/** Whether the keys [from … to) span more than one chunk. */
// @ts-ignore: decorator
@inline
export function spansChunks(from: i32, to: i32): bool {
  return (to - 1) / CHUNK > from / CHUNK;
}

/** Whether a chunk ends at key j. */
// @ts-ignore: decorator
@inline
export function endsChunk(j: i32): bool {
  return (j & (CHUNK - 1)) == 0;
}

/** Starts a chunk, with no keys yet. The chunk's first block writes O. */
export function startChunk(state: usize, rows: i32): void {
  for (const end = element(state, rows); state < end; state += 16) {
    v128.store(state, f32x4.splat(-Infinity), M);
    v128.store(state, f32x4.splat(0), L);
  }
}

/** Starts a row of several chunks. */
export function startTotal(state: usize, sum: usize, matrix: usize, wide: i32, rows: i32): void {
  const bytes = <usize>(rows * wide) << 2;
  memory.fill(sum + matrix, 0, bytes);
  memory.fill(sum + 2 * matrix, 0, bytes);
  for (const end = element(state, rows); state < end; state += 16) {
    v128.store(state, f32x4.splat(-Infinity), TOTAL_M);
    v128.store(state, f32x4.splat(0), TOTAL_L);
    v128.store(state, f32x4.splat(0), LOST_L);
  }
}

/** O = SHRINK·O + product, f32 [rows, wide]. */
export function addProduct(sum: usize, product: usize, wide: i32, state: usize, rows: i32): void {
  const pitch = <usize>wide << 2;
  const apart = product - sum;
  for (const end = element(state, rows); state < end; state += 4) {
    const shrink = v128.load32_splat(state + SHRINK);
    for (const stop = sum + pitch; sum < stop; sum += 64) {
      const from = sum + apart;
      v128.store(sum, madd(v128.load(sum), shrink, v128.load(from)));
      v128.store(sum, madd(v128.load(sum, 16), shrink, v128.load(from, 16)), 16);
      v128.store(sum, madd(v128.load(sum, 32), shrink, v128.load(from, 32)), 32);
      v128.store(sum, madd(v128.load(sum, 48), shrink, v128.load(from, 48)), 48);
    }
  }
}

/** Adds a completed chunk to the total. */
export function addToTotal(state: usize, sum: usize, matrix: usize, wide: i32, rows: i32): void {
  for (let i = 0; i < rows; i += 4) {
    const at = element(state, i);
    const before = v128.load(at, TOTAL_M);
    const chunk = v128.load(at, M);
    const largest = maxNumber(before, chunk);
    v128.store(at, largest, TOTAL_M);
    const base = orZero(largest);
    const shrink = exp(f32x4.sub(before, base));
    const factor = exp(f32x4.sub(chunk, base));
    addCompensated(at + TOTAL_L, LOST_L - TOTAL_L, v128.load(at, L), shrink, factor);
    v128.store(at, shrink, SHRINK);
    v128.store(at, factor, L); // l has been added to the total, so its place is free
  }
  for (const end = element(state, rows); state < end; state += 4) {
    const shrink = v128.load32_splat(state + SHRINK);
    const factor = v128.load32_splat(state + L);
    for (const stop = element(sum, wide); sum < stop; sum += 16) addCompensated(sum + matrix, matrix, v128.load(sum), shrink, factor);
  }
}

/** Ends a row of several chunks: m, l and O become those over all its keys. */
export function takeTotal(state: usize, sum: usize, matrix: usize, wide: i32, rows: i32): void {
  for (const end = element(state, rows); state < end; state += 16) {
    v128.store(state, v128.load(state, TOTAL_M), M);
    v128.store(state, f32x4.add(v128.load(state, TOTAL_L), v128.load(state, LOST_L)), L);
  }
  for (const end = element(sum, rows * wide); sum < end; sum += 16) {
    v128.store(sum, f32x4.add(v128.load(sum + matrix), v128.load(sum + 2 * matrix)));
  }
}

/** total = shrink·total + factor·x. The rounding error accumulates at `total + apart`. */
// @ts-ignore: decorator
@inline
function addCompensated(total: usize, apart: usize, x: v128, shrink: v128, factor: v128): void {
  const a = f32x4.mul(v128.load(total), shrink);
  const b = f32x4.mul(x, factor);
  const both = f32x4.add(a, b);
  const bRounded = f32x4.sub(both, a);
  const lost = f32x4.add(f32x4.sub(a, f32x4.sub(both, bRounded)), f32x4.sub(b, bRounded));
  v128.store(total, both);
  // If the total is infinite, `lost` is Infinity − Infinity = NaN and must not be added.
  v128.store(total + apart, v128.and(f32x4.add(f32x4.mul(v128.load(total + apart), shrink), lost), f32x4.eq(lost, lost)));
}

/**
 * Ends the softmax: out = O / l, lse = m + log l.
 * @param out  f32 [rows, D], rows `ldo` apart
 * @param lse  f32 [rows]
 */
export function writeRows(out: usize, ldo: i32, lse: usize, sum: usize, wide: i32, state: usize, rows: i32, D: i32): void {
  for (let i = 0; i < rows; i += 4) {
    const at = element(state, i);
    const value = f32x4.add(v128.load(at, M), log(v128.load(at, L)));
    if (rows - i > 3) v128.store(element(lse, i), value);
    else storeTail(element(lse, i), value, rows - i);
  }
  for (let i = 0; i < rows; i++) {
    const total = load<f32>(element(state, i), L);
    writeRow(element(out, i * ldo), element(sum, i * wide), D, total == 0 ? 0 : 1 / total);
  }
}

/** out = factor·x. Adding zero turns −0 into 0: the sign of a zero sum depends on masked keys, which are added with weight 0. */
function writeRow(out: usize, x: usize, D: i32, factor: f32): void {
  const vfactor = f32x4.splat(factor);
  const zero = f32x4.splat(0);
  for (; D > 3; D -= 4) {
    v128.store(out, madd(v128.load(x), vfactor, zero));
    out += 16;
    x += 16;
  }
  if (D > 0) storeTail(out, madd(v128.load(x), vfactor, zero), D);
}

/** x, with 0 in place of −Infinity: a query without keys so far has m = −Infinity, and exp(−Infinity − 0) = 0. */
// @ts-ignore: decorator
@inline
export function orZero(x: v128): v128 {
  return v128.and(x, f32x4.ne(x, f32x4.splat(-Infinity)));
}
