/**
 * One row of quantized activations times two panels of an integer weight, as in decoding: each is read once, front to back.
 *
 * All functions compute sums[j] += Σ_g (Σ_k a[g, k]·b[g, j, k])·scaleB[g, j]·scaleA[g], group by group. A group's products are summed
 * as integers, exactly. Operands:
 *   sums    f32 [16], aligned to 16: eight for each panel
 *   a       a block of `quantizeRows` for each group
 *   b       a block of the weight for each group (`IntegerBlock`)
 *   next    the same of the other panel
 *   groups  the number of groups
 *   group   columns of a group; int4 has 32
 *   direct  see `hasDirectDots`
 */
import { IntegerBlock, Quantized } from "../layouts";
import { addGroup, dot8, dot8InPairs, nibbleMask, ones, pairSums } from "./integers";

export function rowInt8(sums: usize, a: usize, b: usize, next: usize, groups: i32, group: i32, direct: bool): void {
  if (!ASC_FEATURE_RELAXED_SIMD) plainInt8(sums, a, b, groups, group), plainInt8(sums + 32, a, next, groups, group);
  else if (direct) directInt8(sums, a, b, next, groups, group);
  else pairsInt8(sums, a, b, next, groups, group);
}

export function rowInt4(sums: usize, a: usize, b: usize, next: usize, groups: i32, direct: bool): void {
  if (!ASC_FEATURE_RELAXED_SIMD) plainInt4(sums, a, b, groups), plainInt4(sums + 32, a, next, groups);
  else if (direct) directInt4(sums, a, b, next, groups);
  else pairsInt4(sums, a, b, next, groups);
}

function directInt8(sums: usize, a: usize, b: usize, next: usize, groups: i32, group: i32): void {
  relaxedInt8(sums, a, b, next, groups, group, true);
}

function pairsInt8(sums: usize, a: usize, b: usize, next: usize, groups: i32, group: i32): void {
  relaxedInt8(sums, a, b, next, groups, group, false);
}

function directInt4(sums: usize, a: usize, b: usize, next: usize, groups: i32): void {
  relaxedInt4(sums, a, b, next, groups, true);
}

function pairsInt4(sums: usize, a: usize, b: usize, next: usize, groups: i32): void {
  relaxedInt4(sums, a, b, next, groups, false);
}

// @ts-ignore: decorator
@inline
function dot(direct: bool, weights: v128, activations: v128, c: v128, one: v128): v128 {
  return direct ? dot8(weights, activations, c) : dot8InPairs(weights, activations, c, one);
}

// @ts-ignore: decorator
@inline
function relaxedInt8(sums: usize, a: usize, b: usize, next: usize, groups: i32, group: i32, direct: bool): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16), s2 = v128.load(sums, 32), s3 = v128.load(sums, 48);
  const one = ones();
  for (; groups > 0; groups--) {
    const scales = b, nextScales = next, scale = v128.load32_splat(a);
    let c0 = v128.load(b, IntegerBlock.Offsets), c1 = v128.load(b, IntegerBlock.Offsets + 16);
    let c2 = v128.load(next, IntegerBlock.Offsets), c3 = v128.load(next, IntegerBlock.Offsets + 16);
    a += Quantized.Header;
    b += IntegerBlock.Int8;
    next += IntegerBlock.Int8;
    for (const end = a + <usize>group; a < end; a += 16, b += 128, next += 128) {
      let va = v128.load32_splat(a);
      c0 = dot(direct, v128.load(b), va, c0, one), c1 = dot(direct, v128.load(b, 16), va, c1, one);
      c2 = dot(direct, v128.load(next), va, c2, one), c3 = dot(direct, v128.load(next, 16), va, c3, one);
      va = v128.load32_splat(a, 4);
      c0 = dot(direct, v128.load(b, 32), va, c0, one), c1 = dot(direct, v128.load(b, 48), va, c1, one);
      c2 = dot(direct, v128.load(next, 32), va, c2, one), c3 = dot(direct, v128.load(next, 48), va, c3, one);
      va = v128.load32_splat(a, 8);
      c0 = dot(direct, v128.load(b, 64), va, c0, one), c1 = dot(direct, v128.load(b, 80), va, c1, one);
      c2 = dot(direct, v128.load(next, 64), va, c2, one), c3 = dot(direct, v128.load(next, 80), va, c3, one);
      va = v128.load32_splat(a, 12);
      c0 = dot(direct, v128.load(b, 96), va, c0, one), c1 = dot(direct, v128.load(b, 112), va, c1, one);
      c2 = dot(direct, v128.load(next, 96), va, c2, one), c3 = dot(direct, v128.load(next, 112), va, c3, one);
    }
    s0 = addGroup(s0, c0, v128.load(scales), scale), s1 = addGroup(s1, c1, v128.load(scales, 16), scale);
    s2 = addGroup(s2, c2, v128.load(nextScales), scale), s3 = addGroup(s3, c3, v128.load(nextScales, 16), scale);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16), v128.store(sums, s2, 32), v128.store(sums, s3, 48);
}

// c + Σ of the products with half a byte each. Sums of pairs fit 16 bits for a whole group: 8·2·127·15 < 2¹⁵.
// @ts-ignore: decorator
@inline
function dotNibbles(direct: bool, nibbles: v128, activations: v128, c: v128): v128 {
  return direct ? dot8(activations, nibbles, c) : i16x8.add(c, i16x8.relaxed_dot_i8x16_i7x16_s(activations, nibbles));
}

// @ts-ignore: decorator
@inline
function relaxedInt4(sums: usize, a: usize, b: usize, next: usize, groups: i32, direct: bool): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16), s2 = v128.load(sums, 32), s3 = v128.load(sums, 48);
  const mask = nibbleMask(), one = ones();
  for (; groups > 0; groups--) {
    const scales = b, nextScales = next, scale = v128.load32_splat(a), offset = v128.load32_splat(a, 4);
    let c0 = direct ? offset : i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
    a += Quantized.Header;
    b += IntegerBlock.Int4;
    next += IntegerBlock.Int4;
    for (const end = a + IntegerBlock.Group; a < end; a += 16, b += 64, next += 64) {
      let x = v128.load(b), va = v128.load32_splat(a);
      c0 = dotNibbles(direct, v128.and(x, mask), va, c0), c1 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c1);
      x = v128.load(next);
      c2 = dotNibbles(direct, v128.and(x, mask), va, c2), c3 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c3);
      x = v128.load(b, 16), va = v128.load32_splat(a, 4);
      c0 = dotNibbles(direct, v128.and(x, mask), va, c0), c1 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c1);
      x = v128.load(next, 16);
      c2 = dotNibbles(direct, v128.and(x, mask), va, c2), c3 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c3);
      x = v128.load(b, 32), va = v128.load32_splat(a, 8);
      c0 = dotNibbles(direct, v128.and(x, mask), va, c0), c1 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c1);
      x = v128.load(next, 32);
      c2 = dotNibbles(direct, v128.and(x, mask), va, c2), c3 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c3);
      x = v128.load(b, 48), va = v128.load32_splat(a, 12);
      c0 = dotNibbles(direct, v128.and(x, mask), va, c0), c1 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c1);
      x = v128.load(next, 48);
      c2 = dotNibbles(direct, v128.and(x, mask), va, c2), c3 = dotNibbles(direct, v128.and(i16x8.shr_u(x, 4), mask), va, c3);
    }
    if (!direct) {
      c0 = i32x4.add(i32x4.dot_i16x8_s(c0, one), offset), c1 = i32x4.add(i32x4.dot_i16x8_s(c1, one), offset);
      c2 = i32x4.add(i32x4.dot_i16x8_s(c2, one), offset), c3 = i32x4.add(i32x4.dot_i16x8_s(c3, one), offset);
    }
    s0 = addGroup(s0, c0, v128.load(scales), scale), s1 = addGroup(s1, c1, v128.load(scales, 16), scale);
    s2 = addGroup(s2, c2, v128.load(nextScales), scale), s3 = addGroup(s3, c3, v128.load(nextScales, 16), scale);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16), v128.store(sums, s2, 32), v128.store(sums, s3, 48);
}

function plainInt8(sums: usize, a: usize, b: usize, groups: i32, group: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16);
  for (; groups > 0; groups--) {
    const scales = b, scale = v128.load32_splat(a);
    let d0 = i32x4.splat(0), d1 = d0, d2 = d0, d3 = d0;
    a += Quantized.Header;
    b += IntegerBlock.Int8;
    for (const end = a + 2 * <usize>group; a < end; a += 16, b += 64) {
      const va0 = v128.load64_splat(a), va1 = v128.load64_splat(a, 8);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(v128.load_ext<i8>(b), va0));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 8), va0));
      d2 = i32x4.add(d2, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 16), va0));
      d3 = i32x4.add(d3, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 24), va0));
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 32), va1));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 40), va1));
      d2 = i32x4.add(d2, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 48), va1));
      d3 = i32x4.add(d3, i32x4.dot_i16x8_s(v128.load_ext<i8>(b, 56), va1));
    }
    s0 = addGroup(s0, pairSums(d0, d1), v128.load(scales), scale);
    s1 = addGroup(s1, pairSums(d2, d3), v128.load(scales, 16), scale);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16);
}

function plainInt4(sums: usize, a: usize, b: usize, groups: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16);
  const mask = nibbleMask();
  for (; groups > 0; groups--) {
    const scales = b, scale = v128.load32_splat(a);
    let c0 = v128.load32_splat(a, 4), c1 = c0;
    a += Quantized.Header;
    b += IntegerBlock.Int4;
    for (const end = a + 2 * IntegerBlock.Group; a < end; a += 8, b += 16) {
      const x = v128.load(b), va0 = v128.load32_splat(a), va1 = v128.load32_splat(a, 4);
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(v128.and(x, mask), va0));
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(x, 4), mask), va0));
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(x, 8), mask), va1));
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(i16x8.shr_u(x, 12), va1));
    }
    s0 = addGroup(s0, c0, v128.load(scales), scale);
    s1 = addGroup(s1, c1, v128.load(scales, 16), scale);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16);
}
