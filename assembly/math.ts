/**
 * exp, log, tanh, erf and sigmoid of four f32 lanes. We use our own polynomials, so that results do not depend on an engine's `Math`.
 *
 * The error bounds hold in every build. A lane's result depends only on that lane, so the scalar forms give the same bits.
 * NaN gives NaN. Coefficients are stored in memory, four times each: V8 rebuilds a v128 constant with three instructions at every use,
 * whereas a load is a single instruction.
 */
import { madd, nmadd } from "./simd";

// prettier-ignore
const EXP: usize = memory.data<f32>(
  [
    1.442695, 1.442695, 1.442695, 1.442695, // 1/ln 2
    12583039.0, 12583039.0, 12583039.0, 12583039.0, // 1.5·2²³ + 127: adding it rounds to an integer and adds the exponent bias
    12583166.0, 12583166.0, 12583166.0, 12583166.0, // the same for the largest exponent
    0.69314575, 0.69314575, 0.69314575, 0.69314575, // ln 2, high part
    1.4286068e-6, 1.4286068e-6, 1.4286068e-6, 1.4286068e-6, // ln 2, low part
    0.008289291, 0.008289291, 0.008289291, 0.008289291, // c5
    0.041897822, 0.041897822, 0.041897822, 0.041897822, // c4
    0.16667652, 0.16667652, 0.16667652, 0.16667652, // c3
    0.4999915, 0.4999915, 0.4999915, 0.4999915, // c2
    0.9999997, 0.9999997, 0.9999997, 0.9999997, // c1
    -87.33654, -87.33654, -87.33654, -87.33654, // ln of the smallest normal number
  ],
  16,
);

/**
 * eˣ = 2ᵏ·eᵗ with k = round(x / ln 2) and t = x − k·ln 2, |t| ≤ ½ ln 2; eᵗ is a polynomial of degree 5.
 * Relative error < 3e-7 on [−87.33, 88.37], and < 1e-4 up to 88.72. Above that, Infinity. Below −87.336, 0 (subnormals are flushed).
 * Source: XNNPACK f32-raddstoreexpminusmax, rr2-p5.
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const bias = v128.load(EXP, 16);
  const biased = f32x4.pmin(madd(x, v128.load(EXP), bias), v128.load(EXP, 32));
  const power = i32x4.shl(biased, 23); // 2ᵏ
  const k = f32x4.sub(biased, bias);
  const t = nmadd(k, v128.load(EXP, 64), nmadd(k, v128.load(EXP, 48), x));
  let p = madd(v128.load(EXP, 80), t, v128.load(EXP, 96));
  p = madd(p, t, v128.load(EXP, 112));
  p = madd(p, t, v128.load(EXP, 128));
  p = madd(p, t, v128.load(EXP, 144));
  const value = madd(f32x4.mul(t, power), p, power);
  return v128.andnot(value, f32x4.lt(x, v128.load(EXP, 160)));
}

const ONE: usize = memory.data<f32>([1, 1, 1, 1], 16);

/** 1 / (1 + e⁻ˣ). Relative error < 3e-7 on [−87, ∞); 0 below −88.72. */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  const one = v128.load(ONE);
  return f32x4.div(one, f32x4.add(one, exp(f32x4.sub(f32x4.splat(0), x))));
}

// prettier-ignore
const TANH: usize = memory.data<f32>(
  [
    9.1953125, 9.1953125, 9.1953125, 9.1953125, // clamp: the quotient is 1 from here on
    1.3319247e-8, 1.3319247e-8, 1.3319247e-8, 1.3319247e-8, // p9
    2.0583646e-5, 2.0583646e-5, 2.0583646e-5, 2.0583646e-5, // p7
    0.0034940462, 0.0034940462, 0.0034940462, 0.0034940462, // p5
    0.13379729, 0.13379729, 0.13379729, 0.13379729, // p3
    7.7621024e-7, 7.7621024e-7, 7.7621024e-7, 7.7621024e-7, // q8
    0.0003283111, 0.0003283111, 0.0003283111, 0.0003283111, // q6
    0.02587112, 0.02587112, 0.02587112, 0.02587112, // q4
    0.46713042, 0.46713042, 0.46713042, 0.46713042, // q2
    1.0, 1.0, 1.0, 1.0, // p1, q0
  ],
  16,
);

/**
 * tanh x = x·P(x²) / Q(x²), of degrees 9 and 8: our own minimax fit of the relative error on [−9.02, 9.02].
 * Relative error < 5e-7 everywhere; |tanh x| ≤ 1, and exactly ±1 for |x| ≥ 9.2.
 */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const one = v128.load(TANH, 144);
  const c = clamp(x, v128.load(TANH));
  const y = f32x4.mul(c, c);
  let p = madd(y, v128.load(TANH, 16), v128.load(TANH, 32));
  p = madd(p, y, v128.load(TANH, 48));
  p = madd(p, y, v128.load(TANH, 64));
  p = madd(p, y, one);
  let q = madd(y, v128.load(TANH, 80), v128.load(TANH, 96));
  q = madd(q, y, v128.load(TANH, 112));
  q = madd(q, y, v128.load(TANH, 128));
  q = madd(q, y, one);
  return clamp(f32x4.div(f32x4.mul(c, p), q), one);
}

// prettier-ignore
const ERF: usize = memory.data<f32>(
  [
    4.0, 4.0, 4.0, 4.0, // clamp: the quotient is 1 from here on
    2.0502303e-6, 2.0502303e-6, 2.0502303e-6, 2.0502303e-6, // p11
    0.0002848699, 0.0002848699, 0.0002848699, 0.0002848699, // p9
    0.0037649488, 0.0037649488, 0.0037649488, 0.0037649488, // p7
    0.052746635, 0.052746635, 0.052746635, 0.052746635, // p5
    0.19039057, 0.19039057, 0.19039057, 0.19039057, // p3
    1.1283791, 1.1283791, 1.1283791, 1.1283791, // p1
    3.809255e-5, 3.809255e-5, 3.809255e-5, 3.809255e-5, // q10
    0.0011623785, 0.0011623785, 0.0011623785, 0.0011623785, // q8
    0.014967865, 0.014967865, 0.014967865, 0.014967865, // q6
    0.11410256, 0.11410256, 0.11410256, 0.11410256, // q4
    0.502062, 0.502062, 0.502062, 0.502062, // q2
    1.0, 1.0, 1.0, 1.0, // q0
  ],
  16,
);

/**
 * erf x = x·P(x²) / Q(x²), of degrees 11 and 10: our own minimax fit of the relative error on [−3.92, 3.92].
 * Relative error < 5e-7 everywhere; |erf x| ≤ 1, and exactly ±1 for |x| ≥ 4.
 */
// @ts-ignore: decorator
@inline
export function erf(x: v128): v128 {
  const one = v128.load(ERF, 192);
  const c = clamp(x, v128.load(ERF));
  const y = f32x4.mul(c, c);
  let p = madd(y, v128.load(ERF, 16), v128.load(ERF, 32));
  p = madd(p, y, v128.load(ERF, 48));
  p = madd(p, y, v128.load(ERF, 64));
  p = madd(p, y, v128.load(ERF, 80));
  p = madd(p, y, v128.load(ERF, 96));
  let q = madd(y, v128.load(ERF, 112), v128.load(ERF, 128));
  q = madd(q, y, v128.load(ERF, 144));
  q = madd(q, y, v128.load(ERF, 160));
  q = madd(q, y, v128.load(ERF, 176));
  q = madd(q, y, one);
  return clamp(f32x4.div(f32x4.mul(c, p), q), one);
}

/** x clamped to [−limit, limit]; NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function clamp(x: v128, limit: v128): v128 {
  return f32x4.pmax(f32x4.pmin(x, limit), f32x4.sub(f32x4.splat(0), limit)); // f32x4.neg takes three instructions
}

// prettier-ignore
const LOG: usize = memory.data<f32>(
  [
    0.070376836292, 0.070376836292, 0.070376836292, 0.070376836292, // c8
    -0.1151461031, -0.1151461031, -0.1151461031, -0.1151461031, // c7
    0.11676998740, 0.11676998740, 0.11676998740, 0.11676998740, // c6
    -0.12420140846, -0.12420140846, -0.12420140846, -0.12420140846, // c5
    0.14249322787, 0.14249322787, 0.14249322787, 0.14249322787, // c4
    -0.16668057665, -0.16668057665, -0.16668057665, -0.16668057665, // c3
    0.20000714765, 0.20000714765, 0.20000714765, 0.20000714765, // c2
    -0.24999993993, -0.24999993993, -0.24999993993, -0.24999993993, // c1
    0.33333331174, 0.33333331174, 0.33333331174, 0.33333331174, // c0
    0.693359375, 0.693359375, 0.693359375, 0.693359375, // ln 2, high part
    -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, // ln 2, low part
  ],
  16,
);

/**
 * ln x = k·ln 2 + ln(1 + f) with 1 + f in [√½, √2); ln(1 + f) = f − f²/2 + f³·P(f), where P has degree 8.
 * Relative error < 1e-7 for normal numbers. Subnormals are treated as 0, which gives −Infinity; x < 0 gives NaN.
 * Source: Cephes logf.
 */
// @ts-ignore: decorator
@inline
export function log(x: v128): v128 {
  const aboveRoot = i32x4.sub(x, i32x4.splat(0x3f3504f3)); // the bits of √½
  const exponent = i32x4.shr_s(aboveRoot, 23);
  const k = f32x4.convert_i32x4_s(exponent);
  const f = f32x4.sub(i32x4.sub(x, i32x4.shl(exponent, 23)), f32x4.splat(1));
  let p = madd(v128.load(LOG), f, v128.load(LOG, 16));
  p = madd(p, f, v128.load(LOG, 32));
  p = madd(p, f, v128.load(LOG, 48));
  p = madd(p, f, v128.load(LOG, 64));
  p = madd(p, f, v128.load(LOG, 80));
  p = madd(p, f, v128.load(LOG, 96));
  p = madd(p, f, v128.load(LOG, 112));
  p = madd(p, f, v128.load(LOG, 128));
  const square = f32x4.mul(f, f);
  p = madd(k, v128.load(LOG, 160), f32x4.mul(f32x4.mul(square, f), p));
  p = f32x4.add(f, nmadd(square, f32x4.splat(0.5), p));
  const value = madd(k, v128.load(LOG, 144), p);
  const finite = v128.bitselect(value, x, f32x4.lt(x, f32x4.splat(f32.POSITIVE_INFINITY))); // Infinity and NaN are kept
  const positive = v128.or(finite, f32x4.lt(x, f32x4.splat(0)));
  return v128.bitselect(f32x4.splat(-f32.POSITIVE_INFINITY), positive, f32x4.lt(f32x4.abs(x), f32x4.splat(f32.MIN_NORMAL_VALUE)));
}

/** One lane of `exp`. */
// @ts-ignore: decorator
@inline
export function expScalar(x: f32): f32 {
  return f32x4.extract_lane(exp(f32x4.splat(x)), 0);
}

/** One lane of `log`. */
// @ts-ignore: decorator
@inline
export function logScalar(x: f32): f32 {
  return f32x4.extract_lane(log(f32x4.splat(x)), 0);
}
