/**
 * One row of quantized activations times eight rows of an integer weight, as in decoding: the weight is read once, front to back.
 *
 * Both functions compute sums[j] += Σ_g (Σ_k a[g, k]·b[g, j, k])·scaleB[g, j]·scaleA[g], group by group. A group's products are summed
 * as integers, exactly. Operands:
 *   sums    f32 [8], aligned to 16
 *   a       a block of `quantizeRows` for each group
 *   b       a block of the weight for each group (`IntegerBlock`)
 *   groups  the number of groups
 *   group   columns of a group
 */
import { IntegerBlock, Quantized } from "../layouts";
import { addGroup, dot8, nibbleMask, pairSums } from "./integers";

export function rowInt8(sums: usize, a: usize, b: usize, groups: i32, group: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16);
  for (; groups > 0; groups--) {
    const scales = b, scale = v128.load32_splat(a);
    let c0: v128, c1: v128;
    a += Quantized.Header;
    if (ASC_FEATURE_RELAXED_SIMD) {
      c0 = v128.load(b, IntegerBlock.Offsets), c1 = v128.load(b, IntegerBlock.Offsets + 16);
      b += IntegerBlock.Int8;
      for (const end = a + <usize>group; a < end; a += 32, b += 256) {
        let va = v128.load32_splat(a);
        c0 = dot8(v128.load(b), va, c0), c1 = dot8(v128.load(b, 16), va, c1);
        va = v128.load32_splat(a, 4);
        c0 = dot8(v128.load(b, 32), va, c0), c1 = dot8(v128.load(b, 48), va, c1);
        va = v128.load32_splat(a, 8);
        c0 = dot8(v128.load(b, 64), va, c0), c1 = dot8(v128.load(b, 80), va, c1);
        va = v128.load32_splat(a, 12);
        c0 = dot8(v128.load(b, 96), va, c0), c1 = dot8(v128.load(b, 112), va, c1);
        va = v128.load32_splat(a, 16);
        c0 = dot8(v128.load(b, 128), va, c0), c1 = dot8(v128.load(b, 144), va, c1);
        va = v128.load32_splat(a, 20);
        c0 = dot8(v128.load(b, 160), va, c0), c1 = dot8(v128.load(b, 176), va, c1);
        va = v128.load32_splat(a, 24);
        c0 = dot8(v128.load(b, 192), va, c0), c1 = dot8(v128.load(b, 208), va, c1);
        va = v128.load32_splat(a, 28);
        c0 = dot8(v128.load(b, 224), va, c0), c1 = dot8(v128.load(b, 240), va, c1);
      }
    } else {
      let d0 = i32x4.splat(0), d1 = d0, d2 = d0, d3 = d0;
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
      c0 = pairSums(d0, d1), c1 = pairSums(d2, d3);
    }
    s0 = addGroup(s0, c0, v128.load(scales), scale);
    s1 = addGroup(s1, c1, v128.load(scales, 16), scale);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16);
}

export function rowInt4(sums: usize, a: usize, b: usize, groups: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16);
  const mask = nibbleMask();
  for (; groups > 0; groups--) {
    let c0 = v128.load32_splat(a, 4), c1 = c0;
    if (ASC_FEATURE_RELAXED_SIMD) {
      let x = v128.load(b, 32), va = v128.load32_splat(a, 16);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 48), va = v128.load32_splat(a, 20);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 64), va = v128.load32_splat(a, 24);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 80), va = v128.load32_splat(a, 28);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 96), va = v128.load32_splat(a, 32);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 112), va = v128.load32_splat(a, 36);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 128), va = v128.load32_splat(a, 40);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
      x = v128.load(b, 144), va = v128.load32_splat(a, 44);
      c0 = dot8(va, v128.and(x, mask), c0), c1 = dot8(va, v128.and(i16x8.shr_u(x, 4), mask), c1);
    } else {
      let at = a + Quantized.Header, from = b + IntegerBlock.Int4;
      for (const end = from + 128; from < end; from += 16, at += 8) {
        const x = v128.load(from), va0 = v128.load32_splat(at), va1 = v128.load32_splat(at, 4);
        c0 = i32x4.add(c0, i32x4.dot_i16x8_s(v128.and(x, mask), va0));
        c1 = i32x4.add(c1, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(x, 4), mask), va0));
        c0 = i32x4.add(c0, i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(x, 8), mask), va1));
        c1 = i32x4.add(c1, i32x4.dot_i16x8_s(i16x8.shr_u(x, 12), va1));
      }
    }
    const scale = v128.load32_splat(a);
    s0 = addGroup(s0, c0, v128.load(b), scale);
    s1 = addGroup(s1, c1, v128.load(b, 16), scale);
    a += Quantized.Header + (ASC_FEATURE_RELAXED_SIMD ? IntegerBlock.Group : 2 * IntegerBlock.Group);
    b += IntegerBlock.Int4 + 16 * IntegerBlock.Group / 4;
  }
  v128.store(sums, s0), v128.store(sums, s1, 16);
}
