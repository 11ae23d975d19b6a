/** Operations on vectors of four f32 that all kernels share: fused multiply-add, lane sums and maxima, row tails. */

/** a·b + c, rounded once in the relaxed build (if the machine has fused multiply-add) and twice in the plain build. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c − a·b, rounded like `madd`. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** Lane-wise maximum that ignores a NaN in `x`, in one instruction. Starting from −Infinity, the result is never NaN. */
// @ts-ignore: decorator
@inline
export function maxNumber(running: v128, x: v128): v128 {
  return f32x4.pmax(running, x);
}

/** Lane-wise maximum that is NaN if either operand is, in three instructions. On x64, f32x4.max takes eight. */
// @ts-ignore: decorator
@inline
export function maxOrNaN(running: v128, x: v128): v128 {
  return v128.or(f32x4.pmax(running, x), f32x4.ne(x, x));
}

/** The sum of the lanes, always computed as (v0 + v2) + (v1 + v3). */
// @ts-ignore: decorator
@inline
export function sum(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** [Σ a, Σ b, Σ c, Σ d], each computed as (v0 + v1) + (v2 + v3). */
// @ts-ignore: decorator
@inline
export function sums(a: v128, b: v128, c: v128, d: v128): v128 {
  const pairs = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const others = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(lowHalves(pairs, others), highHalves(pairs, others));
}

// A 4x4 transpose takes two steps: interleave rows 0 and 1, and rows 2 and 3; then combine halves of the results.

/** [a0, b0, a1, b1] */
// @ts-ignore: decorator
@inline
export function interleaveLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 4, 1, 5);
}

/** [a2, b2, a3, b3] */
// @ts-ignore: decorator
@inline
export function interleaveHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 6, 3, 7);
}

/** [a0, a1, b0, b1] */
// @ts-ignore: decorator
@inline
export function lowHalves(a: v128, b: v128): v128 {
  return v128.shuffle<f64>(a, b, 0, 2);
}

/** [a2, a3, b2, b3] */
// @ts-ignore: decorator
@inline
export function highHalves(a: v128, b: v128): v128 {
  return v128.shuffle<f64>(a, b, 1, 3);
}

/** Stores the transpose of four rows: column i at `to` + i·`pitch` bytes. */
// @ts-ignore: decorator
@inline
export function storeTransposed(to: usize, pitch: usize, row0: v128, row1: v128, row2: v128, row3: v128): void {
  const low01 = interleaveLow(row0, row1), low23 = interleaveLow(row2, row3);
  const high01 = interleaveHigh(row0, row1), high23 = interleaveHigh(row2, row3);
  v128.store(to, lowHalves(low01, low23));
  v128.store(to + pitch, highHalves(low01, low23));
  v128.store(to + 2 * pitch, lowHalves(high01, high23));
  v128.store(to + 3 * pitch, highHalves(high01, high23));
}

/** The largest lane; NaN if any lane is. */
// @ts-ignore: decorator
@inline
export function maximum(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/** Loads the `n` floats (1 to 3) at `at`, followed by zeros. Reads no other byte. */
// @ts-ignore: decorator
@inline
export function loadTail(at: usize, n: i32): v128 {
  if (n == 1) return v128.load32_zero(at);
  const pair = v128.load64_zero(at);
  return n == 2 ? pair : v128.load32_lane(at, pair, 2, 8);
}

/** Stores the first `n` lanes (1 to 3) at `at`. Writes no other byte. */
// @ts-ignore: decorator
@inline
export function storeTail(at: usize, v: v128, n: i32): void {
  if (n == 1) v128.store32_lane(at, v, 0);
  else v128.store64_lane(at, v, 0);
  if (n == 3) v128.store32_lane(at, v, 2, 8);
}
