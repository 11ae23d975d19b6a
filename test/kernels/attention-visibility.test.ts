import { expect, it } from "vitest";
import { attention, type Data, dataOf, expectExact, expectSameBits, type Forward, type Gradients, shapeOf } from "./attention";
import { type Shape, sees } from "./attention.oracle";
import { describeBuilds } from "./core";

const layouts = [{}, { pages: "columns" }, { pages: "rows" }] as const;

/** A copy of `data` with NaN in the keys and values selected by `isHidden`. */
function poison({ B, Hkv, Tk, D }: Shape, data: Data, isHidden: (b: number, j: number) => boolean): Data {
  const spoil = (x: Float32Array): Float32Array => x.map((value, e) => {
    const token = Math.floor(e / (Hkv * D));
    return isHidden(Math.floor(token / Tk), token % Tk) ? NaN : value;
  });
  expect(data.k.length).toBe(B * Tk * Hkv * D);
  return { ...data, k: spoil(data.k), v: spoil(data.v) };
}

const isSeen = (shape: Shape, b: number, j: number): boolean => Array.from({ length: shape.Tq }, (_, i) => sees(shape, b, i, j)).some(Boolean);

describeBuilds("attention's visibility", (core) => {
  it("matches f64 for windows of 0 to 130 keys before and 0 to 70 after a query", () => {
    for (const [Tq, Tk] of [[1, 70], [3, 5], [9, 9], [70, 140], [130, 66]] as const) {
      for (const left of [0, 1, 5, 63, 64, 65, 130]) {
        for (const right of [0, 1, 6, 70]) expectExact(core, shapeOf({ H: 2, Tq, Tk, D: 3, left, right }));
      }
    }
  });

  it("matches f64 for queries at any position, with and without pages", () => {
    for (const Tq of [1, 2, 5, 67]) {
      for (const past of [[0, 1, 2], [5, 63, 64], [65, 129, 140], [-3, -70, 200]] as const) {
        for (const [left, right] of [[1 << 30, 0], [20, 0], [7, 7], [1 << 30, 1 << 30]] as const) {
          for (const layout of layouts) expectExact(core, shapeOf({ B: 3, Tq, Tk: 207, D: 5, past, left, right }), layout);
        }
      }
    }
  });

  it("matches f64 with positions, windows and lengths from 0 to Tk combined", () => {
    for (const Tq of [1, 4, 5, 66]) {
      for (const layout of layouts) {
        expectExact(core, shapeOf({ B: 5, H: 2, Tq, Tk: 150, D: 6, past: [0, 40, 63, 84, 130], lengths: [0, 41, 64, 150, 131], left: 30, right: 2 }), layout);
      }
    }
  });

  it("gives zeros, a log-sum of −Infinity and zero gradients for a query without keys, within a block and alone", () => {
    for (const Tq of [2, 70]) {
      const shape = shapeOf({ B: 2, Tq, Tk: 200, D: 5, past: [170, 300], left: 10, right: 0, lengths: [180, 200] });
      const { out, lse, dQ, dBias } = attention(core, shape, dataOf(shape));
      const none = Array.from({ length: 2 * Tq }, (_, n) => !Array.from({ length: 200 }, (_, j) => sees(shape, Math.floor(n / Tq), n % Tq, j)).some(Boolean));
      expect(none.filter(Boolean).length).toBe(Tq === 2 ? 2 : 120);
      none.forEach((blind, n) => {
        expect(lse[n] === -Infinity, `lse ${n}`).toBe(blind);
        expect(out.subarray(n * 5, n * 5 + 5).every((value) => value === 0), `row ${n}`).toBe(blind);
        if (blind) for (const x of [dQ.subarray(n * 5, n * 5 + 5), dBias.subarray(n * 200, n * 200 + 200)]) expect(x.every((value) => value === 0)).toBe(true);
      });
    }
  });

  it("ignores keys that no query attends to, even NaN, and gives them gradients of exactly 0", () => {
    for (const [Tq, past] of [[2, 90], [70, 75], [5, 130]] as const) {
      for (const [left, right] of [[20, 0], [5, 5], [1 << 30, 0]] as const) {
        const shape = shapeOf({ B: 2, H: 2, Tq, Tk: 190, D: 7, past: [past, past + 3], left, right, lengths: [past + Tq - 2, 190] });
        const clean = dataOf(shape);
        const expected = attention(core, shape, clean);
        expectSameBits(attention(core, shape, poison(shape, clean, (b, j) => !isSeen(shape, b, j))), expected);
        for (let b = 0; b < 2; b++) {
          for (let j = 0; j < 190; j++) {
            const token = (b * 190 + j) * 14;
            if (!isSeen(shape, b, j)) for (const x of [expected.dK, expected.dV]) expect(x.subarray(token, token + 14).every((value) => value === 0)).toBe(true);
          }
        }
      }
    }
  });

  it("propagates NaN to the queries that attend to it, and does not change the bits of the others", () => {
    for (const Tq of [4, 70]) {
      const shape = shapeOf({ Tq, Tk: 150, D: 7, past: [60], left: 25, right: 3 });
      const clean = dataOf(shape);
      const before = attention(core, shape, clean);
      for (const key of [36, 60, 64, 66, 100]) {
        const after = attention(core, shape, poison(shape, clean, (_, j) => j === key));
        for (let i = 0; i < Tq; i++) {
          for (const name of ["out", "dQ"] as const) {
            const row = after[name].subarray(i * 7, i * 7 + 7);
            if (sees(shape, 0, i, key)) expect(row.every(Number.isNaN), `${name} ${i}, NaN in key ${key}`).toBe(true);
            else expect(row, `${name} ${i}, NaN in key ${key}`).toEqual(before[name].subarray(i * 7, i * 7 + 7));
          }
        }
      }
    }
  });

  it("ignores the bias of keys that a query does not attend to", () => {
    for (const Tq of [3, 70]) {
      const shape = shapeOf({ H: 2, Tq, Tk: 150, D: 4, past: [60], left: 25, right: 3, lengths: [140] });
      const bias = (hidden: number): Float32Array => Float32Array.from({ length: 2 * Tq * 150 }, (_, e) => (sees(shape, 0, Math.floor(e / 150) % Tq, e % 150) ? Math.sin(e) : hidden));
      const run = (hidden: number): Forward & Gradients => attention(core, shape, { ...dataOf(shape), bias: bias(hidden), biasStrides: [0, Tq * 150, 150] });
      for (const hidden of [NaN, Infinity]) expectSameBits(run(hidden), run(0));
    }
  });
});
