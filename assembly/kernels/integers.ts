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

/** How four products are summed in a lane of 32 bits. The results are the same. */
export const enum Dots {
  /** One instruction on arm64 and on x64 with AVX-VNNI. */
  Direct,
  /** Other x64: there, a relaxed dot product is three instructions and two loads. Summing pairs in steps of our own spares the loads. */
  Pairs,
  /** For engines that take the wrong operand as unsigned: Node 20, where relaxed SIMD is an experiment. */
  Extended,
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

/** Which of them suits this engine and machine. */
export function chooseDots(): Dots {
  const negative = v128.load(PROBES), positive = v128.load(PROBES, 16);
  const isExact = i32x4.extract_lane(i32x4.relaxed_dot_i8x16_i7x16_add_s(negative, positive, i32x4.splat(0)), 0) == -4 * 127 &&
    i16x8.extract_lane_s(i16x8.relaxed_dot_i8x16_i7x16_s(negative, positive), 0) == -2 * 127;
  if (!isExact) return Dots.Extended;
  // 255 is no operand of 7 bits. x64 computes 127·255, but saturates a sum of two if it has to take two steps.
  const outside = i32x4.extract_lane(i32x4.relaxed_dot_i8x16_i7x16_add_s(positive, negative, i32x4.splat(0)), 0);
  return outside == 2 * 32767 ? Dots.Pairs : Dots.Direct;
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

/** The same by integers of 16 bits. */
// @ts-ignore: decorator
@inline
export function dotExtended(a: v128, b: v128, c: v128): v128 {
  const low = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(a), i16x8.extend_low_i8x16_s(b));
  const high = i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(a), i16x8.extend_high_i8x16_s(b));
  return i32x4.add(c, pairSums(low, high));
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
