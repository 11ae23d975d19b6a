/**
 * Quantizes activations to integers in the groups of a weight's format, so that a product with integer weights is exact within a group.
 *
 * A value of a group is q·scale, with scale = max|x| / levels. One outlier would leave a few levels to the other values of its group.
 * Where that would cost a noticeable part of the row's norm, a second block quantizes what the first one rounded off, and products use
 * both. The choice depends on the row alone.
 */
import { Count, In, Out } from "../operands";
import { Quantized } from "../layouts";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, maximum, maxOrNaN, sum } from "../simd";
import { element } from "./element";

/** Adding this rounds to an integer, ties to even, and leaves the integer in the lower bits. */
const MAGIC: f32 = 12582912;
const MAGIC_BITS: i32 = 0x4b400000;
/** Scales are normal numbers, so that their inverses are finite. */
const SMALLEST: f32 = 1.1754943508222875e-38;
/**
 * A group gets a second block if the energy of its rounding errors is more than this part of the row's energy: 0.5 % of the norm. In
 * short rows, where each group has a large part of the energy and of the unavoidable errors, the bound is SHORT / (levels²·groups).
 */
const TOLERANCE: f32 = 2.5e-5;
const SHORT: f32 = 1.6;

/** Bytes from one block of a quantized row to the next. */
// @ts-ignore: decorator
@inline
export function blockBytes(group: i32): usize {
  return <usize>(Quantized.Header + (ASC_FEATURE_RELAXED_SIMD ? group : 2 * group));
}

/** Where the second blocks of the first row start. A row's second blocks are as far apart from the next row's as its first ones. */
// @ts-ignore: decorator
@inline
export function secondBlocks(quantized: usize, R: i32, groups: i32, group: i32): usize {
  return quantized + <usize>(R * groups) * blockBytes(group);
}

/** i32 [R]: how many second blocks each row uses. */
// @ts-ignore: decorator
@inline
export function secondCounts(quantized: usize, R: i32, groups: i32, group: i32): usize {
  return secondBlocks(quantized, 2 * R, groups, group);
}

/**
 * out[r, g] = { scale, round(x[r, g] / scale) } for each group g of `group` columns; the last one is padded with zeros.
 *
 * A group with a NaN or an infinite value has the scale NaN, which makes every output of the row NaN.
 * @param out     blocks and counts, as `Quantized` describes
 * @param x       f32 [R, C]
 * @param group   a multiple of 32
 * @param levels  `Int8Levels` or `Int4Levels`
 * |x − q·scale| ≤ scale / 2·(1 + 2⁻¹⁶). All builds compute the same integers and scales.
 */
export function quantizeRows(out: Out<i32>, x: In<f32>, R: Count, C: Count, group: Count, levels: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(R, 1, thread, threads);
  const groups = (C + group - 1) / group;
  const pitch = <usize>groups * blockBytes(group);
  const seconds = secondBlocks(out, R, groups, group);
  const counts = secondCounts(out, R, groups, group);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const at = <usize>r * pitch;
    store<i32>(element(counts, r), quantizeRow(out + at, seconds + at, element(x, r * C), C, groups, group, levels));
  }
}

function quantizeRow(block: usize, second: usize, x: usize, C: i32, groups: i32, group: i32, levels: i32): i32 {
  const step = blockBytes(group);
  let energy: f32 = 0;
  for (let g = 0, at = block; g < groups; g++, at += step) {
    energy += quantizeFirst(at, element(x, g * group), min(group, C - g * group), group, levels);
  }
  const tolerated = energy * max(TOLERANCE, SHORT / <f32>(levels * levels * groups));
  let count = 0;
  for (let g = 0; g < groups; g++, block += step, second += step) {
    store<f32>(second, 0);
    if (!(load<f32>(block, 8) > tolerated)) continue;
    quantizeSecond(second, element(x, g * group), min(group, C - g * group), group, levels, load<f32>(block));
    count++;
  }
  return count;
}

function quantizeFirst(block: usize, x: usize, n: i32, group: i32, levels: i32): f32 {
  return quantizeGroup(block, x, n, group, levels, 0, true);
}

function quantizeSecond(block: usize, x: usize, n: i32, group: i32, levels: i32, rounded: f32): void {
  quantizeGroup(block, x, n, group, levels, rounded, false);
}

/** Writes a block with n values, or with what remains of them after rounding to multiples of `rounded`. Returns the sum of the squares. */
// @ts-ignore: decorator
@inline
function quantizeGroup(block: usize, x: usize, n: i32, group: i32, levels: i32, rounded: f32, isFirst: bool): f32 {
  const vRounded = f32x4.splat(rounded), vInverse = f32x4.splat(<f32>1 / rounded);
  let largest = f32x4.splat(0), squares = f32x4.splat(0);
  for (let i = 0; i < n; i += 4) {
    const v = remainder(loadSome(element(x, i), n - i), vRounded, vInverse, isFirst);
    largest = maxOrNaN(largest, f32x4.abs(v));
    squares = f32x4.add(squares, f32x4.mul(v, v));
  }
  const most = maximum(largest);
  const scale = max(most / <f32>levels, SMALLEST);
  const isFinite = most < Infinity;
  const total = sum(squares);
  store<f32>(block, isFinite ? scale : NaN);

  const vScale = f32x4.splat(scale), vScaleInverse = f32x4.splat(isFinite ? <f32>1 / scale : 0), magic = f32x4.splat(MAGIC);
  const magicBits = i32x4.splat(MAGIC_BITS);
  let errors = f32x4.splat(0), integers = i32x4.splat(0);
  const unsigned = levels == Quantized.Int8Levels;
  for (let i = 0, to = block + Quantized.Header; i < group; i += 8) {
    const v0 = remainder(loadSome(element(x, i), n - i), vRounded, vInverse, isFirst);
    const v1 = remainder(loadSome(element(x, i + 4), n - i - 4), vRounded, vInverse, isFirst);
    const t0 = f32x4.add(f32x4.mul(v0, vScaleInverse), magic), t1 = f32x4.add(f32x4.mul(v1, vScaleInverse), magic);
    const e0 = f32x4.sub(v0, f32x4.mul(f32x4.sub(t0, magic), vScale)), e1 = f32x4.sub(v1, f32x4.mul(f32x4.sub(t1, magic), vScale));
    errors = f32x4.add(errors, f32x4.add(f32x4.mul(e0, e0), f32x4.mul(e1, e1)));
    const q0 = isFinite ? i32x4.sub(t0, magicBits) : i32x4.splat(0), q1 = isFinite ? i32x4.sub(t1, magicBits) : i32x4.splat(0);
    integers = i32x4.add(integers, i32x4.add(q0, q1));
    to = storeIntegers(to, i16x8.narrow_i32x4_s(q0, q1), unsigned);
  }
  const pairs = i32x4.add(integers, v128.shuffle<i32>(integers, integers, 2, 3, 0, 1));
  store<i32>(block, -8 * (i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1)), 4);
  store<f32>(block, sum(errors), 8);
  return total;
}

/** What is left of x after rounding to multiples of `rounded`; at first, x. */
// @ts-ignore: decorator
@inline
function remainder(x: v128, rounded: v128, inverse: v128, isFirst: bool): v128 {
  if (isFirst) return x;
  const magic = f32x4.splat(MAGIC);
  return f32x4.sub(x, f32x4.mul(f32x4.sub(f32x4.add(f32x4.mul(x, inverse), magic), magic), rounded));
}

// @ts-ignore: decorator
@inline
function loadSome(at: usize, n: i32): v128 {
  return n >= 4 ? v128.load(at) : n > 0 ? loadTail(at, n) : f32x4.splat(0);
}

/** Stores eight integers as the build's products read them; returns the next address. */
// @ts-ignore: decorator
@inline
function storeIntegers(to: usize, q: v128, unsigned: bool): usize {
  if (!ASC_FEATURE_RELAXED_SIMD) {
    v128.store(to, q);
    return to + 16;
  }
  if (unsigned) {
    const shifted = i16x8.add(q, i16x8.splat(64));
    v128.store64_lane(to, i8x16.narrow_i16x8_s(shifted, shifted), 0);
  } else {
    const bytes = i8x16.narrow_i16x8_s(q, q);
    v128.store64_lane(to, v128.shuffle<i8>(bytes, bytes, 0, 2, 1, 3, 4, 6, 5, 7, 0, 2, 1, 3, 4, 6, 5, 7), 0);
  }
  return to + 8;
}
