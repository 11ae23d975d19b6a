/**
 * A separate module that measures the machine's limits (peak FLOP/s and memory bandwidth), with which kernels are compared.
 * Ten or twelve independent chains hide the latency. Their sum is returned, so that they are not optimized away.
 */
export { groupTurn, int4Groups, int8Dots, int8Groups, rowTurn } from "./limit-integers";
import { madd, sum } from "./simd";

// Without fused multiply-add, a product needs one more register, and one of twelve chains would spill.
const CHAINS: i32 = ASC_FEATURE_RELAXED_SIMD ? 12 : 10;

/** Floating-point operations per iteration of `compute`: a multiplication and an addition for each lane of each chain. */
export const flopsPerTurn: i32 = CHAINS * 4 * 2;

/**
 * Multiplies and adds: two by five or six products per iteration. One factor of each is loaded from the 1 KB at `at`, so that the
 * compiler cannot hoist the products out of the loop.
 */
export function compute(at: usize, turns: i32): f32 {
  const x = v128.load(at);
  const y = v128.load(at, 16);
  let s0 = x, s1 = x, s2 = x, s3 = x, s4 = x, s5 = x, s6 = x, s7 = x, s8 = x, s9 = x, s10 = x, s11 = x;
  while (turns > 0) {
    const from = at + ((turns & 15) << 6);
    let v = v128.load(from);
    s0 = madd(x, v, s0);
    s1 = madd(y, v, s1);
    v = v128.load(from, 16);
    s2 = madd(x, v, s2);
    s3 = madd(y, v, s3);
    v = v128.load(from, 32);
    s4 = madd(x, v, s4);
    s5 = madd(y, v, s5);
    v = v128.load(from, 48);
    s6 = madd(x, v, s6);
    s7 = madd(y, v, s7);
    v = v128.load(from, 64);
    s8 = madd(x, v, s8);
    s9 = madd(y, v, s9);
    if (CHAINS == 12) {
      v = v128.load(from, 80);
      s10 = madd(x, v, s10);
      s11 = madd(y, v, s11);
    }
    turns--;
  }
  return total(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11);
}

/** Reads from `at` up to `end`; the distance is a multiple of 192 bytes. */
export function read(at: usize, end: usize): f32 {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0, s9 = s0, s10 = s0, s11 = s0;
  while (at < end) {
    s0 = f32x4.add(s0, v128.load(at));
    s1 = f32x4.add(s1, v128.load(at, 16));
    s2 = f32x4.add(s2, v128.load(at, 32));
    s3 = f32x4.add(s3, v128.load(at, 48));
    s4 = f32x4.add(s4, v128.load(at, 64));
    s5 = f32x4.add(s5, v128.load(at, 80));
    s6 = f32x4.add(s6, v128.load(at, 96));
    s7 = f32x4.add(s7, v128.load(at, 112));
    s8 = f32x4.add(s8, v128.load(at, 128));
    s9 = f32x4.add(s9, v128.load(at, 144));
    s10 = f32x4.add(s10, v128.load(at, 160));
    s11 = f32x4.add(s11, v128.load(at, 176));
    at += 192;
  }
  return total(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11);
}

// @ts-ignore: decorator
@inline
function total(
  s0: v128, s1: v128, s2: v128, s3: v128, s4: v128, s5: v128, s6: v128, s7: v128, s8: v128, s9: v128, s10: v128, s11: v128,
): f32 {
  const first = f32x4.add(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), f32x4.add(s4, s5));
  const last = f32x4.add(f32x4.add(f32x4.add(s6, s7), f32x4.add(s8, s9)), f32x4.add(s10, s11));
  return sum(f32x4.add(first, last));
}
