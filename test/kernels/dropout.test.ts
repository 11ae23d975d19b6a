import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { type Core, describeBuilds } from "./core";
import { philox } from "./philox";

const lengths = [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 95, 97, 131, 257];
const rng = Int32Array.of(0x12345678, 0x0badcafe, 7, 2);

/** Which elements are kept, by definition: each uses 16 bits of block e >> 3, word by word, low half first. */
function keep(n: number, p: number, stream: number): boolean[] {
  const threshold = Math.round(Math.fround(p) * 65536);
  return Array.from({ length: n }, (_, e) => {
    const word = philox([e >> 3, stream, rng[2]!, rng[3]!], [rng[0]!, rng[1]!])[(e & 7) >> 1]!;
    return (e & 1 ? word >>> 16 : word & 0xffff) >= threshold;
  });
}

function dropout(core: Core, x: Float32Array, p: number, stream: number, residual?: Float32Array, threads = 1): Float32Array {
  core.reset();
  const out = core.output(x.length);
  core.run(Op.Dropout, { out, x: core.input(x), residual: residual ? core.input(residual) : null, rng: core.input(rng), n: x.length, p, stream }, threads);
  return out.read() as Float32Array;
}

describeBuilds("dropout", (core) => {
  it("keeps the elements that Philox selects, times 1/(1 − p) within 1e-6, for 1 to 257 elements", () => {
    for (const n of lengths) {
      const x = randomArray(n, n, 1, 2);
      const expected = keep(n, 0.3, 5).map((kept, e) => (kept ? x[e]! / (1 - Math.fround(0.3)) : 0));
      expectAllclose(dropout(core, x, 0.3, 5), expected, { rtol: 1e-6, atol: 0 });
    }
  });

  it("keeps an element whose 16 bits equal the rounded threshold, and drops it if the threshold is one higher", () => {
    for (let e = 0; e < 32; e++) {
      const word = philox([e >> 3, 5, rng[2]!, rng[3]!], [rng[0]!, rng[1]!])[(e & 7) >> 1]!;
      const half = e & 1 ? word >>> 16 : word & 0xffff;
      const kept = [half, half + 0.25, half + 0.75, half + 1].map((threshold) => dropout(core, new Float32Array(32).fill(1), threshold / 65536, 5)[e] !== 0);
      expect(kept, `element ${e}, 16 bits ${half}`).toEqual([true, true, false, false]);
    }
  });

  it("adds the residual, within 1e-6", () => {
    for (const n of lengths) {
      const x = randomArray(n, n);
      const residual = randomArray(n, n + 1);
      const expected = keep(n, 0.5, 9).map((kept, e) => residual[e]! + (kept ? 2 * x[e]! : 0));
      expectAllclose(dropout(core, x, 0.5, 9, residual), expected, { rtol: 1e-6, atol: 1e-7 });
    }
  });

  it("is exactly the identity, or the sum with the residual, at p = 0, and nearly so if p rounds to 0", () => {
    const x = randomArray(77, 1);
    const residual = randomArray(77, 2);
    expect(dropout(core, x, 0, 1)).toEqual(x);
    expect(dropout(core, x, 0, 1, residual)).toEqual(x.map((v, e) => v + residual[e]!));
    expectAllclose(dropout(core, x, 1e-7, 1), x, { rtol: 2e-7, atol: 0 });
  });

  it("gives zeros, or the residual, at p = 1", () => {
    const residual = randomArray(77, 2);
    expect(dropout(core, randomArray(77, 1, 1, 2), 1, 1)).toEqual(new Float32Array(77));
    expect(dropout(core, randomArray(77, 1), 1, 1, residual)).toEqual(residual);
  });

  it("keeps a fraction 1 − p within 0.005 and the mean within 0.01, for 200,000 elements", () => {
    for (const p of [0.1, 0.5, 0.9]) {
      const out = dropout(core, new Float32Array(200_000).fill(1), p, 3);
      expectAllclose([out.filter((v) => v !== 0).length / out.length], [1 - p], { rtol: 0, atol: 0.005 });
      expectAllclose([out.reduce((a, b) => a + b, 0) / out.length], [1], { rtol: 0, atol: p === 0.9 ? 0.03 : 0.01 });
    }
  });

  it("drops different elements for different streams, and the same ones for the same stream", () => {
    const ones = new Float32Array(256).fill(1);
    expect(dropout(core, ones, 0.5, 1)).toEqual(dropout(core, ones, 0.5, 1));
    expect(dropout(core, ones, 0.5, 1)).not.toEqual(dropout(core, ones, 0.5, 2));
  });

  it("works in place of x or the residual, and gives the same bits in 3 slices as in 1", () => {
    for (const n of lengths) {
      const x = randomArray(n, n);
      const residual = randomArray(n, n + 1);
      const expected = dropout(core, x, 0.2, 4, residual);
      expect(dropout(core, x, 0.2, 4, residual, 3)).toEqual(expected);
      for (const inPlace of [0, 1]) {
        core.reset();
        const operands = { x: core.input(x), residual: core.input(residual) };
        const out = inPlace ? operands.residual : operands.x;
        core.run(Op.Dropout, { out, ...operands, rng: core.input(rng), n, p: 0.2, stream: 4 });
        expect(out.read()).toEqual(expected);
      }
    }
  });

  it("propagates every NaN, dropped or not", () => {
    expect(dropout(core, new Float32Array(67).fill(NaN), 0.5, 1).every(Number.isNaN)).toBe(true);
  });
});
