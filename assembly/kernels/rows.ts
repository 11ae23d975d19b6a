/**
 * Reductions of one row, which may start at any multiple of 4 bytes.
 *
 * A row is summed in blocks: each block in f32, the block sums in f64, in a fixed order. A term takes part in at most 70 f32 additions,
 * so the error of a sum is < 70·2⁻²⁴ = 4.2e-6 times Σ |term| for rows of any length.
 */
import { exp } from "../math";
import { loadTail, madd, maximum, maxOrNaN, storeTail, sum } from "../simd";
import { element } from "./element";

/** The number of elements in a block, which has 16 partial sums. */
export const BLOCK: i32 = 1024;
/** The number of elements in a block of `exponentials`, which has four partial sums. */
const EXP_BLOCK: i32 = 256;

/** The largest x[i]; NaN if any x[i] is NaN; −Infinity if n is 0. */
export function rowMaximum(x: usize, n: i32): f32 {
  let vmax0 = f32x4.splat(-f32.POSITIVE_INFINITY);
  let vmax1 = vmax0;
  for (; n >= 8; n -= 8, x += 32) {
    vmax0 = maxOrNaN(vmax0, v128.load(x));
    vmax1 = maxOrNaN(vmax1, v128.load(x, 16));
  }
  let largest = maximum(maxOrNaN(vmax0, vmax1));
  for (; n > 0; n--, x += 4) largest = max(largest, load<f32>(x)); // wasm's f32.max propagates NaN
  return largest;
}

const enum Term { Value, Square, Product }

/** Σ (x[i] − shift). */
export function rowSum(x: usize, shift: f32, n: i32): f32 { return sumTerms(x, 0, shift, n, Term.Value); }

/** Σ (x[i] − shift)². */
export function rowSquareSum(x: usize, shift: f32, n: i32): f32 { return sumTerms(x, 0, shift, n, Term.Square); }

/** Σ a[i]·b[i]. */
export function rowDot(a: usize, b: usize, n: i32): f32 { return sumTerms(a, b, 0, n, Term.Product); }

// The loop shared by the three sums. `term` is a constant, so only its branches are compiled.
// @ts-ignore: decorator
@inline
function sumTerms(x: usize, y: usize, shift: f32, n: i32, term: Term): f32 {
  const vshift = f32x4.splat(shift);
  let total: f64 = 0;
  while (true) {
    let count = min(n, BLOCK);
    n -= count;
    let vacc0 = f32x4.splat(0);
    let vacc1 = f32x4.splat(0);
    let vacc2 = f32x4.splat(0);
    let vacc3 = f32x4.splat(0);
    for (; count >= 16; count -= 16, x += 64) {
      vacc0 = addTerms(vacc0, v128.load(x), y, vshift, term);
      vacc1 = addTerms(vacc1, v128.load(x, 16), y + 16, vshift, term);
      vacc2 = addTerms(vacc2, v128.load(x, 32), y + 32, vshift, term);
      vacc3 = addTerms(vacc3, v128.load(x, 48), y + 48, vshift, term);
      if (term == Term.Product) y += 64;
    }
    for (; count >= 4; count -= 4, x += 16) {
      vacc0 = addTerms(vacc0, v128.load(x), y, vshift, term);
      if (term == Term.Product) y += 16;
    }
    let blockTotal = sum(f32x4.add(f32x4.add(vacc0, vacc1), f32x4.add(vacc2, vacc3)));
    for (; count > 0; count--, x += 4) {
      const value = load<f32>(x) - shift;
      if (term == Term.Value) blockTotal += value;
      else if (term == Term.Square) blockTotal += value * value;
      else {
        blockTotal += value * load<f32>(y);
        y += 4;
      }
    }
    // A single block needs no f64, which saves 5 % for a row of 384.
    if (n == 0) return total == 0 ? blockTotal : <f32>(total + <f64>blockTotal);
    total += <f64>blockTotal;
  }
}

// @ts-ignore: decorator
@inline
function addTerms(vacc: v128, vx: v128, y: usize, vshift: v128, term: Term): v128 {
  if (term == Term.Product) return madd(vx, v128.load(y), vacc);
  const value = f32x4.sub(vx, vshift);
  return term == Term.Value ? f32x4.add(vacc, value) : madd(value, value, vacc);
}

/** out[i] = exp(x[i] − shift). Returns their sum. `out` may alias x, or be 0 to compute only the sum. */
export function exponentials(out: usize, x: usize, shift: f32, n: i32): f32 {
  const vshift = f32x4.splat(shift);
  let total: f64 = 0;
  while (n >= 4) {
    let count = min(n & ~3, EXP_BLOCK);
    n -= count;
    let vacc = f32x4.splat(0);
    for (; count >= 8; count -= 8, x += 32) { // two vectors at a time, which saves 8 % of a softmax
      const ve0 = exp(f32x4.sub(v128.load(x), vshift));
      const ve1 = exp(f32x4.sub(v128.load(x, 16), vshift));
      vacc = f32x4.add(f32x4.add(vacc, ve0), ve1);
      if (out == 0) continue;
      v128.store(out, ve0);
      v128.store(out, ve1, 16);
      out += 32;
    }
    if (count != 0) {
      const ve = exp(f32x4.sub(v128.load(x), vshift));
      vacc = f32x4.add(vacc, ve);
      if (out != 0) {
        v128.store(out, ve);
        out += 16;
      }
      x += 16;
    }
    total += <f64>sum(vacc);
  }
  if (n == 0) return <f32>total;
  const ve = exp(f32x4.sub(loadTail(x, n), vshift));
  if (out != 0) storeTail(out, ve, n);
  let rest = f32x4.extract_lane(ve, 0);
  if (n > 1) rest += f32x4.extract_lane(ve, 1);
  if (n > 2) rest += f32x4.extract_lane(ve, 2);
  return <f32>(total + <f64>rest);
}

/** to[i] += factor·x[i]. Inlined because rows are often short. */
// @ts-ignore: decorator
@inline
export function addScaledRow(to: usize, factor: f32, x: usize, n: i32): void {
  const vfactor = f32x4.splat(factor);
  const end = element(to, n);
  const vectorEnd = element(to, n & -4);
  for (; to < vectorEnd; to += 16, x += 16) v128.store(to, madd(vfactor, v128.load(x), v128.load(to)));
  for (; to < end; to += 4, x += 4) v128.store32_lane(to, madd(vfactor, v128.load32_zero(x), v128.load32_zero(to)), 0);
}
