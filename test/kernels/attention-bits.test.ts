import { describe, expect, it } from "vitest";
import { expectAllclose } from "../allclose";
import { attention, type Data, dataOf, expectSameBits, type Layout, shapeOf, withBias } from "./attention";
import type { Shape } from "./attention.oracle";
import { builds, Core, describeBuilds } from "./core";

const layouts: readonly Layout[] = [{}, { pages: "columns" }, { pages: "rows" }];
const CHUNKS = [1, 3, 4, 5, 63, 64, 65];

/** The outputs, and the lse values with those of one query side by side. */
function byQuery(core: Core, shape: Shape, data: Data, layout: Layout): { out: Float32Array; lse: Float32Array } {
  const { out, lse } = attention(core, shape, data, { ...layout, forwardOnly: true });
  const { B, H, Tq } = shape;
  return { out, lse: Float32Array.from({ length: B * Tq * H }, (_, n) => lse[(Math.floor(n / (Tq * H)) * H + (n % H)) * Tq + (Math.floor(n / H) % Tq)]!) };
}

/** Queries [i0 … i0 + n) of one batch row. */
function queries(shape: Shape, data: Data, i0: number, n: number): [Shape, Data] {
  const C = shape.H * shape.D;
  const part = (x: Float32Array): Float32Array => x.slice(i0 * C, (i0 + n) * C);
  const past = (shape.past?.[0] ?? shape.Tk - shape.Tq) + i0;
  const bias = data.bias && data.bias.slice(i0 * data.biasStrides![2]);
  return [{ ...shape, Tq: n, past: [past] }, { ...data, q: part(data.q), dOut: part(data.dOut), bias }];
}

function expectChunksEqualWhole(core: Core, shape: Shape, data: Data, sizes: readonly number[]): void {
  const whole = byQuery(core, shape, data, {});
  const [C, H] = [shape.H * shape.D, shape.H];
  for (const layout of layouts) {
    for (const size of sizes) {
      for (let i0 = 0; i0 < shape.Tq; i0 += size) {
        const end = Math.min(i0 + size, shape.Tq);
        const expected = { out: whole.out.subarray(i0 * C, end * C), lse: whole.lse.subarray(i0 * H, end * H) };
        const part = byQuery(core, ...queries(shape, data, i0, end - i0), layout);
        expectSameBits(part, expected, `in queries ${i0} to ${end} in ${layout.pages ?? "no"} pages`);
      }
    }
  }
}

describeBuilds("attention's bits", (core) => {
  it("are the same for a query alone and among others, with and without pages: causal, windowed, biased, short", () => {
    for (const options of [{ causal: true }, { left: 40, right: 5 }, { left: 1, right: 70 }, {}, { causal: true, lengths: [171] }]) {
      const shape = shapeOf({ H: 4, Hkv: 2, Tq: 130, Tk: 200, D: 20, ...options });
      expectChunksEqualWhole(core, shape, dataOf(shape, 3), CHUNKS);
    }
    const shape = shapeOf({ H: 2, Tq: 70, Tk: 130, D: 7, left: 50, right: 0 });
    expectChunksEqualWhole(core, shape, withBias(shape, dataOf(shape)), CHUNKS);
  });

  it("are the same for a query alone and among others over thousands of keys", () => {
    for (const options of [{ causal: true, past: [980] }, { causal: true, past: [2000] }, { left: 1500, right: 0, past: [2540] }]) {
      const shape = shapeOf({ H: 2, Hkv: 1, Tq: 70, Tk: 2700, D: 5, ...options });
      expectChunksEqualWhole(core, shape, dataOf(shape, 4), [1, 4, 5, 64]);
    }
  });

  it("are the same for head sizes 1 to 96, for every layout of the keys", () => {
    for (const D of [1, 2, 3, 4, 15, 16, 31, 32, 33, 64, 96]) {
      const shape = shapeOf({ H: 2, Tq: 6, Tk: 85, D, causal: true });
      expectChunksEqualWhole(core, shape, dataOf(shape, 2), [1, 2, 5]);
    }
  });

  it("are the same if weights underflow", () => {
    const shape = shapeOf({ H: 2, Tq: 70, Tk: 1100, D: 8, causal: true });
    const data = dataOf(shape, 12);
    expectChunksEqualWhole(core, shape, { ...data, v: data.v.map((x) => x * 1e-30) }, [1, 5]);
    // With fused multiply-add, the second key turns 0 into −0, and a masked key's 0·1 turns it back into 0.
    const tiny = shapeOf({ Tq: 6, Tk: 6, D: 5, causal: true });
    const each = (values: readonly number[]): Float32Array => Float32Array.from({ length: 30 }, (_, e) => values[Math.floor(e / 5)]!);
    const [q, k, v] = [each([1, 1, 1, 1, 1, 1]), each([0, -3, 0, 0, 0, 0]), each([0, -1e-45, 1, 1, 1, 1])];
    expectChunksEqualWhole(core, tiny, { q, k, v, dOut: q }, [1, 2, 5]);
  });

  it("are the same for a batch row alone and among others, and for 1 to 5 threads", () => {
    for (const Tq of [1, 3, 70]) {
      for (const pages of [undefined, "columns"] as const) {
        const shape = shapeOf({ B: 3, H: 6, Hkv: 2, Tq, Tk: 140, D: 12, past: [0, 33, 140 - Tq], lengths: [140, 33 + Tq, 140], causal: true });
        const data = dataOf(shape);
        const layout = pages ? { pages } : {};
        const all = attention(core, shape, data, layout);
        for (const threads of [2, 3, 4, 5]) expectSameBits(attention(core, shape, data, { ...layout, threads }), all);
        for (let b = 0; b < 3; b++) {
          const part = (x: Float32Array): Float32Array => x.slice((b * x.length) / 3, ((b + 1) * x.length) / 3);
          const one = { ...shape, B: 1, past: [shape.past![b]!], lengths: [shape.lengths![b]!] };
          const { out, lse } = attention(core, one, { ...data, q: part(data.q), k: part(data.k), v: part(data.v), dOut: part(data.dOut) }, layout);
          expectSameBits({ out, lse }, { out: part(all.out), lse: part(all.lse) });
        }
      }
    }
  });

  it("of the backward pass are the same for 1 to 5 threads, with and without grouped heads", () => {
    for (const Hkv of [1, 2, 6]) {
      const shape = shapeOf({ B: 2, H: 6, Hkv, Tq: 70, Tk: 140, D: 12, left: 60, right: 0, dropout: 0.1 });
      const data = withBias(shape, dataOf(shape));
      const alone = attention(core, shape, data);
      for (const threads of [2, 3, 5]) expectSameBits(attention(core, shape, data, { threads }), alone);
    }
  });
});

describe("attention's bits", () => {
  it("are the same in the debug and simd builds, and in relaxed and turbo", () => {
    const cores = new Map(builds.map((build) => [build, Core.load(build)]));
    for (const Tq of [2, 70]) {
      const shape = shapeOf({ H: 4, Hkv: 2, Tq, Tk: 1100, D: 16, left: 1050, right: 0 });
      const [simd, relaxed, turbo, debug] = builds.map((build) => attention(cores.get(build)!, shape, dataOf(shape)));
      expectSameBits(debug!, simd!);
      expectSameBits(turbo!, relaxed!);
    }
  });
});

describeBuilds("attention over 100,000 keys", (core) => {
  const Tk = 100_000;
  const scores: Record<string, (j: number) => number> = {
    random: (j) => 3 * Math.sin(j * j),
    rising: (j) => (20 * j) / Tk,
    falling: (j) => (-20 * j) / Tk,
    ...Object.fromEntries([-0.36, -0.7, -0.772, -1.1, -3, -9].map((low) => [`all ${low} but one`, (j: number) => (j === 77 ? 0 : low)])),
  };

  it("has weights that sum to 1 within 5e-7 and log-sums accurate to 1e-6, for one query and for five", () => {
    for (const [name, score] of Object.entries(scores)) {
      const k = Float32Array.from({ length: Tk }, (_, j) => score(j));
      const lse = Math.log(k.reduce((sum, x) => sum + Math.exp(x), 0));
      for (const Tq of [1, 5]) {
        const shape = shapeOf({ Tq, Tk, D: 1 });
        const ones = (n: number): Float32Array => new Float32Array(n).fill(1);
        const actual = attention(core, shape, { q: ones(Tq), k, v: ones(Tk), dOut: ones(Tq) });
        try {
          expectAllclose(actual.out, ones(Tq), { rtol: 0, atol: 5e-7 });
          expectAllclose(actual.lse, new Array<number>(Tq).fill(lse), { rtol: 0, atol: 1e-6 });
        } catch (error) {
          throw new Error(`scores ${name}: ${(error as Error).message}`);
        }
      }
    }
  });

  it("keeps an infinite value infinite", () => {
    for (const Tq of [1, 5]) {
      const shape = shapeOf({ Tq, Tk: 3000, D: 4 });
      const data = dataOf(shape);
      const { out } = attention(core, shape, { ...data, v: data.v.map((x, e) => (e === 4 * 500 ? Infinity : x)) }, { forwardOnly: true });
      out.forEach((x, e) => { if (e % 4 === 0 ? x !== Infinity : !Number.isFinite(x)) expect.fail(`out[${e}] is ${x}`); });
    }
  });
});
