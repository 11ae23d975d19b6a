import { expect, it } from "vitest";
import { Rng, Sampling, SampleScratch } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { philox } from "../../host/data/random";
import { randomArray, uniform } from "../random";
import { type Core, describeBuilds } from "./core";

const vocabularies = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 131, 1027];
const STREAM = 17;
const SEED = [12345, 678] as const;

describeBuilds("argmax", (core) => {
  const argmax = (logits: Float32Array, V: number, threads = 1): number[] => {
    core.reset();
    const out = core.output(logits.length / V, "i32");
    core.run(Op.Argmax, { out, logits: core.input(logits), R: logits.length / V, V }, threads);
    return [...out.read()];
  };

  it("finds the largest at each place of 1 to 131 logits, the lowest of equals", () => {
    for (const V of vocabularies.slice(0, -1)) {
      for (let v = 0; v < V; v++) {
        const logits = randomArray(V, v, -5, 5);
        logits[v] = 5;
        if (v < V - 1) logits[V - 1] = 5;
        expect(argmax(logits, V)).toEqual([v]);
      }
    }
  });

  it("gives the same for five rows in one slice and in three", () => {
    const logits = randomArray(5 * 33, 1);
    const expected = Array.from({ length: 5 }, (_, r) => {
      const row = logits.subarray(r * 33, (r + 1) * 33);
      return row.indexOf(Math.max(...row));
    });
    expect(argmax(logits, 33)).toEqual(expected);
    expect(argmax(logits, 33, 3)).toEqual(expected);
  });

  it("gives −1 for a row with NaN wherever it stands, and takes Infinity as a number", () => {
    for (const V of [1, 9, 16, 19]) {
      for (let v = 0; v < V; v++) {
        const logits = randomArray(V, v);
        logits[v] = NaN;
        expect(argmax(logits, V)).toEqual([-1]);
        logits[v] = Infinity;
        expect(argmax(logits, V)).toEqual([v]);
      }
      expect(argmax(new Float32Array(V).fill(-Infinity), V)).toEqual([0]);
    }
  });
});

interface Settings {
  temperature?: number;
  topK?: number;
}

function sample(core: Core, logits: Float32Array, V: number, { temperature = 1, topK = 0 }: Settings = {}, threads = 1): number[] {
  const R = logits.length / V;
  core.reset();
  const settings = new DataView(new ArrayBuffer(Sampling.Bytes));
  settings.setFloat32(Sampling.Temperature, temperature, true);
  settings.setInt32(Sampling.TopK, topK, true);
  const rng = new Int32Array(Rng.Bytes / 4);
  [rng[Rng.SeedLow / 4], rng[Rng.SeedHigh / 4], rng[Rng.Step / 4], rng[Rng.MicroBatch / 4]] = [...SEED, 3, 1];
  const scratch = core.output((threads * (SampleScratch.Base + SampleScratch.PerToken * V)) / 4);
  const out = core.output(R, "i32");
  core.run(Op.Sample, {
    out, logits: core.input(logits), settings: core.input(new Int32Array(settings.buffer)), rng: core.input(rng), scratch, R, V, stream: STREAM,
  }, threads);
  return [...out.read()];
}

/** softmax(row / temperature) in f64 over the top k, of equals the lowest indices. */
function probabilities(row: Float32Array, { temperature = 1, topK = 0 }: Settings): number[] {
  const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
  const kept = new Set(topK > 0 ? order.slice(0, topK) : order);
  const weights = Array.from(row, (x, v) => (kept.has(v) ? Math.exp((x - row[order[0]!]!) / temperature) : 0));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/** The token that row r draws by the f64 oracle; null where the uniform lies within 1e-5 of a boundary. */
function oracle(row: Float32Array, r: number, settings: Settings): number | null {
  const u = philox(SEED, [r, STREAM, 3, 1])[0]! / 2 ** 32;
  let cumulative = 0;
  for (const [v, p] of probabilities(row, settings).entries()) {
    cumulative += p;
    if (Math.abs(cumulative - u) < 1e-5) return null;
    if (cumulative > u) return v;
  }
  return null;
}

describeBuilds("sample", (core) => {
  const rows = (V: number, next: () => number, R = 5): Float32Array => Float32Array.from({ length: R * V }, () => 6 * next() - 3);

  it("draws what the f64 oracle draws from the row's Philox block, for 1 to 1027 logits and every kind of k", () => {
    let compared = 0;
    for (const V of vocabularies) {
      for (const topK of new Set([0, 1, 2, 3, V >> 1, V - 1, V, V + 1])) {
        const settings = { temperature: 0.7, topK };
        const logits = rows(V, uniform(V));
        const drawn = sample(core, logits, V, settings);
        for (const [r, token] of drawn.entries()) {
          const expected = oracle(logits.subarray(r * V, (r + 1) * V), r, settings);
          if (expected === null) continue;
          expect(token, `row ${r} of V=${V}, k=${topK}`).toBe(expected);
          compared++;
        }
        expect(sample(core, logits, V, settings, 3)).toEqual(drawn);
      }
    }
    expect(compared).toBeGreaterThan(400);
  });

  it("draws tokens as often as their probabilities say: χ² over 20000 rows below the 0.999 quantile", () => {
    const [V, R] = [11, 20000];
    const row = randomArray(V, 5, -1.5, 1.5);
    const logits = Float32Array.from({ length: R * V }, (_, i) => row[i % V]!);
    for (const [settings, quantile] of [
      [{ temperature: 1 }, 29.59], // 10 degrees of freedom
      [{ temperature: 2.5 }, 29.59],
      [{ temperature: 0.8, topK: 5 }, 18.47], // 4
    ] as const) {
      const counts = new Array<number>(V).fill(0);
      for (const token of sample(core, logits, V, settings)) counts[token]!++;
      let chiSquare = 0;
      for (const [v, p] of probabilities(row, settings).entries()) {
        if (p === 0) expect(counts[v]).toBe(0);
        else chiSquare += (counts[v]! - R * p) ** 2 / (R * p);
      }
      expect(chiSquare).toBeLessThan(quantile);
    }
  });

  it("keeps exactly k of many equals: the lowest indices", () => {
    const [V, R] = [37, 400];
    for (const topK of [1, 2, 3, 9, 36]) {
      const seen = new Set(sample(core, new Float32Array(R * V).fill(-2), V, { topK }));
      expect(Math.max(...seen)).toBeLessThan(topK);
      if (topK <= 9) expect(seen.size).toBe(topK);
    }
    // 5 > 4 = 4 = 4: with k = 3, indices 6 (of 5), 1 and 2 (of 4)
    const row = Float32Array.of(0, 4, 4, 1, 4, 2, 5, 0, 3);
    const logits = Float32Array.from({ length: 200 * 9 }, (_, i) => row[i % 9]!);
    expect([...new Set(sample(core, logits, 9, { topK: 3 }))].sort()).toEqual([1, 2, 6]);
  });

  it("selects from rising, falling and constant rows alike", () => {
    const V = 1027;
    for (const shape of [(v: number) => v, (v: number) => -v, (v: number) => v % 7, (v: number) => -Math.abs(v - 500)]) {
      const row = Float32Array.from({ length: V }, (_, v) => shape(v) / 100);
      const logits = Float32Array.from({ length: 50 * V }, (_, i) => row[i % V]!);
      const allowed = probabilities(row, { topK: 40 });
      for (const token of sample(core, logits, V, { topK: 40 })) expect(allowed[token]).toBeGreaterThan(0);
    }
  });

  it("is the argmax for k = 1 and for temperatures down to 1e-38", () => {
    const logits = rows(67, uniform(8));
    const expected = Array.from({ length: 5 }, (_, r) => probabilities(logits.subarray(r * 67, (r + 1) * 67), { topK: 1 }).indexOf(1));
    expect(sample(core, logits, 67, { topK: 1 })).toEqual(expected);
    for (const temperature of [1e-4, 1e-30, 1e-38]) expect(sample(core, logits, 67, { temperature })).toEqual(expected);
  });

  it("never draws −Infinity, and gives −1 for a row with NaN, +Infinity or nothing else", () => {
    for (const V of [9, 16, 19]) {
      for (let v = 0; v < V; v++) {
        for (const topK of [0, 3]) {
          const logits = randomArray(2 * V, v);
          logits[v] = -Infinity;
          expect(sample(core, logits, V, { topK })[0]).not.toBe(v);
          for (const bad of [NaN, Infinity]) {
            logits[v] = bad;
            const [first, second] = sample(core, logits, V, { topK });
            expect(first).toBe(-1);
            expect(second).toBeGreaterThanOrEqual(0);
          }
        }
      }
      expect(sample(core, new Float32Array(V).fill(-Infinity), V, { topK: 3 })).toEqual([-1]);
    }
  });

  it("asserts in the debug build that the temperature is positive", () => {
    if (core.build === "debug") expect(() => sample(core, randomArray(5, 1), 5, { temperature: 0 })).toThrow("assertion");
  });
});
