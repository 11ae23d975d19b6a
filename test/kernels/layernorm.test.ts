import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";

const widths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 131];
const epsilon = Math.fround(1e-5);

type Numbers = ArrayLike<number>;

/** The output, x̂ and the statistics behind it, in f64. */
function oracle(x: Numbers, weight: Numbers, bias: Numbers | null, R: number, C: number) {
  const out = new Float64Array(R * C);
  const hat = new Float64Array(R * C);
  const mean = new Float64Array(R);
  const rstd = new Float64Array(R);
  for (let r = 0; r < R; r++) {
    const row = Array.from({ length: C }, (_, c) => x[r * C + c]!);
    const mu = row.reduce((a, b) => a + b, 0) / C;
    const variance = row.reduce((a, b) => a + (b - mu) ** 2, 0) / C;
    mean[r] = mu;
    rstd[r] = 1 / Math.sqrt(variance + epsilon);
    row.forEach((v, c) => {
      hat[r * C + c] = (v - mu) * rstd[r]!;
      out[r * C + c] = hat[r * C + c]! * weight[c]! + (bias ? bias[c]! : 0);
    });
  }
  return { out, hat, mean, rstd };
}

function forward(core: Core, x: Float32Array, weight: Float32Array, bias: Float32Array | null, R: number, C: number, threads = 1) {
  core.reset();
  const [out, mean, rstd] = [core.output(R * C), core.output(R), core.output(R)];
  core.run(
    Op.LayerNormForward,
    { out, mean, rstd, x: core.input(x), weight: core.input(weight), bias: bias && core.input(bias), R, C, epsilon },
    threads,
  );
  return { out: out.read() as Float32Array, mean: mean.read(), rstd: rstd.read() };
}

describeBuilds("layerNormForward", (core) => {
  it("matches f64 within 3e-6 for 1 to 131 columns, with and without bias, with the same bits in one slice and in three", () => {
    for (const C of widths) {
      const x = randomArray(5 * C, C, -3, 5);
      const weight = randomArray(C, C + 1, 0.5, 1.5);
      for (const bias of [randomArray(C, C + 2), null]) {
        const actual = forward(core, x, weight, bias, 5, C);
        const expected = oracle(x, weight, bias, 5, C);
        expectAllclose(actual.mean, expected.mean, { rtol: 1e-6, atol: 1e-6 });
        expectAllclose(actual.rstd, expected.rstd, { rtol: 2e-6, atol: 0 });
        expectAllclose(actual.out, expected.out, { rtol: 3e-6, atol: 3e-6 });
        expect(forward(core, x, weight, bias, 5, C, 3)).toEqual(actual);
      }
    }
  });

  it("is stable, within 2e-3, if the mean is 4096 times the deviation", () => {
    const C = 257;
    const x = randomArray(C, 4, -1, 1).map((v) => 4096 + v);
    const ones = new Float32Array(C).fill(1);
    expectAllclose(forward(core, x, ones, null, 1, C).out, oracle(x, ones, null, 1, C).out, { rtol: 0, atol: 2e-3 });
  });

  it("has error < 5e-6·(1 + |mean|·rstd + |x̂|) in x̂ for up to 10⁶ columns", () => {
    for (const C of [1023, 1024, 1025, 2048, 2051, 50_257, 1_000_000]) {
      const ones = new Float32Array(C).fill(1);
      for (const x of [randomArray(C, C, 2, 4), randomArray(C, C + 1, -1e-3, 1e3), Float32Array.from({ length: C }, (_, c) => (c < 16 ? 1000 : 1e-3))]) {
        const expected = oracle(x, ones, null, 1, C);
        const actual = forward(core, x, ones, null, 1, C);
        const shift = Math.abs(expected.mean[0]!) * expected.rstd[0]!;
        const worst = actual.out.reduce((most, v, c) => Math.max(most, Math.abs(v - expected.hat[c]!) / (1 + shift + Math.abs(expected.hat[c]!))), 0);
        expect(worst, `${C} columns`).toBeLessThan(5e-6);
        expectAllclose(actual.rstd, expected.rstd, { rtol: 5e-6, atol: 0 });
      }
    }
  });

  it("normalizes rows of any magnitude up to the largest f32, without affecting other rows", () => {
    for (const magnitude of [1e-10, 1e15, 1e18, 1e20, 1e30, 3.4e38]) {
      for (const C of [2, 3, 17, 131, 1027]) {
        const x = randomArray(3 * C, C, -magnitude, magnitude);
        x.set([magnitude, -magnitude]);
        x.set(randomArray(C, 1), C);
        const [weight, bias] = [randomArray(C, 2, 0.5, 1.5), randomArray(C, 3)];
        const expected = oracle(x, weight, bias, 3, C);
        const actual = forward(core, x, weight, bias, 3, C);
        expectAllclose(actual.out, expected.out, { rtol: 1e-5, atol: 1e-5 });
        expectAllclose(actual.rstd, expected.rstd, { rtol: 5e-6, atol: 0 });
        expectAllclose(actual.mean, expected.mean, { rtol: 5e-6, atol: 1e-6 * magnitude });
        expect(forward(core, x, weight, bias, 3, C, 3)).toEqual(actual);
        expect(actual.out.subarray(C, 2 * C)).toEqual(forward(core, x.slice(C, 2 * C), weight, bias, 1, C).out);
        core.reset();
        const both = core.input(x);
        const operands = { mean: core.output(3), rstd: core.output(3), weight: core.input(weight), bias: core.input(bias), R: 3, C, epsilon };
        core.run(Op.LayerNormForward, { out: both, x: both, ...operands });
        expect(both.read()).toEqual(actual.out);
      }
    }
    const bias = randomArray(19, 1);
    expect(forward(core, new Float32Array(19).fill(2 ** 127), randomArray(19, 2), bias, 1, 19).out).toEqual(bias);
  });

  it("gives the bias for a constant row", () => {
    const bias = randomArray(19, 1);
    expect(forward(core, new Float32Array(19).fill(7), randomArray(19, 2), bias, 1, 19).out).toEqual(bias);
  });

  it("works in place", () => {
    const [R, C] = [3, 37];
    const x = randomArray(R * C, 3);
    const weight = randomArray(C, 4);
    const expected = forward(core, x, weight, null, R, C).out;
    core.reset();
    const both = core.input(x);
    core.run(Op.LayerNormForward, { out: both, mean: core.output(R), rstd: core.output(R), x: both, weight: core.input(weight), bias: null, R, C, epsilon });
    expect(both.read()).toEqual(expected);
  });

  it("turns a row with NaN or Infinity into NaN, and does not affect other rows", () => {
    const C = 21;
    const ones = new Float32Array(C).fill(1);
    const clean = randomArray(2 * C, 5);
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const c of [0, 15, 20]) {
        const x = clean.slice();
        x[c] = bad;
        const { out } = forward(core, x, ones, null, 2, C);
        expect(out.subarray(0, C).every(Number.isNaN)).toBe(true);
        expect(out.subarray(C)).toEqual(forward(core, clean, ones, null, 2, C).out.subarray(C));
      }
    }
  });
});

/** ∂(Σ dOut·out)/∂values by central differences of the f64 oracle, which must read `values` at every call. */
function differences(values: Float64Array, loss: () => number): Float64Array {
  const h = 1e-5;
  return values.map((v, i) => {
    values[i] = v + h;
    const up = loss();
    values[i] = v - h;
    const down = loss();
    values[i] = v;
    return (up - down) / (2 * h);
  });
}

/** dX, dWeight and dBias in f64, computed from their formulas. */
function gradients(x: Numbers, dOut: Numbers, weight: Numbers, R: number, C: number) {
  const { hat, rstd } = oracle(x, weight, null, R, C);
  const [dX, dWeight, dBias] = [new Float64Array(R * C), new Float64Array(C), new Float64Array(C)];
  for (let r = 0; r < R; r++) {
    let [meanG, meanDot] = [0, 0];
    for (let i = r * C; i < (r + 1) * C; i++) {
      const g = dOut[i]! * weight[i % C]!;
      meanG += g / C;
      meanDot += (g * hat[i]!) / C;
      dWeight[i % C]! += dOut[i]! * hat[i]!;
      dBias[i % C]! += dOut[i]!;
    }
    for (let i = r * C; i < (r + 1) * C; i++) dX[i] = rstd[r]! * (dOut[i]! * weight[i % C]! - meanG - hat[i]! * meanDot);
  }
  return { dX, dWeight, dBias };
}

describeBuilds("layerNormBackward", (core) => {
  const run = (
    x: Float32Array, dOut: Float32Array, weight: Float32Array, R: number, C: number, threads: number, initial?: Float32Array,
  ): Float32Array => {
    const { mean, rstd } = oracle(x, weight, null, R, C);
    core.reset();
    const dX = initial ? core.input(initial) : core.output(R * C);
    core.run(Op.LayerNormBackward, {
      dX, dOut: core.input(dOut), x: core.input(x), mean: core.input(Float32Array.from(mean)), rstd: core.input(Float32Array.from(rstd)),
      weight: core.input(weight), R, C, accumulate: initial ? 1 : 0,
    }, threads);
    return dX.read() as Float32Array;
  };

  it("matches finite differences within 1e-4 for 2 to 131 columns, with and without accumulation, in one slice and in three", () => {
    for (const C of widths.slice(1)) {
      const R = C > 33 ? 1 : 4;
      const x = randomArray(R * C, C, -3, 5);
      const dOut = randomArray(R * C, C + 1);
      const weight = randomArray(C, C + 2, 0.5, 1.5);
      const x64 = Float64Array.from(x);
      const expected = differences(x64, () => oracle(x64, weight, null, R, C).out.reduce((total, v, i) => total + v * dOut[i]!, 0));
      const written = run(x, dOut, weight, R, C, 1);
      expectAllclose(written, expected, { rtol: 1e-4, atol: 1e-5 });
      const initial = randomArray(R * C, C + 3);
      const added = run(x, dOut, weight, R, C, 1, initial);
      expect(added).toEqual(initial.map((v, i) => v + written[i]!));
      expect(run(x, dOut, weight, R, C, 3)).toEqual(written);
      expect(run(x, dOut, weight, R, C, 3, initial)).toEqual(added);
    }
  });

  it("is within 1e-5·rstd of f64 for up to 10⁶ columns", () => {
    for (const C of [1023, 1024, 1025, 2048, 2051, 1_000_000]) {
      const x = randomArray(C, C, -3, 5);
      const dOut = randomArray(C, C + 1, 0.5, 1.5);
      const weight = randomArray(C, C + 2, 0.5, 1.5);
      const { rstd } = oracle(x, weight, null, 1, C);
      expectAllclose(run(x, dOut, weight, 1, C, 1), gradients(x, dOut, weight, 1, C).dX, { rtol: 0, atol: 1e-5 * rstd[0]! });
    }
  });

  it("is within 2e-5·rstd for rows of any magnitude up to the largest f32", () => {
    for (const magnitude of [1e15, 1e20, 1e30, 3.4e38]) {
      for (const C of [2, 3, 17, 131, 1027]) {
        // x − mean is up to 1.9 times the largest f32 in the first row
        const x = randomArray(2 * C, C, -magnitude, magnitude).fill(-magnitude, 0, C);
        x[C >> 1] = magnitude;
        const [dOut, weight] = [randomArray(2 * C, C + 1), randomArray(C, C + 2, 0.5, 1.5)];
        const { rstd } = oracle(x, weight, null, 2, C);
        const dX = run(x, dOut, weight, 2, C, 1);
        const expected = gradients(x, dOut, weight, 2, C).dX;
        const scale = Float64Array.from(expected, (_, i) => 1 / rstd[Math.floor(i / C)]!);
        const size = Math.sqrt(C); // x̂ of the row's one outlier
        expectAllclose(Float64Array.from(dX, (v, i) => v * scale[i]!), expected.map((v, i) => v * scale[i]!), { rtol: 0, atol: 2e-5 * size });
        expect(run(x, dOut, weight, 2, C, 3)).toEqual(dX);
      }
    }
  });

  it("gives rows that sum to 0 within 1e-5 if the weight is 1, for any dOut", () => {
    const [R, C] = [3, 131];
    const dX = run(randomArray(R * C, 1, -2, 2), randomArray(R * C, 2), new Float32Array(C).fill(1), R, C, 1);
    for (let r = 0; r < R; r++) expectAllclose([dX.subarray(r * C, (r + 1) * C).reduce((a, b) => a + b, 0)], [0], { atol: 1e-5 });
  });
});

describeBuilds("layerNormBackwardParameters", (core) => {
  it("adds Σ dOut·x̂ and Σ dOut within 1e-5 of f64, for 1 to 129 rows and 1 to 131 columns, in one slice and in three", () => {
    for (const R of [1, 5, 63, 64, 65, 129]) {
      for (const C of widths) {
        const x = randomArray(R * C, R + C, -3, 5);
        const dOut = randomArray(R * C, C + 1);
        const { hat, mean, rstd } = oracle(x, new Float32Array(C), null, R, C);
        const [dWeight0, dBias0] = [randomArray(C, 7), randomArray(C, 8)];
        const [weight64, bias64] = [Float64Array.from(dWeight0), Float64Array.from(dBias0)];
        dOut.forEach((d, i) => {
          weight64[i % C]! += d * hat[i]!;
          bias64[i % C]! += d;
        });
        const [one, three, alone] = [1, 3, 1].map((threads, i) => {
          core.reset();
          const [dWeight, dBias] = [core.input(dWeight0), core.input(dBias0)];
          const inputs = {
            dOut: core.input(dOut), x: core.input(x), mean: core.input(Float32Array.from(mean)), rstd: core.input(Float32Array.from(rstd)),
          };
          const low = new Uint8Array(core.buffer.slice(0, 1024)); // a kernel that used the absent dBias as an address would write here
          core.run(Op.LayerNormBackwardParameters, { dWeight, dBias: i === 2 ? null : dBias, ...inputs, R, C }, threads);
          expect(new Uint8Array(core.buffer.slice(0, 1024))).toEqual(low);
          return [dWeight.read(), dBias.read()] as const;
        });
        expectAllclose(one![0], weight64, { rtol: 1e-5, atol: 1e-5 });
        expectAllclose(one![1], bias64, { rtol: 1e-5, atol: 1e-5 });
        expect(three).toEqual(one);
        expect(alone).toEqual([one![0], dBias0]); // without a bias, nothing is written there
      }
    }
  });

  it("is within 2e-5·√C of f64 for rows of any magnitude up to the largest f32", () => {
    for (const magnitude of [1e20, 3.4e38]) {
      for (const R of [1, 5, 66]) {
        for (const C of [2, 9, 40]) {
          const x = randomArray(R * C, C, -3, 5);
          x.fill(-magnitude, (R - 1) * C);
          x[R * C - 1] = magnitude;
          const dOut = randomArray(R * C, C + 1);
          const { mean, rstd } = oracle(x, new Float32Array(C), null, R, C);
          const expected = gradients(x, dOut, new Float32Array(C), R, C);
          core.reset();
          const [dWeight, dBias] = [core.input(new Float32Array(C)), core.input(new Float32Array(C))];
          const statistics = { mean: core.input(Float32Array.from(mean)), rstd: core.input(Float32Array.from(rstd)) };
          core.run(Op.LayerNormBackwardParameters, { dWeight, dBias, dOut: core.input(dOut), x: core.input(x), ...statistics, R, C });
          expectAllclose(dWeight.read(), expected.dWeight, { rtol: 1e-5, atol: 2e-5 * Math.sqrt(C) });
          expectAllclose(dBias.read(), expected.dBias, { rtol: 1e-5, atol: 1e-5 });
        }
      }
    }
  });
});
