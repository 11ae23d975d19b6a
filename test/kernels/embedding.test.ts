import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { describeBuilds } from "./core";

const widths = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 67];
const V = 11;
const ids = Int32Array.of(3, 10, 0, 3, 7, 3, 10);
const N = ids.length;
const scale = Math.fround(Math.sqrt(7));

describeBuilds("embeddingForward", (core) => {
  it("scales the rows of the ids, exactly, for widths of 1 to 67", () => {
    for (const C of widths) {
      const weight = randomArray(V * C, C);
      const expected = Float32Array.from({ length: N * C }, (_, i) => scale * weight[ids[Math.floor(i / C)]! * C + (i % C)]!);
      for (const threads of [1, 3]) {
        core.reset();
        const out = core.output(N * C);
        core.run(Op.EmbeddingForward, { out, ids: core.input(ids), weight: core.input(weight), N, C, scale }, threads);
        expect(out.read()).toEqual(expected);
      }
    }
  });

  it("asserts in the debug build that ids are not negative", () => {
    if (core.build !== "debug") return;
    core.reset();
    const operands = { out: core.output(3), ids: core.input(Int32Array.of(-1)), weight: core.input(randomArray(9, 1)), N: 1, C: 3, scale: 1 };
    expect(() => core.run(Op.EmbeddingForward, operands)).toThrow("assertion");
  });
});

describeBuilds("embeddingBackward", (core) => {
  it("adds the gradients of repeated ids in order, within 1e-6 of f64, the same bits in one slice and in three", () => {
    for (const C of widths) {
      const dOut = randomArray(N * C, C);
      const initial = randomArray(V * C, C + 1);
      const expected = Float64Array.from(initial);
      dOut.forEach((d, i) => (expected[ids[Math.floor(i / C)]! * C + (i % C)]! += scale * d));
      const [one, three] = [1, 3].map((threads) => {
        core.reset();
        const dWeight = core.input(initial);
        core.run(Op.EmbeddingBackward, { dWeight, dOut: core.input(dOut), ids: core.input(ids), N, C, scale }, threads);
        return dWeight.read();
      });
      expectAllclose(one!, expected, { rtol: 1e-6, atol: 1e-6 });
      expect(three).toEqual(one);
    }
  });

  it("is the transpose of forward: <dOut, forward(W)> = <backward(dOut), W> within 1e-5", () => {
    const C = 19;
    const weight = randomArray(V * C, 1);
    const dOut = randomArray(N * C, 2);
    core.reset();
    const out = core.output(N * C);
    const dWeight = core.input(new Float32Array(V * C));
    core.run(Op.EmbeddingForward, { out, ids: core.input(ids), weight: core.input(weight), N, C, scale });
    core.run(Op.EmbeddingBackward, { dWeight, dOut: core.input(dOut), ids: core.input(ids), N, C, scale });
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((total, v, i) => total + v * b[i]!, 0);
    expectAllclose([dot(dWeight.read(), weight)], [dot(out.read(), dOut)], { rtol: 1e-5, atol: 1e-5 });
  });
});
