import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import type { Operands } from "../../host/graph/instructions";
import { type Core, describeBuilds, type Named } from "./core";

const lengths = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 67, 131];
const sides = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33];

/** Returns the output of an op in one slice, after checking that three slices give the same bits. */
function run<O extends keyof Operands>(core: Core, op: O, length: number, operands: () => Omit<Named<O>, "out">, initial?: Float32Array): Float32Array {
  const [one, three] = [1, 3].map((threads) => {
    core.reset();
    const out = initial ? core.input(initial) : core.output(length);
    core.run(op, { out, ...operands() } as unknown as Named<O>, threads);
    return out.read() as Float32Array;
  });
  expect(three).toEqual(one);
  return one!;
}

describeBuilds("add, scale, copy, fill", (core) => {
  it("match f32 arithmetic exactly, for 1 to 131 elements", () => {
    for (const n of lengths) {
      const a = randomArray(n, n);
      const b = randomArray(n, n + 1000);
      expect(run(core, Op.Add, n, () => ({ a: core.input(a), b: core.input(b), n }))).toEqual(a.map((v, i) => v + b[i]!));
      expect(run(core, Op.Scale, n, () => ({ x: core.input(a), n, factor: 0.3 }))).toEqual(a.map((v) => v * Math.fround(0.3)));
      expect(run(core, Op.Copy, n, () => ({ x: core.input(a), n }))).toEqual(a);
      expect(run(core, Op.Fill, n, () => ({ n, value: -0.7 }))).toEqual(new Float32Array(n).fill(-0.7));
    }
  });

  it("add and scale in place", () => {
    const a = randomArray(37, 1);
    core.reset();
    const x = core.input(a);
    core.run(Op.Add, { out: x, a: x, b: x, n: 37 });
    core.run(Op.Scale, { out: x, x, n: 37, factor: 0.5 });
    expect(x.read()).toEqual(a);
  });

  it("propagate NaN and Infinity", () => {
    const x = Float32Array.of(NaN, Infinity, -Infinity, 3e38, Infinity);
    const y = Float32Array.of(1, 1, 1, 3e38, -Infinity);
    expect([...run(core, Op.Add, 5, () => ({ a: core.input(x), b: core.input(y), n: 5 }))]).toEqual([NaN, Infinity, -Infinity, Infinity, NaN]);
    expect([...run(core, Op.Scale, 5, () => ({ x: core.input(x), n: 5, factor: 0 }))]).toEqual([NaN, NaN, NaN, 0, NaN]);
  });
});

describeBuilds("transpose", (core) => {
  it("moves every element of R x C matrices, for sides of 1 to 33", () => {
    for (const R of sides) {
      for (const C of sides) {
        const x = randomArray(R * C, R * 100 + C);
        const expected = Float32Array.from(x, (_, i) => x[(i % R) * C + Math.floor(i / R)]!);
        expect(run(core, Op.Transpose, R * C, () => ({ x: core.input(x), R, C }))).toEqual(expected);
      }
    }
  });
});

describeBuilds("gatherRows", (core) => {
  it("selects one row of each matrix", () => {
    for (const C of lengths) {
      const x = randomArray(4 * 5 * C, C);
      const index = Int32Array.of(4, 0, 2, 4);
      const row = (b: number): number => (b * 5 + index[b]!) * C;
      const expected = Float32Array.from({ length: 4 * C }, (_, i) => x[row(Math.floor(i / C)) + (i % C)]!);
      expect(run(core, Op.GatherRows, 4 * C, () => ({ x: core.input(x), index: core.input(index), B: 4, T: 5, C }))).toEqual(expected);
    }
  });

  it("gives NaN for an out-of-range index", () => {
    const x = randomArray(30, 1);
    for (const bad of [-1, 5, 2 ** 31 - 1, -(2 ** 31)]) {
      const row = run(core, Op.GatherRows, 6, () => ({ x: core.input(x), index: core.input(Int32Array.of(bad, 4)), B: 2, T: 5, C: 3 }));
      expect([...row]).toEqual([NaN, NaN, NaN, ...x.slice(27)]);
    }
  });
});

describeBuilds("columnSum", (core) => {
  const oracle = (initial: Float32Array, x: Float32Array, R: number, C: number): Float64Array =>
    Float64Array.from(initial, (start, c) => {
      let total = start;
      for (let r = 0; r < R; r++) total += x[r * C + c]!;
      return total;
    });

  it("adds the sum of rows to its output, within 1e-6 of f64, for 1 to 129 rows", () => {
    for (const R of [1, 2, 63, 64, 65, 128, 129]) {
      for (const C of sides) {
        const x = randomArray(R * C, R + C, 0, 1);
        const initial = randomArray(C, C);
        const sums = run(core, Op.ColumnSum, C, () => ({ x: core.input(x), R, C }), initial);
        expectAllclose(sums, oracle(initial, x, R, C), { rtol: 1e-6, atol: 1e-6 });
      }
    }
  });

  it("is within 1e-6 over 20,000 rows, where a single running f32 sum is not", () => {
    const R = 20000;
    const x = randomArray(R * 3, 9, 0, 1);
    const zeros = new Float32Array(3);
    const expected = oracle(zeros, x, R, 3);
    expectAllclose(run(core, Op.ColumnSum, 3, () => ({ x: core.input(x), R, C: 3 }), zeros), expected, { rtol: 1e-6, atol: 0 });
    const running = new Float32Array(3);
    x.forEach((value, i) => (running[i % 3]! += value));
    expect(Math.max(...running.map((value, c) => Math.abs(value / expected[c]! - 1)))).toBeGreaterThan(1e-6);
  });
});
