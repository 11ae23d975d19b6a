import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";

const widths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 131];
const epsilon = Math.fround(1e-5);

type Numbers = ArrayLike<number>;

/** The output and rstd in f64 and, given dOut, the gradients computed from their formulas. */
function oracle(x: Numbers, weight: Numbers, R: number, C: number, dOut: Numbers = new Float64Array(R * C)) {
  const [out, dX, dWeight, rstd] = [new Float64Array(R * C), new Float64Array(R * C), new Float64Array(C), new Float64Array(R)];
  for (let r = 0; r < R; r++) {
    let square = 0;
    for (let i = r * C; i < (r + 1) * C; i++) square += x[i]! ** 2 / C;
    const inverse = (rstd[r] = 1 / Math.sqrt(square + epsilon));
    let dot = 0;
    for (let i = r * C; i < (r + 1) * C; i++) {
      out[i] = x[i]! * inverse * weight[i % C]!;
      dWeight[i % C]! += dOut[i]! * x[i]! * inverse;
      dot += (dOut[i]! * out[i]!) / C;
    }
    for (let i = r * C; i < (r + 1) * C; i++) dX[i] = inverse * (dOut[i]! * weight[i % C]! - x[i]! * inverse * dot);
  }
  return { out, rstd, dX, dWeight };
}

function forward(core: Core, x: Float32Array, weight: Float32Array, R: number, C: number, threads = 1) {
  core.reset();
  const [out, rstd] = [core.output(R * C), core.output(R)];
  core.run(Op.RmsNormForward, { out, rstd, x: core.input(x), weight: core.input(weight), R, C, epsilon }, threads);
  return { out: out.read() as Float32Array, rstd: rstd.read() };
}

describeBuilds("rmsNormForward", (core) => {
  it("has relative error < 4e-6 for 1 to 131 columns, with the same bits in one slice and in three", () => {
    for (const C of widths) {
      const x = randomArray(5 * C, C, -3, 5);
      const weight = randomArray(C, C + 1, 0.5, 1.5);
      const actual = forward(core, x, weight, 5, C);
      const expected = oracle(x, weight, 5, C);
      expectAllclose(actual.out, expected.out, { rtol: 4e-6, atol: 0 });
      expectAllclose(actual.rstd, expected.rstd, { rtol: 4e-6, atol: 0 });
      expect(forward(core, x, weight, 5, C, 3)).toEqual(actual);
    }
  });

  it("has relative error < 4e-6 for up to 10⁶ columns", () => {
    for (const C of [1023, 1024, 1025, 2048, 2051, 50_257, 1_000_000]) {
      const weight = randomArray(C, 1, 0.5, 1.5);
      for (const x of [randomArray(C, C, 0, 1), Float32Array.from({ length: C }, (_, c) => (c < 16 ? 1 : 1e-4))]) {
        expectAllclose(forward(core, x, weight, 1, C).out, oracle(x, weight, 1, C).out, { rtol: 4e-6, atol: 0 });
      }
    }
  });

  it("normalizes rows of any magnitude up to the largest f32, without affecting other rows", () => {
    for (const magnitude of [1e-10, 1e15, 1e18, 1e20, 1e30, 3.4e38]) {
      for (const C of widths) {
        const x = randomArray(3 * C, C, -magnitude, magnitude);
        x[0] = magnitude;
        x.set(randomArray(C, 1), C);
        const weight = randomArray(C, 2, 0.5, 1.5);
        const expected = oracle(x, weight, 3, C);
        const actual = forward(core, x, weight, 3, C);
        expectAllclose(actual.out, expected.out, { rtol: 4e-6, atol: 0 });
        expectAllclose(actual.rstd, expected.rstd, { rtol: 4e-6, atol: 0 });
        expect(actual.out.subarray(C, 2 * C)).toEqual(forward(core, x.slice(C, 2 * C), weight, 1, C).out);
      }
    }
  });

  it("works in place, for ordinary rows and for huge ones", () => {
    for (const magnitude of [1, 1e30]) {
      const x = randomArray(3 * 37, 3, -magnitude, magnitude);
      const weight = randomArray(37, 4);
      const expected = forward(core, x, weight, 3, 37).out;
      core.reset();
      const both = core.input(x);
      core.run(Op.RmsNormForward, { out: both, rstd: core.output(3), x: both, weight: core.input(weight), R: 3, C: 37, epsilon });
      expect(both.read()).toEqual(expected);
    }
  });

  it("gives zeros for a row of zeros", () => {
    expect(forward(core, new Float32Array(19), randomArray(19, 1, 0, 1), 1, 19).out).toEqual(new Float32Array(19));
  });

  it("turns a row with NaN into NaN, and one with Infinity into zeros and a NaN, without affecting other rows", () => {
    const C = 21;
    const ones = new Float32Array(C).fill(1);
    const clean = randomArray(2 * C, 5);
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const c of [0, 15, 20]) {
        const x = clean.slice();
        x[c] = bad;
        const { out } = forward(core, x, ones, 2, C);
        const expected = Number.isNaN(bad) ? clean.map(() => NaN) : x.map((v) => (v === bad ? NaN : 0 * v));
        expect(out.subarray(0, C)).toEqual(expected.subarray(0, C));
        expect(out.subarray(C)).toEqual(forward(core, clean, ones, 2, C).out.subarray(C));
      }
    }
  });
});

describeBuilds("rmsNormBackward", (core) => {
  const run = (
    x: Float32Array, dOut: Float32Array, weight: Float32Array, R: number, C: number, threads: number, initial?: Float32Array,
  ): Float32Array => {
    const rstd = Float32Array.from(oracle(x, weight, R, C).rstd);
    core.reset();
    const dX = initial ? core.input(initial) : core.output(R * C);
    const inputs = { dOut: core.input(dOut), x: core.input(x), rstd: core.input(rstd), weight: core.input(weight) };
    core.run(Op.RmsNormBackward, { dX, ...inputs, R, C, accumulate: initial ? 1 : 0 }, threads);
    return dX.read() as Float32Array;
  };

  it("matches finite differences within 1e-4 for 1 to 131 columns, with and without accumulation, in one slice and in three", () => {
    for (const C of widths) {
      const R = C > 33 ? 1 : 4;
      const x = Float64Array.from(randomArray(R * C, C, -3, 5));
      const [dOut, weight] = [randomArray(R * C, C + 1), randomArray(C, C + 2, 0.5, 1.5)];
      const loss = (i: number, step: number): number => {
        const moved = x.slice();
        moved[i]! += step;
        return oracle(moved, weight, R, C).out.reduce((total, v, k) => total + v * dOut[k]!, 0);
      };
      const expected = x.map((_, i) => (loss(i, 1e-5) - loss(i, -1e-5)) / 2e-5);
      const written = run(Float32Array.from(x), dOut, weight, R, C, 1);
      expectAllclose(written, expected, { rtol: 1e-4, atol: 1e-5 });
      const initial = randomArray(R * C, C + 3);
      const added = run(Float32Array.from(x), dOut, weight, R, C, 1, initial);
      expect(added).toEqual(initial.map((v, i) => v + written[i]!));
      expect(run(Float32Array.from(x), dOut, weight, R, C, 3)).toEqual(written);
      expect(run(Float32Array.from(x), dOut, weight, R, C, 3, initial)).toEqual(added);
    }
  });

  it("is within 1e-5·rstd of f64 for up to 10⁶ columns, and for any magnitude up to the largest f32", () => {
    for (const [C, magnitude] of [[1025, 1], [2051, 1], [1_000_000, 1], [131, 1e20], [1027, 3.4e38]] as const) {
      const x = randomArray(C, C, -magnitude, magnitude);
      const [dOut, weight] = [randomArray(C, C + 1, 0.5, 1.5), randomArray(C, C + 2, 0.5, 1.5)];
      const { rstd, dX } = oracle(x, weight, 1, C, dOut);
      const scale = 1 / rstd[0]!; // dX itself may be subnormal
      expectAllclose(Float64Array.from(run(x, dOut, weight, 1, C, 1), (v) => v * scale), dX.map((v) => v * scale), { rtol: 0, atol: 1e-5 });
    }
  });
});

describeBuilds("rmsNormBackwardParameters", (core) => {
  it("adds Σ dOut·x̂ within 1e-5 of f64, for 1 to 129 rows and 1 to 131 columns, in one slice and in three", () => {
    for (const R of [1, 5, 63, 64, 65, 129]) {
      for (const C of widths) {
        const [x, dOut, before] = [randomArray(R * C, R + C, -3, 5), randomArray(R * C, C + 1), randomArray(C, 7)];
        const { rstd, dWeight: sums } = oracle(x, new Float32Array(C), R, C, dOut);
        const [one, three] = [1, 3].map((threads) => {
          core.reset();
          const dWeight = core.input(before);
          const inputs = { dOut: core.input(dOut), x: core.input(x), rstd: core.input(Float32Array.from(rstd)) };
          const low = new Uint8Array(core.buffer.slice(0, 1024)); // a kernel that used the absent bias as an address would write here
          core.run(Op.RmsNormBackwardParameters, { dWeight, ...inputs, R, C }, threads);
          expect(new Uint8Array(core.buffer.slice(0, 1024))).toEqual(low);
          return dWeight.read();
        });
        expectAllclose(one!, sums.map((v, c) => v + before[c]!), { rtol: 1e-5, atol: 1e-5 });
        expect(three).toEqual(one);
      }
    }
  });
});
