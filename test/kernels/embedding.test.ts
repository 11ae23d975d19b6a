import { expect, it } from "vitest";
import { EmbeddingScratch, Format } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { toPanels } from "../panels";
import { randomArray } from "../random";
import { type Core, describeBuilds, type Region } from "./core";

const widths = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 67];
const V = 11;
const ids = Int32Array.of(3, 10, 0, 3, 7, 3, 10);
const N = ids.length;
const scale = Math.fround(Math.sqrt(7));

describeBuilds("embeddingForward", (core) => {
  it("gives the scaled rows of the ids exactly, for 1 to 67 columns", () => {
    for (const C of widths) {
      const weight = randomArray(V * C, C);
      const expected = Float32Array.from({ length: N * C }, (_, i) => scale * weight[ids[Math.floor(i / C)]! * C + (i % C)]!);
      for (const threads of [1, 3]) {
        core.reset();
        const out = core.output(N * C);
        core.run(Op.EmbeddingForward, { out, ids: core.input(ids), weight: core.input(weight), N, V, C, scale, format: Format.F32 }, threads);
        expect(out.read()).toEqual(expected);
      }
    }
  });

  it("gives bf16 weights the bits of the same weights in f32", () => {
    for (const C of widths) {
      const halves = Uint16Array.from(randomArray(V * C, C, 0, 0xffff));
      const weight = new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
      const [expected, actual] = [{ format: Format.F32, weight }, { format: Format.BF16, weight: halves }].map(({ format, weight }) => {
        core.reset();
        const out = core.output(N * C);
        core.run(Op.EmbeddingForward, { out, ids: core.input(ids), weight: core.input(weight), N, V, C, scale, format }, 2);
        return out.read();
      });
      expect(actual).toEqual(expected);
    }
  });

  it("gives weights in panels the bits of the same weights in f32", () => {
    for (const C of widths) {
      const weight = randomArray(V * C, C);
      const [expected, actual] = [{ format: Format.F32, weight }, { format: Format.Panels, weight: toPanels(weight, V, C) }].map(({ format, weight }) => {
        core.reset();
        const out = core.output(N * C);
        core.run(Op.EmbeddingForward, { out, ids: core.input(ids), weight: core.input(weight), N, V, C, scale, format }, 2);
        return out.read();
      });
      expect(actual).toEqual(expected);
    }
  });

  it("gives a row of NaN for an id outside the vocabulary, in each format", () => {
    const C = 5;
    for (const [format, weight] of [[Format.F32, randomArray(V * C, 1)], [Format.BF16, new Uint16Array(V * C)], [Format.Panels, new Float32Array(16 * C)]] as const) {
      core.reset();
      const out = core.output(5 * C);
      core.run(Op.EmbeddingForward, { out, ids: core.input(Int32Array.of(-1, 0, V, V - 1, -(2 ** 31))), weight: core.input(weight), N: 5, V, C, scale: 1, format });
      const rows = Array.from({ length: 5 }, (_, n) => out.read().slice(n * C, (n + 1) * C));
      expect(rows.map((row) => row.every(Number.isNaN))).toEqual([true, false, true, false, true]);
      expect(rows.map((row) => row.some(Number.isNaN))).toEqual([true, false, true, false, true]);
    }
  });
});

/** Runs the kernel and returns dWeight. */
function backward(core: Core, initial: Float32Array, dOut: Float32Array, ids: Int32Array, V: number, C: number, scale: number, threads = 1): Float32Array {
  core.reset();
  const N = ids.length;
  const dWeight: Region = core.input(initial);
  const bytes = EmbeddingScratch.Base + EmbeddingScratch.PerId * V + Math.floor(N / EmbeddingScratch.Direct) * (EmbeddingScratch.PerRow + EmbeddingScratch.PerColumn * C);
  const scratch = core.output((threads * bytes) / 4);
  core.run(Op.EmbeddingBackward, { dWeight, dOut: core.input(dOut), ids: core.input(ids), scratch, N, V, C, scale }, threads);
  return dWeight.read() as Float32Array;
}

describeBuilds("embeddingBackward", (core) => {
  it("adds the gradients of repeated ids in order, within 1e-6 of f64, with the same bits in one slice and in three", () => {
    for (const C of widths) {
      const dOut = randomArray(N * C, C);
      const initial = randomArray(V * C, C + 1);
      const expected = Float64Array.from(initial);
      dOut.forEach((d, i) => (expected[ids[Math.floor(i / C)]! * C + (i % C)]! += scale * d));
      const [one, three] = [1, 3].map((threads) => backward(core, initial, dOut, ids, V, C, scale, threads));
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
    core.run(Op.EmbeddingForward, { out, ids: core.input(ids), weight: core.input(weight), N, V, C, scale, format: Format.F32 });
    const forward = out.read();
    const dWeight = backward(core, new Float32Array(V * C), dOut, ids, V, C, scale);
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((total, v, i) => total + v * b[i]!, 0);
    expectAllclose([dot(dWeight, weight)], [dot(forward, dOut)], { rtol: 1e-5, atol: 1e-5 });
  });

  it("skips ids outside the vocabulary", () => {
    const dOut = randomArray(4 * 3, 1);
    expect(backward(core, new Float32Array(2 * 3), dOut, Int32Array.of(-1, 1, 2, -(2 ** 31)), 2, 3, 1)).toEqual(Float32Array.of(0, 0, 0, ...dOut.slice(3, 6)));
  });

  it("adds 10⁶ tokens within 2e-7 of f64, for one id and for three with a rare fourth, for random and equal gradients", () => {
    const [N, V, C] = [1_000_000, 6, 5];
    const cases = [Int32Array.from({ length: N }, () => 4), Int32Array.from({ length: N }, (_, n) => (n % 100_000 === 7 ? 0 : 1 + (n % 3)))];
    for (const ids of cases) {
      for (const dOut of [randomArray(N * C, 1, 0), new Float32Array(N * C).fill(0.1)]) {
        const expected = new Float64Array(V * C).fill(0.5);
        dOut.forEach((d, i) => (expected[ids[Math.floor(i / C)]! * C + (i % C)]! += 0.75 * d));
        expectAllclose(backward(core, new Float32Array(V * C).fill(0.5), dOut, ids, V, C, 0.75), expected, { rtol: 2e-7, atol: 0 });
      }
    }
  });

  it("is within 1e-4 of f64, with the same bits in 1 and 3 slices, if some ids have more than 1024 tokens and some fewer", () => {
    const [N, V, C] = [5003, 9, 37];
    const ids = Int32Array.from(randomArray(N, 3, 0, 1), (u) => Math.floor(9.5 * u * u) - (u > 0.99 ? 10 : 0));
    const [dOut, initial] = [randomArray(N * C, 4), randomArray(V * C, 5)];
    const expected = Float64Array.from(initial);
    dOut.forEach((d, i) => (expected[ids[Math.floor(i / C)]! * C + (i % C)]! += d));
    const one = backward(core, initial, dOut, ids, V, C, 1);
    expectAllclose(one, expected, { rtol: 0, atol: 1e-4 });
    expect(backward(core, initial, dOut, ids, V, C, 1, 3)).toEqual(one);
  });
});
