import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";

function run(core: Core, before: Float32Array, dOut: Float32Array, index: Int32Array, T: number, threads = 1) {
  core.reset();
  const dX = core.input(before);
  const B = index.length;
  core.run(Op.GatherRowsBackward, { dX, dOut: core.input(dOut), index: core.input(index), B, T, C: dOut.length / B }, threads);
  return dX.read();
}

describeBuilds("gatherRowsBackward", (core) => {
  it("adds to one row of each matrix and changes no other, for 1 to 67 columns, in one slice and in three", () => {
    for (const C of [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 67]) {
      const before = randomArray(4 * 5 * C, C);
      const dOut = randomArray(4 * C, C + 1);
      const index = Int32Array.of(4, 0, 2, 4);
      const expected = before.slice();
      dOut.forEach((v, i) => (expected[(Math.floor(i / C) * 5 + index[Math.floor(i / C)]!) * C + (i % C)]! += v));
      for (const threads of [1, 3]) expect(run(core, before, dOut, index, 5, threads)).toEqual(expected);
    }
  });

  it("adds nothing for an out-of-range index", () => {
    const before = randomArray(15, 1);
    for (const bad of [-1, 5, 2 ** 31 - 1, -(2 ** 31)]) expect(run(core, before, randomArray(3, 2), Int32Array.of(bad), 5)).toEqual(before);
  });
});
