import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { builds, Core, describeBuilds } from "./core";
import { philox } from "./philox";

const lengths = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 49, 131];
const rng = Int32Array.of(0x12345678, -5, 3, 1);

/** Word `lane` of the block that yields element e. */
function word(e: number, lane: number, stream: number): number {
  return philox([e >> 2, stream, rng[2]!, rng[3]!], [rng[0]!, rng[1]!])[lane]!;
}

function normal(core: Core, n: number, deviation: number, stream: number, threads = 1): Float32Array {
  core.reset();
  const out = core.output(n);
  core.run(Op.RandomNormal, { out, rng: core.input(rng), n, deviation, stream }, threads);
  return out.read() as Float32Array;
}

function uniform(core: Core, n: number, low: number, high: number, stream: number, threads = 1): Float32Array {
  core.reset();
  const out = core.output(n);
  core.run(Op.RandomUniform, { out, rng: core.input(rng), n, low, high, stream }, threads);
  return out.read() as Float32Array;
}

describeBuilds("randomNormal", (core) => {
  it("matches Box–Muller in f64 within 1e-7 for 1 to 131 elements", () => {
    for (const n of lengths) {
      const expected = Float64Array.from({ length: n }, (_, e) => {
        const r = Math.sqrt(-2 * Math.log((word(e, e & 2, 6) + 1) / 2 ** 32));
        const a = (2 * Math.PI * word(e, (e & 2) + 1, 6)) / 2 ** 32;
        return 0.5 * r * (e & 1 ? Math.sin(a) : Math.cos(a));
      });
      expectAllclose(normal(core, n, 0.5, 6), expected, { rtol: 1e-7, atol: 1e-12 });
    }
  });

  it("has mean 0 within 0.01, deviation 2 within 0.01, and 4.55 % beyond two deviations within 0.2 %, for 200,000 elements", () => {
    const out = normal(core, 200_000, 2, 1);
    const mean = out.reduce((a, b) => a + b, 0) / out.length;
    expectAllclose([mean], [0], { atol: 0.01 });
    expectAllclose([Math.sqrt(out.reduce((a, b) => a + (b - mean) ** 2, 0) / out.length)], [2], { rtol: 0, atol: 0.01 });
    expectAllclose([out.filter((v) => Math.abs(v) > 4).length / out.length], [0.0455], { rtol: 0, atol: 0.002 });
  });

  it("gives element e the same bits whatever n and the number of slices", () => {
    const all = normal(core, 131, 1, 2);
    for (const n of lengths) {
      expect(normal(core, n, 1, 2)).toEqual(all.subarray(0, n));
      expect(normal(core, n, 1, 2, 3)).toEqual(all.subarray(0, n));
    }
    expect(normal(core, 131, 1, 3)).not.toEqual(all);
  });
});

describeBuilds("randomUniform", (core) => {
  it("matches f64 within 1e-7 for 1 to 131 elements", () => {
    for (const n of lengths) {
      const expected = Float64Array.from({ length: n }, (_, e) => -0.25 + 0.75 * ((word(e, e & 3, 6) >>> 8) / 2 ** 24));
      expectAllclose(uniform(core, n, -0.25, 0.5, 6), expected, { rtol: 0, atol: 1e-7 });
    }
  });

  it("stays within its bounds, and fills ten bins evenly within 2 %, for 200,000 elements", () => {
    const out = uniform(core, 200_000, 0, 1, 1);
    const bins = new Array<number>(10).fill(0);
    for (const v of out) bins[Math.floor(v * 10)]!++;
    expectAllclose(bins, bins.map(() => 20_000), { rtol: 0.02 });
    expect(out.every((v) => v >= 0 && v < 1)).toBe(true);
  });

  it("gives element e the same bits whatever n and the number of slices", () => {
    const all = uniform(core, 131, -1, 1, 2);
    for (const n of lengths) {
      expect(uniform(core, n, -1, 1, 2)).toEqual(all.subarray(0, n));
      expect(uniform(core, n, -1, 1, 2, 3)).toEqual(all.subarray(0, n));
    }
  });
});

it("every build gives the same initial values, bit for bit", () => {
  const [first, ...others] = builds.map((build) => Core.load(build));
  for (const core of others) {
    expect(normal(core, 1000, 0.02, 1)).toEqual(normal(first!, 1000, 0.02, 1));
    expect(uniform(core, 1000, -0.1, 0.3, 1)).toEqual(uniform(first!, 1000, -0.1, 0.3, 1));
  }
});
