import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";
import { longRows } from "./longrows";

const columns = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 131];

/** Softmax of the rows of `x`, in f64. */
function softmax(x: ArrayLike<number>, R: number, C: number): Float64Array {
  const out = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    const row = Array.from({ length: C }, (_, c) => x[r * C + c]!);
    const largest = row.reduce((a, b) => Math.max(a, b));
    if (largest === -Infinity) continue;
    const powers = row.map((v) => Math.exp(v - largest));
    const total = powers.reduce((a, b) => a + b, 0);
    powers.forEach((v, c) => (out[r * C + c] = v / total));
  }
  return out;
}

function forward(core: Core, x: Float32Array, R: number, C: number, threads = 1): Float32Array {
  core.reset();
  const out = core.output(R * C);
  core.run(Op.SoftmaxForward, { out, x: core.input(x), R, C }, threads);
  return out.read() as Float32Array;
}

describeBuilds("softmaxForward", (core) => {
  it("matches f64 within 2e-6 for 1 to 131 columns", () => {
    for (const C of columns) {
      const x = randomArray(5 * C, C, -10, 10);
      expectAllclose(forward(core, x, 5, C), softmax(x, 5, C), { rtol: 2e-6, atol: 0 });
    }
  });

  it("works in place", () => {
    const x = randomArray(3 * 37, 1, -5, 5);
    core.reset();
    const both = core.input(x);
    core.run(Op.SoftmaxForward, { out: both, x: both, R: 3, C: 37 });
    expect(both.read()).toEqual(forward(core, x, 3, 37));
  });

  it("gives rows that sum to 1 within 1e-6", () => {
    const out = forward(core, randomArray(4 * 1027, 2, -20, 20), 4, 1027);
    for (let r = 0; r < 4; r++) expectAllclose([out.subarray(r * 1027, (r + 1) * 1027).reduce((a, b) => a + b, 0)], [1]);
  });

  it("has relative error < 4e-6 + 6e-8·(max − x), and rows that sum to 1 within 4e-6, for up to 10⁶ columns", () => {
    for (const [title, x] of longRows()) {
      const largest = x.reduce((a, b) => Math.max(a, b));
      const expected = softmax(x, 1, x.length);
      const out = forward(core, x, 1, x.length);
      const worst = out.reduce((most, v, c) => Math.max(most, Math.abs(v / expected[c]! - 1) / (4e-6 + 6e-8 * (largest - x[c]!))), 0);
      expect(worst, title).toBeLessThan(1);
      expectAllclose([Float64Array.from(out).reduce((a, b) => a + b, 0)], [1], { rtol: 4e-6, atol: 0 });
    }
  });

  it("does not change if a row is shifted by a power of two", () => {
    const x = randomArray(19, 3, 1, 2);
    expectAllclose(forward(core, x.map((v) => v + 1024), 1, 19), softmax(x.map((v) => v + 1024), 1, 19), { rtol: 1e-6 });
    expectAllclose(forward(core, Float32Array.of(3e38, 3e38, -3e38, 0), 1, 4), [0.5, 0.5, 0, 0], { rtol: 0, atol: 0 });
  });

  it("gives −Infinity no weight, and gives zeros for a row of only −Infinity", () => {
    for (const C of columns) {
      const x = new Float32Array(2 * C).fill(-Infinity);
      x[C] = -3;
      const expected = new Float32Array(2 * C);
      expected[C] = 1;
      expect(forward(core, x, 2, C)).toEqual(expected);
    }
  });

  it("turns a row with NaN or +Infinity into NaN, and no other row", () => {
    for (const bad of [NaN, Infinity]) {
      for (const C of [1, 3, 4, 6, 11, 16]) {
        for (let at = 0; at < C; at++) {
          const x = new Float32Array(3 * C).fill(-Infinity);
          x[C + at] = bad;
          const out = forward(core, x, 3, C);
          expect(out.subarray(C, 2 * C).every(Number.isNaN)).toBe(true);
          expect(out.subarray(0, C).every((v) => v === 0) && out.subarray(2 * C).every((v) => v === 0)).toBe(true);
        }
      }
    }
  });

  it("gives the same bits in 3 slices as in 1", () => {
    const x = randomArray(7 * 21, 4, -5, 5);
    expect(forward(core, x, 7, 21, 3)).toEqual(forward(core, x, 7, 21));
  });
});

function backward(core: Core, dOut: Float32Array, out: Float32Array, R: number, C: number, before?: Float32Array, threads = 1): Float32Array {
  core.reset();
  const dX = before ? core.input(before) : core.output(R * C);
  core.run(Op.SoftmaxBackward, { dX, dOut: core.input(dOut), out: core.input(out), R, C, accumulate: before ? 1 : 0 }, threads);
  return dX.read() as Float32Array;
}

describeBuilds("softmaxBackward", (core) => {
  it("matches finite differences of the f64 softmax within 1e-4", () => {
    for (const C of columns) {
      const x = Float64Array.from(randomArray(2 * C, C, -2, 2));
      const dOut = randomArray(2 * C, C + 1);
      const loss = (i: number, step: number): number => {
        const moved = x.slice();
        moved[i]! += step;
        return softmax(moved, 2, C).reduce((total, v, k) => total + v * dOut[k]!, 0);
      };
      const expected = x.map((_, i) => (loss(i, 1e-4) - loss(i, -1e-4)) / 2e-4);
      const out = Float32Array.from(softmax(x, 2, C));
      expectAllclose(backward(core, dOut, out, 2, C), expected, { rtol: 1e-4, atol: 2e-7 });
    }
  });

  it("is within 5e-6·Σ |dOut·out| of f64 for up to 10⁶ columns", () => {
    for (const C of [1023, 1024, 1025, 2048, 2051, 50_257, 1_000_000]) {
      // If dOut is constant, out·(dOut − dot) is nothing but the error of the sum. Small terms follow large ones.
      const out = Float32Array.from(softmax(Float32Array.from({ length: C }, (_, c) => (c < 16 ? 0 : -14)), 1, C));
      for (const dOut of [new Float32Array(C).fill(0.7), randomArray(C, C, 0, 1)]) {
        const dot = out.reduce((total, v, c) => total + v * dOut[c]!, 0);
        const expected = Float64Array.from(out, (v, c) => v * (dOut[c]! - dot));
        const dX = backward(core, dOut, out, 1, C);
        const worst = dX.reduce((most, v, c) => Math.max(most, Math.abs(v - expected[c]!) / out[c]!), 0);
        expect(worst).toBeLessThan(5e-6 * dot + 2e-7);
      }
    }
  });

  it("adds to dX if `accumulate` is set", () => {
    for (const C of columns) {
      const out = Float32Array.from(softmax(randomArray(3 * C, 5), 3, C));
      const dOut = randomArray(3 * C, 6);
      const before = randomArray(3 * C, 7);
      const fresh = backward(core, dOut, out, 3, C);
      expect(backward(core, dOut, out, 3, C, before)).toEqual(before.map((v, i) => v + fresh[i]!));
    }
  });

  it("gives zeros for a row of zeros, and the same bits in 3 slices as in 1", () => {
    const out = Float32Array.from(softmax(randomArray(7 * 21, 8), 7, 21)).fill(0, 21, 42);
    const dOut = randomArray(7 * 21, 9);
    const dX = backward(core, dOut, out, 7, 21);
    expect(dX.subarray(21, 42).every((v) => v === 0)).toBe(true);
    expect(backward(core, dOut, out, 7, 21, undefined, 3)).toEqual(dX);
  });
});
