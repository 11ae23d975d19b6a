import { cos64, exp64, log64, sin64 } from "../../assembly/math64";

const SAMPLES = 20000;

/** |actual − expected| / |expected|; NaN counts as Infinity. */
function relative(actual: f64, expected: f64): f64 {
  const error = abs(actual - expected) / abs(expected);
  return actual == expected ? 0 : error == error ? error : Infinity;
}

describe("math64", () => {
  it("exp64 has relative error < 4e-16 on [−708, 709]", () => {
    let worst: f64 = 0;
    for (let i = 0; i < SAMPLES; i++) {
      const x = -708.0 + (1417.0 * i) / SAMPLES;
      worst = max(worst, relative(exp64(x), NativeMath.exp(x)));
    }
    expect<f64>(worst).toBeLessThan(4e-16);
  });

  it("log64 has relative error < 4e-16 on [1e-300, 1e300], including near 1", () => {
    let worst: f64 = 0;
    for (let i = 0; i < SAMPLES; i++) {
      const x = NativeMath.exp(-690.0 + (1380.0 * i) / SAMPLES);
      const near = 0.9 + (0.2 * i) / SAMPLES;
      worst = max(worst, max(relative(log64(x), NativeMath.log(x)), relative(log64(near), NativeMath.log(near))));
    }
    expect<f64>(worst).toBeLessThan(4e-16);
  });

  it("sin64 and cos64 have absolute error < 3e-16 on [−2²⁰, 2²⁰] and on [−10, 10]", () => {
    let worst: f64 = 0;
    for (let i = 0; i < SAMPLES; i++) {
      const u = (2.0 * i) / SAMPLES - 1;
      worst = max(worst, abs(sin64(u * 1048576) - NativeMath.sin(u * 1048576)));
      worst = max(worst, abs(cos64(u * 1048576) - NativeMath.cos(u * 1048576)));
      worst = max(worst, abs(sin64(u * 10) - NativeMath.sin(u * 10)));
      worst = max(worst, abs(cos64(u * 10) - NativeMath.cos(u * 10)));
    }
    expect<f64>(worst).toBeLessThan(3e-16);
  });

  it("has the right limits: exp64 at ±Infinity, log64 at 0 and Infinity, and NaN for NaN", () => {
    expect<f64>(exp64(Infinity)).toBe(Infinity);
    expect<f64>(exp64(-Infinity)).toBe(0);
    expect<f64>(exp64(0)).toBe(1);
    expect<f64>(exp64(-745)).toBe(5e-324);
    expect<f64>(log64(Infinity)).toBe(Infinity);
    expect<f64>(log64(0)).toBe(-Infinity);
    expect<f64>(log64(1)).toBe(0);
    expect<bool>(isNaN(log64(-1))).toBe(true);
    expect<bool>(isNaN(exp64(NaN)) && isNaN(log64(NaN)) && isNaN(sin64(NaN)) && isNaN(cos64(NaN))).toBe(true);
  });
});
