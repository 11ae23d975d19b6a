import { expect, it } from "vitest";
import { Window } from "../../assembly/layouts";
import { expectAllclose } from "../allclose";
import { attention, dataOf, expectExact, expectSameBits, shapeOf } from "./attention";
import { type Inputs, forward, sees } from "./attention.oracle";
import { describeBuilds } from "./core";

const T_SIZES = [1, 2, 7, 8, 9, 33, 47, 48, 49, 63, 64, 65, 100];
const D_SIZES = [1, 3, 8, 20, 32, 64];

describeBuilds("attention", (core) => {
  it("matches f64 within 1e-5 for 1 to 100 queries and keys, causal or not", () => {
    for (const Tq of T_SIZES) for (const Tk of T_SIZES) for (const causal of [false, true]) expectExact(core, shapeOf({ Tq, Tk, causal, D: 4 }));
  });

  it("matches f64 for head sizes 1 to 64, with prime token strides", () => {
    for (const D of D_SIZES) {
      for (const [Tq, Tk] of [[7, 7], [9, 66], [65, 65], [67, 10]] as const) {
        expectExact(core, shapeOf({ B: 2, H: 3, Tq, Tk, D, causal: true }), { ld: [197, 199, 211, 223] });
      }
    }
  });

  it("matches f64 with lengths from 0 to Tk, and gives padded keys gradients of exactly 0", () => {
    for (const [Tq, Tk] of [[5, 9], [65, 130]] as const) {
      for (const causal of [false, true]) {
        const shape = shapeOf({ B: 4, H: 2, Tq, Tk, D: 5, causal, lengths: [0, 1, Tk - 2, Tk] });
        expectExact(core, shape);
        const { dK, dV } = attention(core, shape, dataOf(shape));
        for (let e = 0; e < dK.length; e++) {
          const token = Math.floor(e / 10);
          if (token % Tk >= shape.lengths![Math.floor(token / Tk)]! && (dK[e] !== 0 || dV[e] !== 0)) expect.fail(`gradient at padded key ${token}`);
        }
      }
    }
  });

  it("clamps lengths to [0, Tk]", () => {
    for (const [Tq, Tk] of [[1, 9], [5, 9], [65, 130]] as const) {
      for (const causal of [false, true]) expectExact(core, shapeOf({ B: 3, H: 2, Tq, Tk, D: 5, causal, lengths: [Tk, -3, Tk + 5] }));
    }
  });

  it("reads q, k and v from one [B, T, 3C] and writes their gradients into another", () => {
    for (const T of [3, 64, 70]) expectExact(core, shapeOf({ B: 2, H: 3, Tq: T, Tk: T, D: 8, causal: true }), { fused: true });
  });

  it("drops the weights that Philox selects, forward and backward", () => {
    for (const [Tq, Tk] of [[1, 1], [7, 9], [33, 33], [65, 100]] as const) {
      for (const dropout of [0.1, 0.5]) expectExact(core, shapeOf({ B: 2, H: 2, Tq, Tk, D: 4, causal: true, dropout, lengths: [Tk, Tk - 1] }));
    }
  });

  it("matches f64 for a few queries, as in decoding, over thousands of keys", () => {
    for (const D of D_SIZES) expectExact(core, shapeOf({ B: 2, H: 2, Tq: 2, Tk: 70, D, causal: true, lengths: [69, 0] }), { ld: [151, 157, 163, 167] });
    for (const Tk of [1023, 1024, 1025, 2051]) expectExact(core, shapeOf({ Tq: 1, Tk, D: 3 }), { size: 4 });
  });

  it("matches f64 over 1,100 keys with different strides of keys and values, for a few queries and for many, windowed or not", () => {
    for (const Tq of [1, 3, 6, 66]) {
      for (const left of [Window.Unlimited, 1060]) {
        expectExact(core, shapeOf({ B: 2, H: 2, Hkv: 1, Tq, Tk: 1100, D: 5, left, right: 0 }), { ld: [13, 17, 19, 23], size: 3 });
      }
    }
  });

  it("keeps its precision with scores in the hundreds", () => {
    expectExact(core, shapeOf({ Tq: 65, Tk: 130, D: 16 }), { size: 12 });
  });

  it("has a gradient that agrees with central differences of f64 within 1e-4", () => {
    const shape = shapeOf({ B: 1, H: 2, Tq: 5, Tk: 6, D: 3, causal: true, dropout: 0.25 });
    const data = dataOf(shape, 2);
    const actual = attention(core, shape, data);
    const loss = (inputs: Inputs): number => forward(shape, inputs).out.reduce((a, x, e) => a + x * data.dOut[e]!, 0);
    for (const [name, gradient] of [["q", "dQ"], ["k", "dK"], ["v", "dV"]] as const) {
      const differences = Array.from(data[name], (_, e) => {
        const moved = (by: number): number => loss({ ...data, [name]: Float64Array.from(data[name], (x, n) => (n === e ? x + by : x)) });
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
      });
      expectAllclose(actual[gradient], differences, { rtol: 1e-4, atol: 2e-6 });
    }
  });

  it("ignores the future bit for bit, even if it is NaN or Infinity", () => {
    for (const [Tq, Tk, cut] of [[9, 9, 5], [70, 70, 66], [20, 90, 80]] as const) {
      const shape = shapeOf({ H: 2, Tq, Tk, D: 12, causal: true });
      const data = dataOf(shape);
      const before = attention(core, shape, data).out;
      for (const future of [7, NaN, Infinity]) {
        const k = data.k.map((x, e) => (e >= cut * 24 ? future : x));
        const v = data.v.map((x, e) => (e >= cut * 24 ? future : x));
        const seen = (cut - (Tk - Tq)) * 24; // of the queries' floats
        const after = attention(core, shape, { ...data, k, v });
        expect(after.out.slice(0, seen)).toEqual(before.slice(0, seen));
        if (!Number.isFinite(future)) expect(after.out.slice(seen).every(Number.isNaN)).toBe(true);
      }
    }
  });

  it("propagates NaN and Infinity to the queries and keys that depend on them, and to nothing else", () => {
    const shape = shapeOf({ B: 2, Tq: 70, Tk: 75, D: 9, causal: true, lengths: [75, 40] });
    const clean = dataOf(shape);
    for (const name of ["q", "k", "v", "dOut"] as const) {
      for (const token of [3, 66]) {
        const data = { ...clean, [name]: clean[name].map((x, e) => (Math.floor(e / 9) === token ? NaN : x)) };
        const { out, lse, dQ, dK, dV } = attention(core, shape, data);
        const byQuery = name === "q" || name === "dOut";
        const hit = (i: number, j: number): boolean => sees(shape, 0, i, j) && (byQuery ? i === token : j === token);
        const someKey = (i: number): boolean => Array.from({ length: 75 }, (_, j) => hit(i, j)).some(Boolean);
        const infected = Array.from({ length: 140 }, (_, i) => i < 70 && someKey(i));
        const touches = (j: number): boolean => infected.some((bad, i) => bad && sees(shape, 0, i, j));
        const nan = (x: Float32Array, row: number): boolean => x.subarray(row * 9, row * 9 + 9).every(Number.isNaN);
        const finite = (x: Float32Array, row: number): boolean => x.subarray(row * 9, row * 9 + 9).every(Number.isFinite);
        for (let i = 0; i < 140; i++) {
          expect(infected[i] && name !== "dOut" ? nan(out, i) : finite(out, i), `out ${i}, NaN in ${name} ${token}`).toBe(true);
          expect(Number.isNaN(lse[i]), `lse ${i}`).toBe(infected[i] && (name === "q" || name === "k"));
          expect(infected[i] ? nan(dQ, i) : finite(dQ, i), `dQ ${i}, NaN in ${name} ${token}`).toBe(true);
        }
        for (let j = 0; j < 150; j++) {
          const bad = j < 75 && touches(j);
          expect(bad ? nan(dK, j) : finite(dK, j), `dK ${j}, NaN in ${name} ${token}`).toBe(true);
          expect(bad && name !== "v" ? nan(dV, j) : finite(dV, j), `dV ${j}, NaN in ${name} ${token}`).toBe(true);
        }
      }
    }
  });

  it("ignores padded keys, even NaN", () => {
    const shape = shapeOf({ Tq: 66, Tk: 100, D: 8, lengths: [70] });
    const data = dataOf(shape);
    const poison = (x: Float32Array): Float32Array => x.map((y, e) => (e >= 70 * 8 ? NaN : y));
    expectSameBits(attention(core, shape, { ...data, k: poison(data.k), v: poison(data.v) }), attention(core, shape, data));
  });

  it("gives identical bits for 1 and 3 threads", () => {
    for (const T of [9, 100]) {
      const shape = shapeOf({ B: 2, H: 2, Tq: T, Tk: T, D: 20, causal: true, dropout: 0.1 });
      const data = dataOf(shape);
      expectSameBits(attention(core, shape, data, { threads: 3 }), attention(core, shape, data));
    }
  });
});
