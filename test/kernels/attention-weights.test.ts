import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { dataOf, shapeOf, withBias } from "./attention";
import { type Inputs, type Shape, weights } from "./attention.oracle";
import { type Core, describeBuilds } from "./core";

function attentionWeights(core: Core, shape: Shape, { q, k, bias, biasStrides }: Inputs, threads = 1): Float32Array {
  const { B, H, Hkv, Tq, Tk, D, past, lengths, left, right } = shape;
  const [biasBatch, biasHead, biasRow] = biasStrides ?? [0, 0, 0];
  const f32 = (x: ArrayLike<number>) => core.input(Float32Array.from(x));
  const i32 = (x: readonly number[] | undefined) => (x ? core.input(Int32Array.from(x)) : null);
  core.reset();
  const out = core.output(B * H * Tq * Tk);
  core.run(Op.AttentionWeights, {
    out, q: f32(q), k: f32(k), bias: bias ? f32(bias) : null, past: i32(past), lengths: i32(lengths), B, H, Hkv, Tq, Tk, D,
    ldq: H * D, tokenK: Hkv * D, headK: D, biasBatch, biasHead, biasRow, left, right, scale: 1 / Math.sqrt(D),
  }, threads);
  return out.read() as Float32Array;
}

const shapes: [string, Shape][] = [
  ["causal self-attention", shapeOf({ B: 2, H: 3, Tq: 9, Tk: 9, D: 5, causal: true })],
  ["cross-attention with lengths", shapeOf({ B: 3, H: 2, Tq: 4, Tk: 13, D: 7, lengths: [13, 1, 0] })],
  ["grouped heads", shapeOf({ B: 2, H: 6, Hkv: 2, Tq: 5, Tk: 8, D: 4 })],
  ["a window at different positions", shapeOf({ B: 3, H: 2, Tq: 3, Tk: 20, D: 6, past: [0, 7, 40], left: 4, right: 1 })],
];

describeBuilds("attentionWeights", (core) => {
  it.each(shapes)("matches f64 to 2e-6, with 0 for hidden keys, on 1 and 3 threads: %s", (_, shape) => {
    for (const data of [dataOf(shape, 2), withBias(shape, dataOf(shape, 2))]) {
      const actual = attentionWeights(core, shape, data);
      const { B, H, Tq, Tk } = shape;
      for (let row = 0; row < B * H * Tq; row++) {
        const { P } = weights(shape, data, Math.floor(row / (H * Tq)), Math.floor(row / Tq) % H, row % Tq);
        P.forEach((p, j) => {
          const value = actual[row * Tk + j]!;
          expect(Math.abs(value - p), `row ${row}, key ${j}`).toBeLessThan(2e-6);
          if (p === 0) expect(value).toBe(0);
        });
      }
      expect(attentionWeights(core, shape, data, 3)).toEqual(actual);
    }
  });

  it("gives NaN for a query with NaN, and zeros if the bias hides every key", () => {
    const shape = shapeOf({ Tq: 2, Tk: 3, D: 4 });
    const data = dataOf(shape);
    const nan = attentionWeights(core, shape, { ...data, q: data.q.map((x, i) => (i === 5 ? NaN : x)) });
    expect([...nan].map(Number.isNaN)).toEqual([false, false, false, true, true, true]);
    const hidden = attentionWeights(core, shape, { ...data, bias: new Float32Array(3).fill(-Infinity), biasStrides: [0, 0, 0] });
    expect([...hidden]).toEqual(new Array(6).fill(0));
  });
});
