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

/** c + Σ of four products in each lane, exactly. b's bytes are 0 … 127, so that no engine saturates. Only in the relaxed build. */
// @ts-ignore: decorator
@inline
export function dot8(a: v128, b: v128, c: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c);
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
