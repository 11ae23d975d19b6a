import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";

const shapes = [1, 2, 3].flatMap((B) => [1, 2, 5].flatMap((T) => [1, 3, 4, 5, 8, 13, 17, 33].map((C) => [B, T, C] as const)));

function forward(
  core: Core, x: Float32Array, table: Float32Array, B: number, T: number, C: number, threads = 1, past: readonly number[] | null = null,
): Float32Array {
  core.reset();
  const out = core.output(B * T * C);
  const operands = { out, x: core.input(x), table: core.input(table), past: past && core.input(Int32Array.from(past)) };
  core.run(Op.PositionsForward, { ...operands, B, T, C, L: table.length / C }, threads);
  return out.read() as Float32Array;
}

function backward(core: Core, before: Float32Array, dOut: Float32Array, B: number, T: number, C: number, threads = 1): Float32Array {
  core.reset();
  const dTable = core.input(before);
  core.run(Op.PositionsBackward, { dTable, dOut: core.input(dOut), B, T, C }, threads);
  return dTable.read() as Float32Array;
}

function sinusoidal(core: Core, T: number, C: number, threads = 1): Float32Array {
  core.reset();
  const out = core.output(T * C);
  core.run(Op.SinusoidalPositions, { out, T, C }, threads);
  return out.read() as Float32Array;
}

describeBuilds("positionsForward", (core) => {
  it("adds row t of the table to row t of each sequence, exactly", () => {
    for (const [B, T, C] of shapes) {
      const x = randomArray(B * T * C, 1);
      const table = randomArray((T + 2) * C, 2); // longer than the sequences
      const expected = x.map((v, i) => v + table[i % (T * C)]!);
      expect(forward(core, x, table, B, T, C)).toEqual(expected);
      expect(forward(core, x, table, B, T, C, 3)).toEqual(expected);
    }
  });

  it("starts at row past[b] of the table, and gives NaN for rows outside the table", () => {
    for (const [B, T, C] of shapes) {
      for (const L of [1, 2, 7]) {
        for (const past of [[0, 1, 2], [L - 1, L, L - 2], [-1, 2 ** 31 - 1, -(2 ** 31)], [L - T, L - T + 1, 5]]) {
          const x = randomArray(B * T * C, 1);
          const table = randomArray(L * C, 2);
          const expected = x.map((v, i) => {
            const position = past[Math.floor(i / (T * C))]! + (Math.floor(i / C) % T);
            return past[Math.floor(i / (T * C))]! >= 0 && position < L ? v + table[position * C + (i % C)]! : NaN;
          });
          const out = forward(core, x, table, B, T, C, 1, past.slice(0, B));
          expect(out).toEqual(expected);
          expect(forward(core, x, table, B, T, C, 3, past.slice(0, B))).toEqual(out);
        }
      }
    }
  });

  it("gives NaN past the end of a table that is shorter than the sequence, even without past", () => {
    const x = randomArray(2 * 5 * 7, 1);
    const table = randomArray(3 * 7, 2);
    const expected = x.map((v, i) => (i % 35 < 21 ? v + table[i % 35]! : NaN));
    expect(forward(core, x, table, 2, 5, 7)).toEqual(expected);
  });

  it("works in place", () => {
    const x = randomArray(3 * 5 * 7, 1);
    const table = randomArray(5 * 7, 2);
    core.reset();
    const both = core.input(x);
    core.run(Op.PositionsForward, { out: both, x: both, table: core.input(table), past: null, B: 3, T: 5, C: 7, L: 5 });
    expect(both.read()).toEqual(forward(core, x, table, 3, 5, 7));
  });
});

describeBuilds("positionsBackward", (core) => {
  it("adds the sum over the batch within 1e-6, and does not change rows from T on", () => {
    for (const [B, T, C] of shapes) {
      const before = randomArray((T + 2) * C, 1);
      const dOut = randomArray(B * T * C, 2);
      const expected = Float64Array.from(before);
      dOut.forEach((v, i) => (expected[i % (T * C)]! += v));
      const dTable = backward(core, before, dOut, B, T, C);
      expectAllclose(dTable, expected, { rtol: 1e-6, atol: 1e-6 });
      expect(dTable.subarray(T * C)).toEqual(before.subarray(T * C));
      expect(backward(core, before, dOut, B, T, C, 3)).toEqual(dTable);
    }
  });
});

describeBuilds("sinusoidalPositions", (core) => {
  it("matches Vaswani et al. 2017 in f64 within 1e-7, for even and odd widths", () => {
    for (const [T, C] of [[1, 1], [2, 2], [3, 5], [7, 8], [50, 33], [1000, 16]] as const) {
      const expected = Float64Array.from({ length: T * C }, (_, i) => {
        const c = i % C;
        const angle = Math.floor(i / C) / 10000 ** ((c - (c & 1)) / C);
        return c & 1 ? Math.cos(angle) : Math.sin(angle);
      });
      const out = sinusoidal(core, T, C);
      expectAllclose(out, expected, { rtol: 0, atol: 1e-7 });
      expect(sinusoidal(core, T, C, 3)).toEqual(out);
    }
  });
});

describeBuilds("advance", (core) => {
  it("adds the counts, or 1, in one slice and in three", () => {
    for (const B of [1, 3, 17, 50]) {
      const past = Int32Array.from({ length: B }, (_, b) => 7 * b);
      const counts = Int32Array.from({ length: B }, (_, b) => b % 4);
      for (const threads of [1, 3]) {
        core.reset();
        const cell = core.input(past);
        core.run(Op.Advance, { past: cell, counts: core.input(counts), B }, threads);
        core.run(Op.Advance, { past: cell, counts: null, B }, threads);
        expect(cell.read()).toEqual(past.map((v, b) => v + counts[b]! + 1));
      }
    }
  });
});
