import { expect, it } from "vitest";
import { expectAllclose } from "../allclose";
import { attention, dataOf, expectExact, shapeOf, withBias } from "./attention";
import { type Inputs, forward } from "./attention.oracle";
import { describeBuilds } from "./core";

const layouts = [{}, { pages: "columns" }, { pages: "rows" }] as const;

describeBuilds("attention's grouped heads and bias", (core) => {
  it("matches f64 for 1 to 6 query heads per key-value head", () => {
    for (const [H, Hkv] of [[2, 1], [4, 2], [6, 1], [6, 2], [6, 3]] as const) {
      for (const [Tq, Tk] of [[1, 9], [3, 70], [7, 7], [66, 70]] as const) {
        for (const layout of layouts) expectExact(core, shapeOf({ B: 2, H, Hkv, Tq, Tk, D: 5, causal: true, lengths: [Tk, Tk - 1] }), layout);
      }
    }
  });

  it("matches f64 for head sizes 1 to 96 in pages, for one query and for many", () => {
    for (const D of [1, 3, 8, 16, 20, 33, 64, 96]) {
      for (const Tq of [1, 3, 6]) for (const pages of ["columns", "rows"] as const) expectExact(core, shapeOf({ H: 4, Hkv: 2, Tq, Tk: 100, D, causal: true }), { pages });
    }
  });

  it("supports more query heads per key-value head than a block has rows", () => {
    expectExact(core, shapeOf({ H: 34, Hkv: 1, Tq: 2, Tk: 66, D: 3, causal: true }));
    expectExact(core, shapeOf({ H: 70, Hkv: 1, Tq: 4, Tk: 5, D: 2 }), { threads: 3 });
  });

  it("reads grouped heads from one [B, T, (H + 2·Hkv)·D] and writes their gradients into another", () => {
    for (const T of [3, 64, 70]) expectExact(core, shapeOf({ B: 2, H: 6, Hkv: 2, Tq: T, Tk: T, D: 4, causal: true }), { fused: true });
  });

  it("matches f64 with a bias per key that is separate or broadcast over heads, queries and batch rows", () => {
    for (const batch of [false, true]) {
      for (const head of [false, true]) {
        for (const query of [false, true]) {
          for (const [Tq, Tk] of [[1, 6], [3, 67], [10, 10], [66, 131]] as const) {
            expectExact(core, shapeOf({ B: 2, H: 2, Tq, Tk, D: 4, causal: Tq === 10 }), { bias: { batch, head, query } });
          }
        }
      }
    }
  });

  it("matches f64 with all features combined", () => {
    for (const Tq of [1, 4, 7, 70]) {
      for (const dropout of [0, 0.3]) {
        for (const layout of layouts) {
          const shape = shapeOf({ B: 3, H: 6, Hkv: 2, Tq, Tk: 150, D: 6, past: [0, 61, 80], lengths: [66, 130, 150], left: 50, right: 3, dropout });
          expectExact(core, shape, { bias: { batch: true, head: true, query: true }, ...layout });
        }
      }
    }
  });

  it("gives a key with bias −Infinity the weight 0, and yields zeros if all keys have it", () => {
    for (const Tq of [2, 70]) {
      const shape = shapeOf({ Tq, Tk: 80, D: 4 });
      const bias = Float32Array.from({ length: Tq * 80 }, (_, e) => (e < 80 || e % 3 === 0 ? -Infinity : 0.5));
      const data = { ...dataOf(shape), bias, biasStrides: [0, 0, 80] as const };
      const { out, lse, dQ, dBias } = attention(core, shape, data);
      const expected = forward(shape, data);
      expectAllclose(out, expected.out, { atol: 3e-6 });
      expectAllclose(lse, expected.lse, { atol: 3e-6 });
      expect([...out.subarray(0, 4), ...dQ.subarray(0, 4), lse[0]]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, -Infinity]);
      expect(dBias.every((value, e) => bias[e] !== -Infinity || value === 0)).toBe(true);
    }
  });

  it("has gradients that agree with central differences of f64 within 1e-4", () => {
    const shape = shapeOf({ B: 2, H: 4, Hkv: 2, Tq: 5, Tk: 8, D: 3, past: [1, 3], left: 2, right: 1, lengths: [8, 6], dropout: 0.25 });
    const data = withBias(shape, dataOf(shape, 2));
    const actual = attention(core, shape, data);
    const loss = (inputs: Inputs): number => forward(shape, inputs).out.reduce((a, x, e) => a + x * data.dOut[e]!, 0);
    const [batch, head, row] = data.biasStrides!;
    for (const [name, gradient] of [["q", "dQ"], ["k", "dK"], ["v", "dV"], ["bias", "dBias"]] as const) {
      const at = Array.from(actual[gradient], (_, e) => (name !== "bias" ? e : Math.floor(e / 160) * batch + (Math.floor(e / 40) % 4) * head + (Math.floor(e / 8) % 5) * row + (e % 8)));
      const differences = at.map((place) => {
        const moved = (by: number): number => loss({ ...data, [name]: Float64Array.from(data[name]!, (x, n) => (n === place ? x + by : x)) });
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
      });
      expectAllclose(actual[gradient], differences, { rtol: 1e-4, atol: 2e-6 });
    }
  });
});
