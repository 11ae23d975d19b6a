import { expect, it } from "vitest";
import { Sampling, SampleScratch } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { philox } from "../../host/data/random";
import { randomArray, uniform } from "../random";
import { type Core, describeBuilds } from "./core";

const vocabularies = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 131, 1027];
const STEP = 3;

describeBuilds("argmax", (core) => {
  const argmax = (logits: Float32Array, V: number, threads = 1): number[] => {
    core.reset();
    const out = core.output(logits.length / V, "i32");
    core.run(Op.Argmax, { out, logits: core.input(logits), R: logits.length / V, V }, threads);
    return [...out.read()];
  };

  it("finds the largest of 1 to 131 logits at every index, and the lowest index among ties", () => {
    for (const V of vocabularies.slice(0, -1)) {
      for (let v = 0; v < V; v++) {
        const logits = randomArray(V, v, -5, 5);
        logits[v] = 5;
        if (v < V - 1) logits[V - 1] = 5;
        expect(argmax(logits, V)).toEqual([v]);
      }
    }
  });

  it("gives the same result for five rows in one slice and in three", () => {
    const logits = randomArray(5 * 33, 1);
    const expected = Array.from({ length: 5 }, (_, r) => {
      const row = logits.subarray(r * 33, (r + 1) * 33);
      return row.indexOf(Math.max(...row));
    });
    expect(argmax(logits, 33)).toEqual(expected);
    expect(argmax(logits, 33, 3)).toEqual(expected);
  });

  it("gives −1 for a row with NaN at any index, and treats Infinity as a number", () => {
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
  step?: number;
}

/** The seed of row r, unless a test provides one. */
const seedOf = (r: number): readonly [number, number] => [12345 + r, 678];

/** Returns the sampled tokens, after checking each row's new step. */
function draw(core: Core, logits: Float32Array, rows: readonly (Settings & { seed: readonly [number, number] })[], threads = 1) {
  const R = rows.length;
  const V = logits.length / R;
  core.reset();
  const settings = new DataView(new ArrayBuffer(R * Sampling.Bytes));
  rows.forEach(({ temperature = 1, topK = 0, step = STEP, seed }, r) => {
    const at = r * Sampling.Bytes;
    settings.setFloat32(at + Sampling.Temperature, temperature, true);
    settings.setInt32(at + Sampling.TopK, topK, true);
    settings.setUint32(at + Sampling.SeedLow, seed[0], true);
    settings.setUint32(at + Sampling.SeedHigh, seed[1], true);
    settings.setInt32(at + Sampling.Step, step, true);
    settings.setInt32(at + Sampling.Bytes - 4, -r, true); // unused bytes, which must not matter
  });
  const scratch = core.output((threads * (SampleScratch.Base + SampleScratch.PerToken * V)) / 4);
  const out = core.output(R, "i32");
  const before = new Int32Array(settings.buffer);
  const cells = core.input(before);
  core.run(Op.Sample, { out, logits: core.input(logits), settings: cells, history: null, past: null, bias: null, scratch, R, V, L: 0 }, threads);
  const expected = before.map((word, i) => (i % (Sampling.Bytes / 4) === Sampling.Step / 4 ? word + 1 : word));
  expect(cells.read(), "settings after").toEqual(expected);
  return [...out.read()];
}

function sample(core: Core, logits: Float32Array, V: number, settings: Settings = {}, threads = 1): number[] {
  return draw(core, logits, Array.from({ length: logits.length / V }, (_, r) => ({ ...settings, seed: seedOf(r) })), threads);
}

/** softmax(row / temperature) in f64 over the top k, and what ties with the k-th. */
function probabilities(row: Float32Array, { temperature = 1, topK = 0 }: Settings): number[] {
  const descending = [...row].sort((a, b) => b - a);
  const least = topK > 0 && topK < row.length ? descending[topK - 1]! : -Infinity;
  const weights = Array.from(row, (x) => (x >= least ? Math.exp((x - descending[0]!) / temperature) : 0));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/** The token that the f64 oracle draws for row r, or null if the uniform number is within 1e-5 of a boundary. */
function oracle(row: Float32Array, r: number, settings: Settings): number | null {
  const u = philox(seedOf(r), [0, 0, settings.step ?? STEP, 0])[0]! / 2 ** 32;
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

  it("draws what the f64 oracle draws from the Philox block of the row's seed and step, for 1 to 1027 logits and all kinds of k", () => {
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

  it("draws tokens with their probabilities: χ² over 20,000 seeds, and over 20,000 steps, is below the 0.999 quantile", () => {
    const [V, R] = [11, 20000];
    const row = randomArray(V, 5, -1.5, 1.5);
    const logits = Float32Array.from({ length: R * V }, (_, i) => row[i % V]!);
    for (const [settings, quantile] of [
      [{ temperature: 1 }, 29.59], // 10 degrees of freedom
      [{ temperature: 2.5 }, 29.59],
      [{ temperature: 0.8, topK: 5 }, 18.47], // 4
    ] as const) {
      const steps = Array.from({ length: R }, (_, step) => ({ ...settings, step, seed: seedOf(0) }));
      for (const drawn of [sample(core, logits, V, settings), draw(core, logits, steps)]) {
        const counts = new Array<number>(V).fill(0);
        for (const token of drawn) counts[token]!++;
        let chiSquare = 0;
        for (const [v, p] of probabilities(row, settings).entries()) {
          if (p === 0) expect(counts[v]).toBe(0);
          else chiSquare += (counts[v]! - R * p) ** 2 / (R * p);
        }
        expect(chiSquare).toBeLessThan(quantile);
      }
    }
  });

  it("keeps all logits that tie with the k-th largest", () => {
    const [V, R] = [37, 400];
    for (const topK of [1, 9, 36]) expect(new Set(sample(core, new Float32Array(R * V).fill(-2), V, { topK })).size).toBe(V);
    // 5 > 4 = 4 = 4: k = 2 keeps index 6 (value 5) and indices 1, 2 and 4 (value 4); k = 1 keeps index 6.
    const row = Float32Array.of(0, 4, 4, 1, 4, 2, 5, 0, 3);
    const logits = Float32Array.from({ length: 200 * 9 }, (_, i) => row[i % 9]!);
    expect([...new Set(sample(core, logits, 9, { topK: 2 }))].sort()).toEqual([1, 2, 4, 6]);
    expect([...new Set(sample(core, logits, 9, { topK: 1 }))]).toEqual([6]);
  });

  it("selects from rising, falling and constant rows", () => {
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

  it("never draws a −Infinity logit, and gives −1 for a row with NaN or +Infinity, or of only −Infinity", () => {
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

  it("draws with the row's own seed, step and settings, regardless of its index and its neighbours", () => {
    const V = 33;
    const next = uniform(3);
    const all = Array.from({ length: 12 }, (_, i) => ({
      row: rows(V, next, 1), temperature: [0, 0.5, 1, 2][i % 4]!, topK: [0, 5, 40][i % 3]!, step: 2 ** 31 - 7 + (i % 2), seed: [i, 2 ** 32 - i] as const,
    }));
    const alone = all.map((one) => draw(core, one.row, [one])[0]!);
    for (const order of [[...all.keys()], [...all.keys()].reverse(), [3, 3, 7, 0, 11]]) {
      const logits = Float32Array.from(order.flatMap((i) => [...all[i]!.row]));
      for (const threads of [1, 3]) expect(draw(core, logits, order.map((i) => all[i]!), threads)).toEqual(order.map((i) => alone[i]));
    }
  });

  it("draws different tokens for each step and for each half of the seed", () => {
    const logits = new Float32Array(1000);
    const tokens = [[1, 2, 3], [2, 2, 3], [1, 3, 3], [1, 2, 4]].map(([low, high, step]) => draw(core, logits, [{ seed: [low!, high!], step }])[0]);
    expect(new Set(tokens).size).toBe(4);
  });

  it("chooses the largest logit, the lowest index among ties, at temperature 0; −1 for NaN, +Infinity or only −Infinity", () => {
    for (const V of vocabularies.slice(0, -1)) {
      for (let v = 0; v < V; v++) {
        const logits = randomArray(V, v, -5, 5);
        logits[v] = 5;
        if (v < V - 1) logits[V - 1] = 5;
        for (const topK of [0, 1, 3]) expect(sample(core, logits, V, { temperature: 0, topK })).toEqual([v]);
        for (const bad of [NaN, Infinity]) expect(sample(core, logits.map((x, i) => (i === v ? bad : x)), V, { temperature: 0 })).toEqual([-1]);
      }
      expect(sample(core, new Float32Array(V).fill(-Infinity), V, { temperature: 0 })).toEqual([-1]);
    }
  });

  it("asserts in the debug build that the temperature is not negative or NaN; in other builds, NaN gives −1", () => {
    for (const temperature of [-1, NaN]) {
      if (core.build === "debug") expect(() => sample(core, randomArray(5, 1), 5, { temperature })).toThrow("assertion");
      else if (Number.isNaN(temperature)) expect(sample(core, randomArray(5, 1), 5, { temperature })).toEqual([-1]);
    }
  });
});
