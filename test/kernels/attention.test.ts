import { expect, it } from "vitest";
import { AttentionScratch } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { MICRO_BATCH, SEED, STEP, STREAM, type Inputs, type Shape, backward, forward, sees } from "./attention.oracle";
import { type Core, type Region, describeBuilds } from "./core";

type Name = "out" | "dQ" | "dK" | "dV";
type Result = Record<Name | "lse", Float32Array>;
interface Data extends Inputs {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  dOut: Float32Array;
}
interface Layout {
  /** Floats between tokens of [out, q, k, v]; absent: H·D. */
  ld?: readonly [number, number, number, number];
  /** q, k and v are columns of one [B, T, 3·H·D]. */
  fused?: boolean;
  threads?: number;
}

const T_SIZES = [1, 2, 7, 8, 9, 33, 47, 48, 49, 63, 64, 65, 100];
const D_SIZES = [1, 3, 8, 20, 32, 64];

const shapeOf = (shape: Partial<Shape>): Shape => ({ B: 1, H: 1, Tq: 9, Tk: 9, D: 8, causal: false, dropout: 0, ...shape });
const tokens = ({ B, H, D }: Shape, T: number): number => B * T * H * D;
const dataOf = (shape: Shape, size = 1, seed = 1): Data => ({
  q: randomArray(tokens(shape, shape.Tq), seed, -size, size),
  k: randomArray(tokens(shape, shape.Tk), seed + 1, -size, size),
  v: randomArray(tokens(shape, shape.Tk), seed + 2),
  dOut: randomArray(tokens(shape, shape.Tq), seed + 3),
});

/** Rows of C floats laid `ld` apart, NaN between them. */
function spread(x: Float32Array, C: number, ld: number): Float32Array {
  const rows = x.length / C;
  const out = new Float32Array(rows * ld).fill(NaN);
  for (let r = 0; r < rows; r++) out.set(x.subarray(r * C, r * C + C), r * ld);
  return out;
}

/** The inverse of `spread`, from column `first`. */
function gather(region: Region, C: number, ld: number, first = 0): Float32Array {
  const x = region.read() as Float32Array;
  const rows = x.length / ld;
  const out = new Float32Array(rows * C);
  for (let r = 0; r < rows; r++) out.set(x.subarray(r * ld + first, r * ld + first + C), r * C);
  return out;
}

/** Runs both passes; gaps between tokens must stay as they were. */
function attention(core: Core, shape: Shape, data: Data, { ld, fused = false, threads = 1 }: Layout = {}): Result {
  const { B, H, Tq, Tk, D, causal, lengths, dropout } = shape;
  const C = H * D;
  const [ldo, ldq, ldk, ldv] = ld ?? (fused ? [C, 3 * C, 3 * C, 3 * C] : [C, C, C, C]);
  core.reset();
  const out = core.output(B * Tq * ldo);
  const lse = core.output(B * H * Tq);
  const dOut = core.input(spread(data.dOut, C, ldo));
  const scratch = core.output((threads * (AttentionScratch.Base + AttentionScratch.PerDim * D)) / 4);
  const rng = dropout ? core.input(Int32Array.of(...SEED, STEP, MICRO_BATCH)) : null;
  const valid = lengths ? core.input(Int32Array.from(lengths)) : null;
  let inputs: (Region | number)[], gradients: (Region | number)[], dQ: Region, dK: Region, dV: Region;
  if (fused) {
    const all = spread(data.q, C, 3 * C);
    for (let r = 0; r < B * Tq; r++) {
      all.set(data.k.subarray(r * C, r * C + C), r * 3 * C + C);
      all.set(data.v.subarray(r * C, r * C + C), r * 3 * C + 2 * C);
    }
    const qkv = core.input(all);
    dQ = dK = dV = core.output(all.length);
    inputs = [0, 1, 2].map((i) => qkv.address + 4 * i * C);
    gradients = [0, 1, 2].map((i) => dQ.address + 4 * i * C);
  } else {
    inputs = [core.input(spread(data.q, C, ldq)), core.input(spread(data.k, C, ldk)), core.input(spread(data.v, C, ldv))];
    gradients = [dQ, dK, dV] = [core.output(B * Tq * ldq), core.output(B * Tk * ldk), core.output(B * Tk * ldv)];
  }
  const [q, k, v] = inputs as [Region, Region, Region];
  const shared = {
    q, k, v, lengths: valid, rng, scratch, B, H, Tq, Tk, D, ldo, ldq, ldk, ldv,
    scale: 1 / Math.sqrt(D), dropout, stream: STREAM, causal: causal ? 1 : 0,
  };
  core.run(Op.AttentionForward, { out, lse, ...shared }, threads);
  core.run(Op.AttentionBackward, { dQ: gradients[0]!, dK: gradients[1]!, dV: gradients[2]!, dOut, out, lse, ...shared }, threads);
  if (!fused) {
    for (const [region, pitch] of [[out, ldo], [dQ, ldq], [dK, ldk], [dV, ldv]] as const) {
      const x = region.read();
      for (let e = 0; e < x.length; e++) if (e % pitch >= C && !Number.isNaN(x[e]!)) expect.fail(`wrote between tokens, at ${e}`);
    }
  }
  return {
    out: gather(out, C, ldo),
    lse: lse.read() as Float32Array,
    dQ: gather(dQ, C, ldq),
    dK: gather(dK, C, ldk, fused ? C : 0),
    dV: gather(dV, C, ldv, fused ? 2 * C : 0),
  };
}

const oracles = new Map<string, ReturnType<typeof forward> & ReturnType<typeof backward>>();

/** Both passes against the f64 oracle. */
function expectExact(core: Core, shape: Shape, layout: Layout = {}, size = 1): void {
  const data = dataOf(shape, size);
  const key = JSON.stringify([shape, size]);
  const expected = oracles.get(key) ?? { ...forward(shape, data), ...backward(shape, data, data.dOut) };
  oracles.set(key, expected);
  const actual = attention(core, shape, data, layout);
  const tolerance = { rtol: 1e-5, atol: 3e-6 * size };
  for (const name of ["out", "lse", "dQ", "dK", "dV"] as const) {
    try {
      expectAllclose(actual[name], expected[name], tolerance);
    } catch (error) {
      throw new Error(`${name} of ${key}: ${(error as Error).message}`);
    }
  }
}

describeBuilds("attention", (core) => {
  it("matches f64 within 1e-5 for 1 to 100 queries and keys, causal or not", () => {
    for (const Tq of T_SIZES) for (const Tk of T_SIZES) for (const causal of [false, true]) expectExact(core, shapeOf({ Tq, Tk, causal, D: 4 }));
  });

  it("matches f64 for heads of 1 to 64, tokens a prime number of floats apart", () => {
    for (const D of D_SIZES) {
      for (const [Tq, Tk] of [[7, 7], [9, 66], [65, 65], [67, 10]] as const) {
        expectExact(core, shapeOf({ B: 2, H: 3, Tq, Tk, D, causal: true }), { ld: [197, 199, 211, 223] });
      }
    }
  });

  it("matches f64 with lengths from 0 to Tk, the padded keys' gradients exactly 0", () => {
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

  it("takes a length below 0 for 0, and one beyond Tk for Tk", () => {
    for (const [Tq, Tk] of [[1, 9], [5, 9], [65, 130]] as const) {
      for (const causal of [false, true]) expectExact(core, shapeOf({ B: 3, H: 2, Tq, Tk, D: 5, causal, lengths: [Tk, -3, Tk + 5] }));
    }
  });

  it("reads q, k and v from one [B, T, 3C] and writes their gradients into another", () => {
    for (const T of [3, 64, 70]) expectExact(core, shapeOf({ B: 2, H: 3, Tq: T, Tk: T, D: 8, causal: true }), { fused: true });
  });

  it("drops the weights that Philox says, forward and backward", () => {
    for (const [Tq, Tk] of [[1, 1], [7, 9], [33, 33], [65, 100]] as const) {
      for (const dropout of [0.1, 0.5]) expectExact(core, shapeOf({ B: 2, H: 2, Tq, Tk, D: 4, causal: true, dropout, lengths: [Tk, Tk - 1] }));
    }
  });

  it("matches f64 for the few queries of decoding, over thousands of keys", () => {
    for (const D of D_SIZES) expectExact(core, shapeOf({ B: 2, H: 2, Tq: 2, Tk: 70, D, causal: true, lengths: [69, 0] }), { ld: [151, 157, 163, 167] });
    for (const Tk of [1023, 1024, 1025, 2051]) expectExact(core, shapeOf({ Tq: 1, Tk, D: 3 }), {}, 4);
  });

  it("keeps its precision with scores in the hundreds", () => {
    expectExact(core, shapeOf({ Tq: 65, Tk: 130, D: 16 }), {}, 12);
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

  it("ignores the future, to the bit, even where it is NaN or Infinity", () => {
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

  it("passes a NaN or Infinity on to what sees it and to nothing else", () => {
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

  it("takes nothing from padded keys, not even NaN", () => {
    const shape = shapeOf({ Tq: 66, Tk: 100, D: 8, lengths: [70] });
    const data = dataOf(shape);
    const poison = (x: Float32Array): Float32Array => x.map((y, e) => (e >= 70 * 8 ? NaN : y));
    expect(attention(core, shape, { ...data, k: poison(data.k), v: poison(data.v) })).toEqual(attention(core, shape, data));
  });

  it("gives identical bits for 1 and 3 threads", () => {
    for (const T of [9, 100]) {
      const shape = shapeOf({ B: 2, H: 2, Tq: T, Tk: T, D: 20, causal: true, dropout: 0.1 });
      const data = dataOf(shape);
      expect(attention(core, shape, data, { threads: 3 })).toEqual(attention(core, shape, data));
    }
  });
});
