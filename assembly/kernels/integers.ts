/** What the products of integers share. */
import { IntegerBlock } from "../layouts";

// prettier-ignore
const MASKS: usize = memory.data<u32>(
  [0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f], 16,
);

/** The lower four bits of every byte, or in the plain build of every second byte. Loaded, the mask stays in a register. */
// @ts-ignore: decorator
@inline
export function nibbleMask(): v128 {
  return v128.load(ASC_FEATURE_RELAXED_SIMD ? MASKS : MASKS + 16);
}

/** Bytes of a block of a weight. */
// @ts-ignore: decorator
@inline
export function weightBytes(group: i32, isInt4: bool): usize {
  return <usize>(isInt4 ? IntegerBlock.Int4 + 4 * group : IntegerBlock.Int8 + 8 * group);
}

// prettier-ignore
const PROBES: usize = memory.data<u8>(
  [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127,
    1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, // a 1 in every 16 bits
  ],
  16,
);

/**
 * Whether a relaxed dot product of four bytes is one instruction, as on arm64 and on x64 with AVX-VNNI. On other x64 it takes three and two
 * loads; a product of pairs and their sums, in instructions of our own, spares the loads: 88 → 118 GOP/s. The results are the same.
 */
export function hasDirectDots(): bool {
  if (!ASC_FEATURE_RELAXED_SIMD) return false;
  // 255 is no operand of 7 bits: x64 multiplies by 255, but saturates the sum of a pair unless it sums four at once. Node 20's baseline
  // compiler doubles a sum that starts from 0, so there the answer is no as well.
  const negative = v128.load(PROBES), positive = v128.load(PROBES, 16);
  const sum = i32x4.extract_lane(i32x4.relaxed_dot_i8x16_i7x16_add_s(negative, positive, i32x4.splat(0)), 0);
  const outside = i32x4.extract_lane(i32x4.relaxed_dot_i8x16_i7x16_add_s(positive, negative, i32x4.splat(0)), 0);
  return sum == -4 * 127 && outside != 2 * 32767;
}

/** 1 in each of eight lanes. */
// @ts-ignore: decorator
@inline
export function ones(): v128 {
  return v128.load(PROBES, 32);
}

/** c + Σ of four products in each lane, exactly. b's bytes are 0 … 127, so that no engine saturates. Only in the relaxed build. */
// @ts-ignore: decorator
@inline
export function dot8(a: v128, b: v128, c: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c);
}

/** The same in two steps. */
// @ts-ignore: decorator
@inline
export function dot8InPairs(a: v128, b: v128, c: v128, one: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(a, b), one));
}

/** [a0 + a1, a2 + a3, b0 + b1, b2 + b3] */
// @ts-ignore: decorator
@inline
export function pairSums(a: v128, b: v128): v128 {
  return i32x4.add(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7));
}

/**
 * s + (c·scaleB)·scaleA. No operation is fused, in any build, so that all builds give the same bits. This order overflows only if the
 * result does: 0 times a product of scales that is infinite would be NaN.
 */
// @ts-ignore: decorator
@inline
export function addGroup(s: v128, c: v128, scaleB: v128, scaleA: v128): v128 {
  return f32x4.add(s, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(c), scaleB), scaleA));
}
