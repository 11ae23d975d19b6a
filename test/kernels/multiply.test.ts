import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { describeBuilds } from "./core";

const lengths = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 67, 131];

describeBuilds("multiply", (core) => {
  it("matches f32 arithmetic exactly, or within 1e-7 when accumulating, for 1 to 131 elements, in one slice and in three", () => {
    for (const n of lengths) {
      const [a, b, before] = [randomArray(n, n), randomArray(n, n + 1), randomArray(n, n + 2)];
      for (const threads of [1, 3]) {
        core.reset();
        const [out, sum] = [core.output(n), core.input(before)];
        const operands = { a: core.input(a), b: core.input(b), n };
        core.run(Op.Multiply, { out, ...operands, accumulate: 0 }, threads);
        core.run(Op.Multiply, { out: sum, ...operands, accumulate: 1 }, threads);
        expect(out.read()).toEqual(a.map((v, i) => v * b[i]!));
        expectAllclose(sum.read(), Float64Array.from(before, (v, i) => v + a[i]! * b[i]!), { rtol: 1e-7, atol: 1e-7 });
      }
    }
  });

  it("computes its own gradients, within 1e-3 of finite differences", () => {
    const [a, b, dOut] = [randomArray(37, 1), randomArray(37, 2), randomArray(37, 3)];
    core.reset();
    const dA = core.input(new Float32Array(37));
    core.run(Op.Multiply, { out: dA, a: core.input(dOut), b: core.input(b), n: 37, accumulate: 1 });
    const h = 1e-4;
    expectAllclose(dA.read(), Float64Array.from(a, (v, i) => (dOut[i]! * ((v + h) * b[i]! - (v - h) * b[i]!)) / (2 * h)), { rtol: 1e-3 });
  });

  it("works in place, and propagates NaN and Infinity", () => {
    core.reset();
    const both = core.input(Float32Array.of(NaN, Infinity, -Infinity, 3e38, 0.5));
    core.run(Op.Multiply, { out: both, a: both, b: core.input(Float32Array.of(0, 0, 2, 3, 0.5)), n: 5, accumulate: 0 });
    expect([...both.read()]).toEqual([NaN, NaN, -Infinity, Infinity, 0.25]);
  });
});
