/** Sums of rows, which may start at any multiple of 4 bytes: vector body, then tail. The order of the terms is fixed. */
import { madd, maximum, maxOrNaN, sum } from "../simd";
import { element } from "./element";

/** The largest x[i]; NaN if any is; −Infinity if n is 0. */
export function rowMaximum(x: usize, n: i32): f32 {
  let vmax0 = f32x4.splat(-f32.POSITIVE_INFINITY);
  let vmax1 = vmax0;
  for (; n >= 8; n -= 8, x += 32) {
    vmax0 = maxOrNaN(vmax0, v128.load(x));
    vmax1 = maxOrNaN(vmax1, v128.load(x, 16));
  }
  let largest = maximum(maxOrNaN(vmax0, vmax1));
  for (; n > 0; n--, x += 4) largest = max(largest, load<f32>(x)); // wasm's f32.max passes NaN on
  return largest;
}

/** Σ (x[i] − shift), in 16 partial sums. */
export function rowSum(x: usize, shift: f32, n: i32): f32 {
  const vshift = f32x4.splat(shift);
  let vacc0 = f32x4.splat(0);
  let vacc1 = f32x4.splat(0);
  let vacc2 = f32x4.splat(0);
  let vacc3 = f32x4.splat(0);
  for (; n >= 16; n -= 16, x += 64) {
    vacc0 = f32x4.add(vacc0, f32x4.sub(v128.load(x), vshift));
    vacc1 = f32x4.add(vacc1, f32x4.sub(v128.load(x, 16), vshift));
    vacc2 = f32x4.add(vacc2, f32x4.sub(v128.load(x, 32), vshift));
    vacc3 = f32x4.add(vacc3, f32x4.sub(v128.load(x, 48), vshift));
  }
  for (; n >= 4; n -= 4, x += 16) vacc0 = f32x4.add(vacc0, f32x4.sub(v128.load(x), vshift));
  let total = sum(f32x4.add(f32x4.add(vacc0, vacc1), f32x4.add(vacc2, vacc3)));
  for (; n > 0; n--, x += 4) total += load<f32>(x) - shift;
  return total;
}

/** Σ (x[i] − shift)², in 16 partial sums. */
export function rowSquareSum(x: usize, shift: f32, n: i32): f32 {
  const vshift = f32x4.splat(shift);
  let vacc0 = f32x4.splat(0);
  let vacc1 = f32x4.splat(0);
  let vacc2 = f32x4.splat(0);
  let vacc3 = f32x4.splat(0);
  for (; n >= 16; n -= 16, x += 64) {
    const vd0 = f32x4.sub(v128.load(x), vshift);
    const vd1 = f32x4.sub(v128.load(x, 16), vshift);
    const vd2 = f32x4.sub(v128.load(x, 32), vshift);
    const vd3 = f32x4.sub(v128.load(x, 48), vshift);
    vacc0 = madd(vd0, vd0, vacc0);
    vacc1 = madd(vd1, vd1, vacc1);
    vacc2 = madd(vd2, vd2, vacc2);
    vacc3 = madd(vd3, vd3, vacc3);
  }
  for (; n >= 4; n -= 4, x += 16) {
    const vd = f32x4.sub(v128.load(x), vshift);
    vacc0 = madd(vd, vd, vacc0);
  }
  let total = sum(f32x4.add(f32x4.add(vacc0, vacc1), f32x4.add(vacc2, vacc3)));
  for (; n > 0; n--, x += 4) total += (load<f32>(x) - shift) * (load<f32>(x) - shift);
  return total;
}

/** to[i] += factor·x[i]. Inlined: rows are often short. */
// @ts-ignore: decorator
@inline
export function addScaledRow(to: usize, factor: f32, x: usize, n: i32): void {
  const vfactor = f32x4.splat(factor);
  const end = element(to, n);
  const vectorEnd = element(to, n & -4);
  for (; to < vectorEnd; to += 16, x += 16) v128.store(to, madd(vfactor, v128.load(x), v128.load(to)));
  for (; to < end; to += 4, x += 4) v128.store32_lane(to, madd(vfactor, v128.load32_zero(x), v128.load32_zero(to)), 0);
}
