/**
 * exp, log, sin and cos of one f64, for values that are computed once (position tables, initial weights), where accuracy matters more
 * than speed. The polynomials are those of fdlibm (Sun Microsystems 1993), accurate to within 1 ulp.
 */

const LN2_HIGH: f64 = 6.9314718036912381649e-1;
const LN2_LOW: f64 = 1.90821492927058770002e-10;

/** eˣ. Relative error < 4e-16 on [−708, 709]. Infinity above 709.78, 0 below −745.13; subnormals are kept. */
export function exp64(x: f64): f64 {
  if (x != x) return x;
  if (x > 709.782712893384) return f64.POSITIVE_INFINITY;
  if (x < -745.1332191019412) return 0;
  const k = nearest<f64>(x * 1.44269504088896338700);
  const high = x - k * LN2_HIGH;
  const low = k * LN2_LOW;
  const t = high - low;
  const tt = t * t;
  const p = 2.7777777777015593e-3 - tt * (6.6137563214379343e-5 - tt * (1.6533902205465252e-6 - tt * 4.1381367970572385e-8));
  const c = t - tt * (1.66666666666666019037e-1 - tt * p);
  const y = 1 + ((t * c) / (2 - c) - low + high);
  const half = <i32>k / 2; // 2ᵏ can overflow even if eˣ does not
  return y * power64(half) * power64(<i32>k - half);
}

// 2ᵏ for −1022 ≤ k ≤ 1023
// @ts-ignore: decorator
@inline
function power64(k: i32): f64 {
  return reinterpret<f64>(<i64>(k + 1023) << 52);
}

/** ln x. Relative error < 4e-16 for normal numbers. 0 and subnormals give −Infinity; x < 0 gives NaN. */
export function log64(x: f64): f64 {
  if (x < 0) return f64.NaN;
  if (x < f64.MIN_NORMAL_VALUE) return f64.NEGATIVE_INFINITY;
  if (!(x < f64.POSITIVE_INFINITY)) return x;
  const bits = reinterpret<i64>(x);
  const exponent = (bits - reinterpret<i64>(0.70710678118654752)) >> 52; // 1 + f in [√½, √2)
  const f = reinterpret<f64>(bits - (exponent << 52)) - 1;
  const k = <f64>exponent;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const even = w * (3.999999999940941908e-1 + w * (2.222219843214978396e-1 + w * 1.531383769920937332e-1));
  const odd = z * (6.666666666666735130e-1 + w * (2.857142874366239149e-1 + w * (1.818357216161805012e-1 + w * 1.479819860511658591e-1)));
  const half = 0.5 * f * f;
  return s * (half + even + odd) + k * LN2_LOW - half + f + k * LN2_HIGH;
}

/** sin x. Absolute error < 3e-16 for |x| ≤ 2²⁰; beyond that, the reduction by π/2 loses bits. */
export function sin64(x: f64): f64 {
  const quarter = nearest<f64>(x * TWO_OVER_PI);
  return quadrant(reduce(x, quarter), <i32>quarter);
}

/** cos x. Absolute error < 3e-16 for |x| ≤ 2²⁰. */
export function cos64(x: f64): f64 {
  const quarter = nearest<f64>(x * TWO_OVER_PI);
  return quadrant(reduce(x, quarter), <i32>quarter + 1);
}

const TWO_OVER_PI: f64 = 6.36619772367581382433e-1;

// x − quarter·π/2, with π/2 split into parts of 33, 33 and 53 bits
// @ts-ignore: decorator
@inline
function reduce(x: f64, quarter: f64): f64 {
  return x - quarter * 1.57079632673412561417 - quarter * 6.07710050630396597660e-11 - quarter * 2.02226624879595063154e-21;
}

// sin(r + quarters·π/2), |r| ≤ π/4
function quadrant(r: f64, quarters: i32): f64 {
  const z = r * r;
  let value: f64;
  if (quarters & 1) {
    const p =
      2.48015872894767294178e-5 + z * (-2.75573143513906633035e-7 + z * (2.08757232129817482790e-9 - z * 1.13596475577881948265e-11));
    value = 1 - (0.5 * z - z * z * (4.16666666666666019037e-2 + z * (-1.38888888888741095749e-3 + z * p)));
  } else {
    const p =
      -1.98412698298579493134e-4 + z * (2.75573137070700676789e-6 + z * (-2.50507602534068634195e-8 + z * 1.58969099521155010221e-10));
    value = r + z * r * (-1.66666666666666324348e-1 + z * (8.33333333332248946124e-3 + z * p));
  }
  return quarters & 2 ? -value : value;
}
