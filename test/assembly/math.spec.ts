import { clamp, erf, exp, expScalar, log, logScalar, sigmoid, tanh } from "../../assembly/math";

const SAMPLES = 40000;
const BUFFER: usize = memory.data(16, 16);

const enum Kind {
  Exp,
  Log,
  Tanh,
  Erf,
  Sigmoid,
}

/** Applies the function under test to one number, in lane 2 of 4. The other lanes hold NaN, which must not spread. */
function value(kind: Kind, x: f32): f32 {
  const v = f32x4.replace_lane(f32x4.splat(f32.NaN), 2, x);
  switch (kind) {
    case Kind.Exp: v128.store(BUFFER, exp(v)); break;
    case Kind.Log: v128.store(BUFFER, log(v)); break;
    case Kind.Tanh: v128.store(BUFFER, tanh(v)); break;
    case Kind.Erf: v128.store(BUFFER, erf(v)); break;
    default: v128.store(BUFFER, sigmoid(v));
  }
  return load<f32>(BUFFER, 8);
}

/** The same function in f64. */
function exact(kind: Kind, x: f64): f64 {
  switch (kind) {
    case Kind.Exp: return NativeMath.exp(x);
    case Kind.Log: return NativeMath.log(x);
    case Kind.Tanh: return NativeMath.tanh(x);
    case Kind.Erf: return exactErf(x);
    default: return 1 / (1 + NativeMath.exp(-x));
  }
}

/** erf x = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n!(2n + 1)), within 1e-11 for |x| < 4.5. */
function exactErf(x: f64): f64 {
  let power = x;
  let total = x;
  for (let n = 1; n < 100; n++) {
    power *= (-x * x) / n;
    total += power / (2 * n + 1);
  }
  return total * 1.1283791670955126;
}

/** The largest relative error at `SAMPLES` points of [from, to]. NaN counts as Infinity. */
function worstOn(kind: Kind, from: f64, to: f64): f64 {
  let worst: f64 = 0;
  for (let i = 0; i <= SAMPLES; i++) {
    const x = <f32>(from + ((to - from) * i) / SAMPLES);
    worst = max(worst, relative(kind, x));
  }
  return worst;
}

/** The largest relative error at `SAMPLES` points ±e^u with u in [from, to], for small and large magnitudes. */
function worstOnPowers(kind: Kind, from: f64, to: f64, sign: f64): f64 {
  let worst: f64 = 0;
  for (let i = 0; i <= SAMPLES; i++) {
    const x = <f32>(sign * NativeMath.exp(from + ((to - from) * i) / SAMPLES));
    worst = max(worst, relative(kind, x));
  }
  return worst;
}

function relative(kind: Kind, x: f32): f64 {
  const expected = exact(kind, x);
  const actual: f64 = value(kind, x);
  if (actual == expected) return 0;
  const error = abs(actual - expected) / abs(expected);
  return error == error ? error : Infinity;
}

describe("exp", () => {
  it("has relative error < 3e-7 on [−87.33, 88.37]", () => {
    expect<f64>(worstOn(Kind.Exp, -87.33, 88.37)).toBeLessThan(3e-7);
    expect<f64>(worstOn(Kind.Exp, -1, 1)).toBeLessThan(3e-7);
  });

  it("has relative error < 1e-4 on [88.37, 88.72], and is Infinity above", () => {
    expect<f64>(worstOn(Kind.Exp, 88.37, 88.72)).toBeLessThan(1e-4);
    expect<f32>(value(Kind.Exp, 88.73)).toBe(Infinity);
    expect<f32>(value(Kind.Exp, 3e38)).toBe(Infinity);
    expect<f32>(value(Kind.Exp, Infinity)).toBe(Infinity);
  });

  it("is 1 at 0, and 0 from −87.337 down to −Infinity", () => {
    expect<f32>(value(Kind.Exp, 0)).toBe(1);
    expect<f32>(value(Kind.Exp, -87.337)).toBe(0);
    expect<f32>(value(Kind.Exp, -3e38)).toBe(0);
    expect<f32>(value(Kind.Exp, -Infinity)).toBe(0);
  });

  it("is monotonic in steps of 1/1024 on [−88, 89]", () => {
    let falls = 0;
    for (let i = -88 * 1024; i < 89 * 1024; i++) {
      if (value(Kind.Exp, <f32>(i + 1) / 1024) < value(Kind.Exp, <f32>i / 1024)) falls++;
    }
    expect<i32>(falls).toBe(0);
  });
});

describe("log", () => {
  it("has relative error < 1e-7 for normal numbers, including near 1", () => {
    expect<f64>(worstOnPowers(Kind.Log, -87.33, 88.7, 1)).toBeLessThan(1e-7);
    expect<f64>(worstOn(Kind.Log, 0.5, 2)).toBeLessThan(1e-7);
    expect<f64>(worstOn(Kind.Log, 0.999, 1.001)).toBeLessThan(1e-7);
  });

  it("is 0 at 1, −Infinity at 0 and for subnormals, Infinity at Infinity, NaN below 0", () => {
    expect<f32>(value(Kind.Log, 1)).toBe(0);
    expect<f32>(value(Kind.Log, 0)).toBe(-Infinity);
    expect<f32>(value(Kind.Log, -0.0)).toBe(-Infinity);
    expect<f32>(value(Kind.Log, 1e-40)).toBe(-Infinity);
    expect<f32>(value(Kind.Log, Infinity)).toBe(Infinity);
    expect<bool>(isNaN(value(Kind.Log, -1)) && isNaN(value(Kind.Log, -Infinity))).toBe(true);
  });
});

describe("tanh", () => {
  it("has relative error < 5e-7 on [−10, 10], and down to 1e-30", () => {
    expect<f64>(worstOn(Kind.Tanh, -10, 10)).toBeLessThan(5e-7);
    expect<f64>(worstOnPowers(Kind.Tanh, -69, 0, 1)).toBeLessThan(5e-7);
    expect<f64>(worstOnPowers(Kind.Tanh, -69, 0, -1)).toBeLessThan(5e-7);
  });

  it("is ±1 from |x| = 9.2 to Infinity, and odd bit for bit", () => {
    expect<f32>(value(Kind.Tanh, 9.2)).toBe(1);
    expect<f32>(value(Kind.Tanh, Infinity)).toBe(1);
    expect<f32>(value(Kind.Tanh, -Infinity)).toBe(-1);
    let odd = true;
    for (let i = 0; i < 1000; i++) odd = odd && value(Kind.Tanh, <f32>i / 100) == -value(Kind.Tanh, <f32>-i / 100);
    expect<bool>(odd).toBe(true);
  });
});

describe("erf", () => {
  it("has relative error < 5e-7 on [−4.4, 4.4], and down to 1e-30", () => {
    expect<f64>(worstOn(Kind.Erf, -4.4, 4.4)).toBeLessThan(5e-7);
    expect<f64>(worstOnPowers(Kind.Erf, -69, 0, 1)).toBeLessThan(5e-7);
  });

  it("is ±1 from |x| = 4 to Infinity", () => {
    expect<f32>(value(Kind.Erf, 4)).toBe(1);
    expect<f32>(value(Kind.Erf, Infinity)).toBe(1);
    expect<f32>(value(Kind.Erf, -Infinity)).toBe(-1);
  });
});

describe("sigmoid", () => {
  it("has relative error < 3e-7 on [−87, 100]", () => {
    expect<f64>(worstOn(Kind.Sigmoid, -87, 100)).toBeLessThan(3e-7);
    expect<f64>(worstOn(Kind.Sigmoid, -5, 5)).toBeLessThan(3e-7);
  });

  it("is ½ at 0, 1 at Infinity, 0 from −89 down to −Infinity", () => {
    expect<f32>(value(Kind.Sigmoid, 0)).toBe(0.5);
    expect<f32>(value(Kind.Sigmoid, Infinity)).toBe(1);
    expect<f32>(value(Kind.Sigmoid, -89)).toBe(0);
    expect<f32>(value(Kind.Sigmoid, -Infinity)).toBe(0);
  });
});

describe("all functions", () => {
  it("give NaN for NaN", () => {
    for (let kind = Kind.Exp; kind <= Kind.Sigmoid; kind++) expect<bool>(isNaN(value(kind, NaN))).toBe(true);
    expect<bool>(isNaN(f32x4.extract_lane(clamp(f32x4.splat(NaN), f32x4.splat(1)), 0))).toBe(true);
  });

  it("give the same bits in scalar form, at 1000 points", () => {
    let faults = 0;
    for (let i = 1; i <= 1000; i++) {
      const x = <f32>i / 37;
      if (expScalar(-x) != value(Kind.Exp, -x) || logScalar(x) != value(Kind.Log, x)) faults++;
    }
    expect<i32>(faults).toBe(0);
  });
});
