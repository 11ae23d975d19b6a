import { expect, it } from "vitest";
import { Cell, Reduction } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { describeBuilds } from "./core";

const lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 131];

interface Cells {
  lossSum?: number;
  tokens?: number;
  scale?: number;
  rate?: number;
  step?: number;
}

/** The bytes of the training cells, as f64 words. */
function cellWords({ lossSum = 1, tokens = 1, scale = 1, rate = 1e-3, step = 1 }: Cells): Float64Array {
  const view = new DataView(new ArrayBuffer(Cell.Bytes));
  view.setFloat64(Cell.LossSum, lossSum, true);
  view.setFloat64(Cell.TokenCount, tokens, true);
  view.setFloat32(Cell.GradientScale, scale, true);
  view.setFloat32(Cell.LearningRate, rate, true);
  view.setInt32(Cell.Step, step, true);
  return new Float64Array(view.buffer);
}

/** Σ x² with Neumaier's compensation, because a plain f64 sum of 16,384 squares already has an error of 2e-14. */
function squares(x: Float32Array): number {
  let [total, lost] = [0, 0];
  for (const value of x) {
    const square = value * value;
    const next = total + square;
    lost += total >= square ? total - next + square : square - next + total;
    total = next;
  }
  return total + lost;
}

describeBuilds("squareSum", (core) => {
  const chunk = Reduction.Chunk;

  it("matches f64 within 1e-14 with one partial sum per chunk, with the same bits in one slice and in three", () => {
    for (const n of [...lengths, chunk - 1, chunk, chunk + 1, 3 * chunk + 5]) {
      const x = randomArray(n, n, -10, 10);
      const count = Math.ceil(n / chunk);
      const expected = Float64Array.from({ length: count }, (_, i) => squares(x.subarray(i * chunk, (i + 1) * chunk)));
      const [one, three] = [1, 3].map((threads) => {
        core.reset();
        const partials = core.output(count, "f64");
        core.run(Op.SquareSum, { partials, x: core.input(x), n }, threads);
        return partials.read();
      });
      expectAllclose(one!, expected, { rtol: 1e-14, atol: 0 });
      expect(three).toEqual(one);
    }
  });

  it("does not overflow if squares exceed the range of f32, and propagates NaN", () => {
    for (const [x, expected] of [
      [new Float32Array(9).fill(2 ** 100), 9 * 2 ** 200],
      [Float32Array.of(1, 1, 1, 1, 1, 1, 1, 1, NaN), NaN],
      [Float32Array.of(1, NaN, 1, 1, 1, 1, 1, 1, 1), NaN],
    ] as const) {
      core.reset();
      const partials = core.output(1, "f64");
      core.run(Op.SquareSum, { partials, x: core.input(x), n: 9 });
      expect(partials.read()[0]).toBe(expected);
    }
  });
});

describeBuilds("clipGradient", (core) => {
  function clip(partials: number[], maxNorm: number, cells: Cells): { norm: number; scale: number } {
    const [one, three] = [1, 3].map((threads) => {
      core.reset();
      const region = core.input(cellWords(cells));
      core.run(Op.ClipGradient, { cells: region, partials: core.input(Float64Array.from(partials)), count: partials.length, maxNorm }, threads);
      const view = new DataView(region.read().buffer);
      return { norm: view.getFloat64(Cell.GradientNorm, true), scale: view.getFloat32(Cell.GradientScale, true) };
    });
    expect(three).toEqual(one);
    return one!;
  }

  it("reports the norm of the mean gradient and sets the scale to 1/tokens, or less if the norm exceeds the limit", () => {
    const cells = { tokens: 10 };
    expect(clip([1600, 0, 900], 0, cells)).toEqual({ norm: 5, scale: Math.fround(0.1) });
    expect(clip([1600, 0, 900], 6, cells)).toEqual({ norm: 5, scale: Math.fround(0.1) });
    expect(clip([1600, 0, 900], 2, cells)).toEqual({ norm: 5, scale: Math.fround(0.04) });
    expect(clip([0], 1, cells)).toEqual({ norm: 0, scale: Math.fround(0.1) });
  });

  it("requests that the step be skipped if the loss or norm is not finite or no token was counted", () => {
    expect(clip([1], 1, { tokens: 0 }).scale).toBe(NaN);
    expect(clip([0], 0, { tokens: 0 }).scale).toBe(NaN);
    for (const bad of [NaN, Infinity]) {
      for (const maxNorm of [0, 1]) {
        expect(clip([1, bad], maxNorm, {}).scale).toBe(NaN);
        expect(clip([1], maxNorm, { lossSum: bad }).scale).toBe(NaN);
      }
    }
  });
});

/** AdamW in f64, as written in the paper. */
class AdamOracle {
  readonly weight: Float64Array;
  readonly m: Float64Array;
  readonly v: Float64Array;

  constructor(weight: Float32Array) {
    this.weight = Float64Array.from(weight);
    this.m = new Float64Array(weight.length);
    this.v = new Float64Array(weight.length);
  }

  step(gradient: Float32Array, t: number, rate: number, scale: number, [beta1, beta2, epsilon, decay]: number[]): void {
    gradient.forEach((raw, i) => {
      const g = raw * scale;
      this.m[i] = beta1! * this.m[i]! + (1 - beta1!) * g;
      this.v[i] = beta2! * this.v[i]! + (1 - beta2!) * g * g;
      const mHat = this.m[i]! / (1 - beta1! ** t);
      const vHat = this.v[i]! / (1 - beta2! ** t);
      this.weight[i]! -= rate * (mHat / (Math.sqrt(vHat) + epsilon!) + decay! * this.weight[i]!);
    });
  }
}

describeBuilds("adamwStep", (core) => {
  const hyper = [0.9, 0.999, 1e-8, 0.1].map(Math.fround);
  const [beta1, beta2, epsilon, decay] = hyper as [number, number, number, number];

  function step(state: Float32Array[], gradient: Float32Array, cells: Cells, threads = 1): Float32Array[] {
    core.reset();
    const [weight, m, v] = state.map((values) => core.input(values));
    core.run(Op.AdamwStep, {
      weight: weight!, gradient: core.input(gradient), m: m!, v: v!, cells: core.input(cellWords(cells)), n: gradient.length,
      beta1, beta2, epsilon, decay,
    }, threads);
    return [weight!, m!, v!].map((region) => region.read() as Float32Array);
  }

  it("matches the f64 oracle within 1e-6 for 5 steps of 1 to 131 weights, with the same bits in one slice and in three", () => {
    const [rate, scale] = [Math.fround(0.01), Math.fround(0.3)];
    for (const n of lengths) {
      const initial = randomArray(n, n);
      const oracle = new AdamOracle(initial);
      let state = [initial, new Float32Array(n), new Float32Array(n)];
      for (let t = 1; t <= 5; t++) {
        const gradient = randomArray(n, 10 * n + t, -2, 2);
        oracle.step(gradient, t, rate, scale, hyper);
        const next = step(state, gradient, { rate, scale, step: t });
        expect(step(state, gradient, { rate, scale, step: t }, 3)).toEqual(next);
        state = next;
      }
      expectAllclose(state[0]!, oracle.weight, { rtol: 1e-6, atol: 1e-6 });
      expectAllclose(state[1]!, oracle.m, { rtol: 1e-5, atol: 1e-6 });
      expectAllclose(state[2]!, oracle.v, { rtol: 1e-5, atol: 1e-9 });
    }
  });

  it("corrects the bias by β^t at step 123457 within 1e-6 of f64", () => {
    const [weight, m, v, gradient] = [1, 2, 3, 4].map((seed) => randomArray(21, seed, 0.1, 1));
    const oracle = new AdamOracle(weight!);
    oracle.m.set(m!);
    oracle.v.set(v!);
    oracle.step(gradient!, 123457, Math.fround(1e-3), 1, hyper);
    const [actual] = step([weight!, m!, v!], gradient!, { step: 123457 });
    expectAllclose(actual!, oracle.weight, { rtol: 1e-6, atol: 0 });
  });

  it("only applies decay if the gradient is 0, and moves by about the learning rate in the first step", () => {
    const weight = randomArray(9, 1);
    const zeros = new Float32Array(9);
    const rate = Math.fround(0.01);
    const [decayed] = step([weight, zeros, zeros], zeros, { rate });
    expectAllclose(decayed!, Array.from(weight, (w) => w * (1 - rate * hyper[3]!)), { rtol: 1e-7 });
    const [moved] = step([zeros, zeros, zeros], Float32Array.of(1e-3, -1, 5, -1e4, 1, 1, 1, 1, -1), { rate });
    expectAllclose(moved!, [-1, 1, -1, 1, -1, -1, -1, -1, 1].map((sign) => sign * rate), { rtol: 1e-4 });
  });

  it("touches nothing when the scale is NaN", () => {
    const state = [1, 2, 3].map((seed) => randomArray(9, seed));
    expect(step(state, randomArray(9, 4), { scale: NaN })).toEqual(state);
  });
});

describeBuilds("sgdStep", (core) => {
  function step(weight: Float32Array, velocity: Float32Array | null, gradient: Float32Array, momentum: number, cells: Cells, threads = 1) {
    core.reset();
    const [w, v] = [core.input(weight), velocity && core.input(velocity)];
    core.run(Op.SgdStep, {
      weight: w, gradient: core.input(gradient), velocity: v, cells: core.input(cellWords(cells)), n: gradient.length, momentum, decay: 0.1,
    }, threads);
    return { weight: w.read() as Float32Array, velocity: v && (v.read() as Float32Array) };
  }

  it("matches the f64 oracle within 1e-6 for 5 steps of 1 to 131 weights, with and without velocity", () => {
    for (const n of lengths) {
      for (const momentum of [0.9, 0]) {
        const weight64 = Float64Array.from(randomArray(n, n));
        const velocity64 = new Float64Array(n);
        let weight: Float32Array = Float32Array.from(weight64);
        let velocity: Float32Array | null = momentum > 0 ? new Float32Array(n) : null;
        for (let t = 1; t <= 5; t++) {
          const gradient = randomArray(n, 10 * n + t);
          gradient.forEach((g, i) => {
            velocity64[i] = momentum * velocity64[i]! + 0.5 * g + 0.1 * weight64[i]!;
            weight64[i]! -= 0.01 * velocity64[i]!;
          });
          const next = step(weight, velocity, gradient, momentum, { scale: 0.5, rate: 0.01 });
          expect(step(weight, velocity, gradient, momentum, { scale: 0.5, rate: 0.01 }, 3)).toEqual(next);
          ({ weight, velocity } = next);
        }
        expectAllclose(weight, weight64, { rtol: 1e-6, atol: 1e-6 });
        if (velocity) expectAllclose(velocity, velocity64, { rtol: 1e-5, atol: 1e-6 });
      }
    }
  });

  it("touches nothing when the scale is NaN", () => {
    const [weight, velocity] = [randomArray(9, 1), randomArray(9, 2)];
    expect(step(weight, velocity, randomArray(9, 3), 0.9, { scale: NaN })).toEqual({ weight, velocity });
  });

  it("asserts in the debug build that momentum has a velocity", () => {
    if (core.build === "debug") expect(() => step(randomArray(3, 1), null, randomArray(3, 2), 0.9, {})).toThrow("assertion");
  });
});
