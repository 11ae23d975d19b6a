/**
 * The limits of products of integers: loops of the instructions that the kernels use, on operands that are in registers or L1. They take
 * the faster dot product, as the kernels do, and include what a format costs beyond it: scaling every group of 32, unpacking int4.
 */
import { addGroup, dot8, dot8InPairs, hasDirectDots, nibbleMask, ones } from "./kernels/integers";

/** Operations per turn of `int8Dots`: ten dot products of 16 or, in the plain build, 8 multiplications and additions. */
export const rowTurn: i32 = ASC_FEATURE_RELAXED_SIMD ? 320 : 160;
/** Operations per turn of the others: 16 groups of 32 multiplications and additions. */
export const groupTurn: i32 = 1024;

/** Dot products alone, as in a product with one scale for each row. `at` is as in `compute`. */
export function int8Dots(at: usize, turns: i32): f32 { return hasDirectDots() ? directDots(at, turns) : pairDots(at, turns); }
/** Dot products of groups that are scaled and added. */
export function int8Groups(at: usize, turns: i32): f32 { return hasDirectDots() ? directGroups(at, turns) : pairGroups(at, turns); }
/** The same with int4, unpacked for one row of activations. */
export function int4Groups(at: usize, turns: i32): f32 { return hasDirectDots() ? directNibbles(at, turns) : pairNibbles(at, turns); }

function directDots(at: usize, turns: i32): f32 { return dots(at, turns, true); }
function pairDots(at: usize, turns: i32): f32 { return dots(at, turns, false); }
function directGroups(at: usize, turns: i32): f32 { return groups(at, turns, true); }
function pairGroups(at: usize, turns: i32): f32 { return groups(at, turns, false); }
function directNibbles(at: usize, turns: i32): f32 { return nibbles(at, turns, true); }
function pairNibbles(at: usize, turns: i32): f32 { return nibbles(at, turns, false); }

// @ts-ignore: decorator
@inline
function dot(direct: bool, a: v128, b: v128, c: v128, one: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return i32x4.add(c, i32x4.dot_i16x8_s(a, b));
  return direct ? dot8(a, b, c) : dot8InPairs(a, b, c, one);
}

// @ts-ignore: decorator
@inline
function dots(at: usize, turns: i32, direct: bool): f32 {
  const x = v128.load(at), y = v128.load(at, 16), one = ones();
  let s0 = x, s1 = x, s2 = x, s3 = x, s4 = x, s5 = x, s6 = x, s7 = x, s8 = x, s9 = x;
  while (turns > 0) {
    const from = at + ((turns & 15) << 6);
    let v = v128.load(from);
    s0 = dot(direct, x, v, s0, one), s1 = dot(direct, y, v, s1, one);
    v = v128.load(from, 16);
    s2 = dot(direct, x, v, s2, one), s3 = dot(direct, y, v, s3, one);
    v = v128.load(from, 32);
    s4 = dot(direct, x, v, s4, one), s5 = dot(direct, y, v, s5, one);
    v = v128.load(from, 48);
    s6 = dot(direct, x, v, s6, one), s7 = dot(direct, y, v, s7, one);
    v = v128.load(from, 64);
    s8 = dot(direct, x, v, s8, one), s9 = dot(direct, y, v, s9, one);
    turns--;
  }
  s0 = i32x4.add(i32x4.add(i32x4.add(s0, s1), i32x4.add(s2, s3)), i32x4.add(i32x4.add(s4, s5), i32x4.add(s6, s7)));
  return total(i32x4.add(s0, i32x4.add(s8, s9)));
}

// Two rows of activations by two vectors of weights.
// @ts-ignore: decorator
@inline
function groups(at: usize, turns: i32, direct: bool): f32 {
  const x = v128.load(at), y = v128.load(at, 16), one = ones();
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (; turns > 0; turns--) {
    let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
    let from = at + ((turns & 7) << 6);
    for (const end = from + (ASC_FEATURE_RELAXED_SIMD ? 256 : 512); from < end; from += 64) {
      let b0 = v128.load(from), b1 = v128.load(from, 16);
      c0 = dot(direct, b0, x, c0, one), c1 = dot(direct, b1, x, c1, one);
      c2 = dot(direct, b0, y, c2, one), c3 = dot(direct, b1, y, c3, one);
      b0 = v128.load(from, 32), b1 = v128.load(from, 48);
      c0 = dot(direct, b0, x, c0, one), c1 = dot(direct, b1, x, c1, one);
      c2 = dot(direct, b0, y, c2, one), c3 = dot(direct, b1, y, c3, one);
    }
    const scales = v128.load(at, 32), scale = v128.load(at, 48);
    s0 = addGroup(s0, c0, scales, scale), s1 = addGroup(s1, c1, scales, scale);
    s2 = addGroup(s2, c2, scales, scale), s3 = addGroup(s3, c3, scales, scale);
  }
  return total(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

// One row of activations by two vectors of packed weights.
// @ts-ignore: decorator
@inline
function nibbles(at: usize, turns: i32, direct: bool): f32 {
  const x = v128.load(at), y = v128.load(at, 16), one = ones(), mask = nibbleMask();
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (; turns > 0; turns--) {
    let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
    let from = at + ((turns & 7) << 6);
    for (const end = from + 256; from < end; from += 32) {
      const b0 = v128.load(from), b1 = v128.load(from, 16);
      if (ASC_FEATURE_RELAXED_SIMD) {
        c0 = dotNibbles(direct, v128.and(b0, mask), x, c0), c1 = dotNibbles(direct, v128.and(i16x8.shr_u(b0, 4), mask), x, c1);
        c2 = dotNibbles(direct, v128.and(b1, mask), x, c2), c3 = dotNibbles(direct, v128.and(i16x8.shr_u(b1, 4), mask), x, c3);
      } else {
        c0 = dot(direct, v128.and(b0, mask), x, c0, one), c1 = dot(direct, v128.and(i16x8.shr_u(b0, 4), mask), x, c1, one);
        c2 = dot(direct, v128.and(b1, mask), x, c2, one), c3 = dot(direct, v128.and(i16x8.shr_u(b1, 4), mask), x, c3, one);
        c0 = dot(direct, v128.and(i16x8.shr_u(b0, 8), mask), y, c0, one), c1 = dot(direct, i16x8.shr_u(b0, 12), y, c1, one);
        c2 = dot(direct, v128.and(i16x8.shr_u(b1, 8), mask), y, c2, one), c3 = dot(direct, i16x8.shr_u(b1, 12), y, c3, one);
      }
    }
    if (ASC_FEATURE_RELAXED_SIMD && !direct) {
      c0 = i32x4.dot_i16x8_s(c0, one), c1 = i32x4.dot_i16x8_s(c1, one), c2 = i32x4.dot_i16x8_s(c2, one), c3 = i32x4.dot_i16x8_s(c3, one);
    }
    const scales = v128.load(at, 32), scale = v128.load(at, 48);
    s0 = addGroup(s0, c0, scales, scale), s1 = addGroup(s1, c1, scales, scale);
    s2 = addGroup(s2, c2, scales, scale), s3 = addGroup(s3, c3, scales, scale);
  }
  return total(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

// @ts-ignore: decorator
@inline
function dotNibbles(direct: bool, weights: v128, a: v128, c: v128): v128 {
  return direct ? dot8(a, weights, c) : i16x8.add(c, i16x8.relaxed_dot_i8x16_i7x16_s(a, weights));
}

function total(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3);
}
