import { expect, it } from "vitest";
import { Activation } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";

const lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 131];

/** erf x = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n!(2n + 1)), enough for |x| < 5 within 1e-11. */
function erf(x: number): number {
  let power = x;
  let total = x;
  for (let n = 1; n < 120; n++) {
    power *= -(x * x) / n;
    total += power / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

const functions: readonly { name: string; activation: Activation; f: (x: number) => number }[] = [
  { name: "none", activation: Activation.None, f: (x) => x },
  { name: "relu", activation: Activation.Relu, f: (x) => Math.max(x, 0) },
  { name: "gelu", activation: Activation.Gelu, f: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)) },
  { name: "geluTanh", activation: Activation.GeluTanh, f: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))) },
  { name: "silu", activation: Activation.Silu, f: (x) => x / (1 + Math.exp(-x)) },
];

function forward(core: Core, activation: Activation, x: Float32Array, threads = 1): Float32Array {
  core.reset();
  const out = core.output(x.length);
  core.run(Op.ActivationForward, { out, x: core.input(x), n: x.length, activation }, threads);
  return out.read() as Float32Array;
}

function backward(core: Core, activation: Activation, dOut: Float32Array, x: Float32Array, threads = 1): Float32Array {
  core.reset();
  const dX = core.output(x.length);
  core.run(Op.ActivationBackward, { dX, dOut: core.input(dOut), x: core.input(x), n: x.length, activation }, threads);
  return dX.read() as Float32Array;
}

describeBuilds("activationForward", (core) => {
  for (const { name, activation, f } of functions) {
    it(`${name} matches f64 within 1e-6 on [−6, 6] for 1 to 131 elements`, () => {
      for (const n of lengths) {
        const x = randomArray(n, n, -6, 6);
        expectAllclose(forward(core, activation, x), Float64Array.from(x, f), { rtol: 1e-6, atol: 1e-6 });
      }
    });

    it(`${name} works in place, and gives the same bits in 3 slices as in 1`, () => {
      for (const n of lengths) {
        const x = randomArray(n, n, -6, 6);
        const out = forward(core, activation, x);
        core.reset();
        const both = core.input(x);
        core.run(Op.ActivationForward, { out: both, x: both, n, activation });
        expect(both.read()).toEqual(out);
        expect(forward(core, activation, x, 3)).toEqual(out);
      }
    });

    it(`${name} maps 0 to 0, keeps huge values and +Infinity, and propagates NaN`, () => {
      const out = forward(core, activation, Float32Array.of(0, 3e38, Infinity, NaN, 1));
      expect(Array.from(out.subarray(0, 4))).toEqual([0, Math.fround(3e38), Infinity, NaN]);
    });
  }

  for (const { name, activation } of functions.slice(1)) {
    it(`${name} maps −Infinity and −3e38 to 0`, () => {
      expect(Array.from(forward(core, activation, Float32Array.of(-Infinity, -3e38)), Math.abs)).toEqual([0, 0]);
    });
  }

  it("geluTanh and silu have relative error < 2e-5 in the negative tail, down to −9", () => {
    for (const { activation, f } of functions.slice(3)) {
      const x = randomArray(200, 5, -9, 0);
      const exact = activation === Activation.Silu ? f : (v: number): number => v / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
      expectAllclose(forward(core, activation, x), Float64Array.from(x, exact), { rtol: 2e-5, atol: 1e-37 });
    }
  });
});

describeBuilds("activationBackward", (core) => {
  for (const { name, activation, f } of functions) {
    it(`${name} matches finite differences of f64 within 1e-4 on [−5, 5]`, () => {
      for (const n of lengths) {
        const x = randomArray(n, n + 1, -5, 5).map((v) => (Math.abs(v) < 1e-3 ? 1 : v));
        const dOut = randomArray(n, n + 2);
        const slope = (v: number): number => (f(v + 1e-5) - f(v - 1e-5)) / 2e-5;
        expectAllclose(backward(core, activation, dOut, x), Float64Array.from(x, (v, i) => dOut[i]! * slope(v)), { rtol: 1e-4, atol: 2e-6 });
      }
    });

    it(`${name} works in place of dOut, and gives the same bits in 3 slices as in 1`, () => {
      for (const n of lengths) {
        const x = randomArray(n, n, -6, 6);
        const dOut = randomArray(n, n + 1);
        const dX = backward(core, activation, dOut, x);
        core.reset();
        const both = core.input(dOut);
        core.run(Op.ActivationBackward, { dX: both, dOut: both, x: core.input(x), n, activation });
        expect(both.read()).toEqual(dX);
        expect(backward(core, activation, dOut, x, 3)).toEqual(dX);
      }
    });

    it(`${name} passes dOut unchanged at +Infinity and huge values, and propagates NaN in dOut`, () => {
      const dX = backward(core, activation, Float32Array.of(2, 2, NaN), Float32Array.of(Infinity, 3e38, 1));
      expect(Array.from(dX)).toEqual([2, 2, NaN]);
    });
  }

  for (const { name, activation } of functions.slice(1)) {
    it(`${name} gives 0 at −Infinity and huge negative values`, () => {
      expectAllclose(backward(core, activation, Float32Array.of(2, 2), Float32Array.of(-Infinity, -3e38)), [0, 0], { atol: 1e-30 });
    });
  }
});
