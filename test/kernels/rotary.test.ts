import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";

interface Shape {
  B: number;
  T: number;
  H: number;
  D: number;
  rotated: number;
  /** The number of elements between tokens, in addition to H·D. */
  gap: number;
}

const shapes: Shape[] = [1, 3].flatMap((B) => [1, 4].flatMap((T) => [1, 3].flatMap((H) =>
  [[2, 2], [3, 2], [5, 4], [6, 6], [8, 8], [10, 6], [18, 14], [33, 32], [64, 64], [64, 16]].map(([D, rotated]) => ({ B, T, H, D: D!, rotated: rotated!, gap: 0 })))));
shapes.push({ B: 2, T: 3, H: 2, D: 6, rotated: 6, gap: 13 }, { B: 2, T: 3, H: 2, D: 7, rotated: 4, gap: 5 });

function table(core: Core, L: number, rotated: number, { base = 10000, scale = 1, factors, threads = 1 }: { base?: number; scale?: number; factors?: Float32Array; threads?: number } = {}): Float32Array {
  core.reset();
  const out = core.output(L * rotated);
  core.run(Op.RotaryTable, { out, factors: factors ? core.input(factors) : null, L, rotated, base, scale }, threads);
  return out.read() as Float32Array;
}

describeBuilds("rotaryTable", (core) => {
  const oracle = (L: number, rotated: number, base: number, scale: number, factors?: Float32Array): Float64Array =>
    Float64Array.from({ length: L * rotated }, (_, at) => {
      const [p, c, half] = [Math.floor(at / rotated), at % rotated, rotated / 2];
      const angle = p * base ** ((-2 * (c % half)) / rotated) * (factors ? factors[c % half]! : 1);
      return scale * (c < half ? Math.cos(angle) : Math.sin(angle));
    });

  it("matches cos and sin of p·base^(−2i/rotated)·factors[i] in f64 within 1e-7·scale, in one slice and in three", () => {
    for (const [L, rotated] of [[1, 2], [3, 4], [50, 6], [1000, 32], [4097, 8]] as const) {
      for (const [base, scale] of [[10000, 1], [500000, 1.25], [1, -3]] as const) {
        for (const factors of [undefined, randomArray(rotated / 2, 1, 0.1, 1)]) {
          const out = table(core, L, rotated, { base, scale, factors });
          expectAllclose(out, oracle(L, rotated, base, scale, factors), { rtol: 0, atol: 1e-7 * Math.abs(scale) });
          expect(table(core, L, rotated, { base, scale, factors, threads: 3 })).toEqual(out);
        }
      }
    }
  });

  it("is as accurate at position 2²⁰", () => {
    const L = 2 ** 20 + 1;
    expectAllclose(table(core, L, 4).subarray(-4), oracle(L, 4, 10000, 1).subarray(-4), { rtol: 0, atol: 1e-7 });
  });

  it("gives NaN for non-finite factors", () => {
    const out = table(core, 3, 6, { factors: Float32Array.of(NaN, 1, Infinity) });
    for (const c of [0, 2, 3, 5]) expect(out[6 + c]).toBeNaN();
    for (const c of [1, 4]) expect(out[6 + c]).not.toBeNaN();
  });
});

type Numbers = ArrayLike<number>;

/** rotate_half in f64, with tokens H·D + gap apart. The gaps of `out` are not changed. */
function oracle(x: Numbers, cosSin: Numbers, past: readonly number[] | null, L: number, { B, T, H, D, rotated, gap }: Shape, out: Float64Array): Float64Array {
  const half = rotated / 2;
  for (let token = 0; token < B * T; token++) {
    const position = (past ? past[Math.floor(token / T)]! : 0) + (token % T);
    for (let head = 0; head < H; head++) {
      const at = token * (H * D + gap) + head * D;
      for (let c = 0; c < D; c++) {
        const [cos, sin] = position >= 0 && position < L
          ? [cosSin[position * rotated + (c % half)]!, cosSin[position * rotated + half + (c % half)]!]
          : [NaN, NaN];
        if (c < half) out[at + c] = x[at + c]! * cos - x[at + c + half]! * sin;
        else if (c < rotated) out[at + c] = x[at + c]! * cos + x[at + c - half]! * sin;
        else out[at + c] = x[at + c]!;
      }
    }
  }
  return out;
}

const sizeOf = ({ B, T, H, D, gap }: Shape): number => B * T * (H * D + gap);

function run(core: Core, x: Float32Array, cosSin: Float32Array, past: readonly number[] | null, shape: Shape, { inverse = 0, threads = 1, inPlace = false, L = cosSin.length / shape.rotated } = {}): Float32Array {
  const { B, T, H, D, rotated, gap } = shape;
  core.reset();
  const from = core.input(x);
  const out = inPlace ? from : core.input(new Float32Array(sizeOf(shape)).fill(7));
  const operands = { out, x: from, table: core.input(cosSin), past: past && core.input(Int32Array.from(past)) };
  core.run(Op.Rotary, { ...operands, B, T, C: H * D, H, D, ldo: H * D + gap, ldx: H * D + gap, L, rotated, inverse }, threads);
  return out.read() as Float32Array;
}

describeBuilds("rotary", (core) => {
  it("matches rotate_half in f64 within 2e-7, with and without past, in one slice and in three, in place", () => {
    for (const shape of shapes) {
      const L = 9;
      const cosSin = table(core, L, shape.rotated);
      const x = randomArray(sizeOf(shape), shape.D);
      for (const past of [null, [0, 5, 2].slice(0, shape.B)]) {
        const out = run(core, x, cosSin, past, shape);
        expectAllclose(out, oracle(x, cosSin, past, L, shape, new Float64Array(out.length).fill(7)), { rtol: 0, atol: 2e-7 });
        expect(run(core, x, cosSin, past, shape, { threads: 3 })).toEqual(out);
        if (shape.gap === 0) expect(run(core, x, cosSin, past, shape, { inPlace: true })).toEqual(out);
      }
    }
  });

  it("reads a slice of a projection, with tokens ldx apart in x and ldo apart in out", () => {
    const [T, H, D, rotated, ldx] = [5, 2, 6, 4, 41];
    const cosSin = table(core, T, rotated);
    const x = randomArray(T * ldx, 1);
    const packed = Float32Array.from({ length: T * H * D }, (_, i) => x[Math.floor(i / (H * D)) * ldx + (i % (H * D))]!);
    const expected = run(core, packed, cosSin, null, { B: 1, T, H, D, rotated, gap: 0 });
    core.reset();
    const out = core.output(T * H * D);
    core.run(Op.Rotary, { out, x: core.input(x), table: core.input(cosSin), past: null, B: 1, T, C: H * D, H, D, ldo: H * D, ldx, L: T, rotated, inverse: 0 });
    expect(out.read()).toEqual(expected);
  });

  it("is undone by its inverse within 1e-6, and the inverse gives the gradient within 1e-4 of finite differences", () => {
    for (const shape of shapes.filter(({ gap, B }) => gap === 0 && B === 1)) {
      const cosSin = table(core, 9, shape.rotated);
      const [x, dOut] = [randomArray(sizeOf(shape), 1), randomArray(sizeOf(shape), 2)];
      const past = [3];
      expectAllclose(run(core, run(core, x, cosSin, past, shape), cosSin, past, shape, { inverse: 1 }), x, { rtol: 0, atol: 1e-6 });
      const x64 = Float64Array.from(x);
      const loss = (): number => oracle(x64, cosSin, past, 9, shape, new Float64Array(x.length)).reduce((total, v, i) => total + v * dOut[i]!, 0);
      const expected = x64.map((v, i) => {
        x64[i] = v + 1e-4;
        const up = loss();
        x64[i] = v - 1e-4;
        const down = loss();
        x64[i] = v;
        return (up - down) / 2e-4;
      });
      expectAllclose(run(core, dOut, cosSin, past, shape, { inverse: 1 }), expected, { rtol: 1e-4, atol: 1e-6 });
    }
  });

  it("makes the scores of queries and keys depend only on their distance, within 1e-5", () => {
    const shape = { B: 1, T: 1, H: 1, D: 16, rotated: 16, gap: 0 };
    const cosSin = table(core, 100, 16);
    const [q, k] = [randomArray(16, 1), randomArray(16, 2)];
    const score = (i: number, j: number): number => {
      const key = run(core, k, cosSin, [j], shape);
      return run(core, q, cosSin, [i], shape).reduce((total, v, c) => total + v * key[c]!, 0);
    };
    expectAllclose([score(57, 50), score(99, 92)], [score(7, 0), score(7, 0)], { rtol: 0, atol: 1e-5 });
  });

  it("gives NaN in the rotated columns of a token whose position is outside the table", () => {
    for (const [D, rotated] of [[6, 6], [7, 4], [18, 14]] as const) {
      const shape = { B: 4, T: 2, H: 2, D, rotated, gap: 0 };
      const cosSin = table(core, 6, rotated); // one row more than the kernel is told about
      const x = randomArray(sizeOf(shape), 1);
      const past = [4, -1, 2 ** 31 - 1, 0];
      const out = run(core, x, cosSin, past, shape, { L: 5 });
      expectAllclose(out, oracle(x, cosSin, past, 5, shape, new Float64Array(x.length)), { rtol: 0, atol: 2e-7 });
    }
  });

  it("propagates NaN to the two columns that depend on it", () => {
    const shape = { B: 1, T: 1, H: 1, D: 10, rotated: 10, gap: 0 };
    const x = randomArray(10, 1);
    x[2] = NaN;
    expect([...run(core, x, table(core, 5, 10), [3], shape)].map(Number.isNaN)).toEqual([0, 0, 1, 0, 0, 0, 0, 1, 0, 0].map(Boolean));
  });
});
