import { expect, it } from "vitest";
import { randomArray } from "../random";
import { describeBuilds } from "./core";
import { sampleRows, type SampledRow } from "./sampling";
import { type Choice, distribution, draw, uniformOf } from "./sampling.oracle";

const vocabularies = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 67, 131, 1027];
const truncations: Choice[] = [
  { topP: 0.01 }, { topP: 0.3 }, { topP: 0.9 }, { topP: 0.999 }, { minP: 0.001 }, { minP: 0.2 }, { minP: 0.99 }, { typicalP: 0.01 }, { typicalP: 0.4 },
  { typicalP: 0.95 }, { topK: 3, topP: 0.8 }, { topK: 20, minP: 0.05 }, { topP: 0.9, minP: 0.1, typicalP: 0.7 }, { topK: 9, topP: 0.95, minP: 0.02, typicalP: 0.9 },
];

describeBuilds("truncation in sample", (core) => {
  it("leaves the f64 oracle's distribution for 1 to 1027 logits at temperatures 0.3 to 2: the same token from the same uniform number", () => {
    let compared = 0;
    let all = 0;
    for (const V of vocabularies) {
      const cases = truncations.flatMap((choice, i) => [0.3, 1, 2].map((temperature) => ({ choice: { ...choice, temperature }, logits: randomArray(V, 31 * i + V, -4, 4), step: 10 * i + V })));
      const rows = cases.map(({ choice, logits, step }): SampledRow => ({ logits, settings: { ...choice, topK: choice.topK ?? 0, seed: 5, step } as SampledRow["settings"] & object }));
      const { chosen } = sampleRows(core, rows);
      cases.forEach(({ choice, logits, step }, i) => {
        all++;
        const expected = draw(distribution(logits, choice), uniformOf([5, 0], step));
        if (expected === null) return;
        compared++;
        expect(chosen[i], `V=${V} ${JSON.stringify(choice)}`).toBe(expected);
      });
      expect(sampleRows(core, rows, 3).chosen).toEqual(chosen);
    }
    expect(compared).toBeGreaterThan(0.97 * all);
  });

  const kept = (logits: ArrayLike<number>, settings: SampledRow["settings"]): number[] => {
    const rows = Array.from({ length: 600 }, (_, step) => ({ logits, settings: { ...settings, step } }));
    return [...new Set(sampleRows(core, rows, 3).chosen)].sort((a, b) => a - b);
  };

  it("keeps all tokens that tie with the last one kept", () => {
    const logits = [0, 2, -30, 2, 0, 2, -30, 0, 2]; // four of 0.221 each, three of 0.030
    expect(kept(logits, { topP: 0.3 })).toEqual([1, 3, 5, 8]);
    expect(kept(logits, { minP: Math.exp(-2) * 0.999 })).toEqual([0, 1, 3, 4, 5, 7, 8]);
    expect(kept(logits, { minP: Math.exp(-2) * 1.001 })).toEqual([1, 3, 5, 8]);
    expect(kept(logits, { typicalP: 0.1 })).toEqual([1, 3, 5, 8]); // entropy 1.66; −log p is 1.51 and 3.51
    expect(kept(new Float32Array(9), { topP: 0.01 })).toHaveLength(9);
    expect(kept(new Float32Array(9), { typicalP: 0.01 })).toHaveLength(9);
  });

  it("keeps at least the most likely token, however small topP is, and all of them at 1", () => {
    const logits = [0, 1, 3, 2, -1];
    for (const topP of [1e-6, 1e-30, 1e-50]) expect(kept(logits, { topP })).toEqual([2]);
    for (const typicalP of [1e-6, 1e-50]) expect(kept(logits, { typicalP })).toHaveLength(1);
    expect(kept(logits, { topP: 1, typicalP: 1, minP: 0 })).toEqual([0, 1, 2, 3, 4]);
  });

  it("applies typical sampling to what the other truncations leave", () => {
    const logits = Array.from({ length: 40 }, (_, v) => -v / 4);
    for (const choice of [{ topK: 8, typicalP: 0.3 }, { topP: 0.7, typicalP: 0.3 }, { minP: 0.3, typicalP: 0.3 }]) {
      const p = distribution(logits, choice);
      expect(kept(logits, choice), JSON.stringify(choice)).toEqual([...p.keys()].filter((v) => p[v]! > 0));
    }
  });

  it("gives −1 for a row with NaN or +Infinity, or of only −Infinity, and never draws a −Infinity logit", () => {
    for (const settings of [{ topP: 0.9 }, { minP: 0.1 }, { typicalP: 0.9 }]) {
      for (const bad of [NaN, Infinity]) expect(sampleRows(core, [{ logits: [1, 2, bad, 0, 1], settings }]).chosen).toEqual([-1]);
      expect(sampleRows(core, [{ logits: new Float32Array(7).fill(-Infinity), settings }]).chosen).toEqual([-1]);
      expect(kept([-Infinity, 1, 1, -Infinity, -Infinity, 1], settings)).toEqual([1, 2, 5]);
    }
  });
});

describeBuilds("sample, over two tokens and three rows,", (core) => {
  /** 0.999 quantile of χ² with n degrees of freedom (Wilson and Hilferty 1931). */
  const quantile = (n: number): number => n * (1 - 2 / (9 * n) + 3.0902 * Math.sqrt(2 / (9 * n))) ** 3;

  it("has the f64 oracle's joint distribution for 20 seeds: χ² of pairs of tokens below its 0.999 quantile for 19 of them", () => {
    const V = 5;
    const N = 3000; // pairs per seed and row
    const firsts = [0, 1, 2].map((r) => randomArray(V, r, -1.5, 1.5));
    const after = (first: Float32Array, token: number): Float32Array => first.map((x, v) => x + (v === token ? 1 : -0.2 * token)); // the second token depends on the first
    const choices: Choice[] = [{ temperature: 0.8 }, { topP: 0.9 }, { topK: 4, repetitionPenalty: 1.5 }];
    let exceeded = 0;
    for (let seed = 0; seed < 20; seed++) {
      const observed = choices.map(() => new Float64Array(V * V));
      const settings = (r: number, i: number, step: number): SampledRow["settings"] & object => ({ ...choices[r], seed: 1000 * N * seed + 3 * i + r, step }) as SampledRow["settings"] & object;
      const rows = Array.from({ length: 3 * N }, (_, n): SampledRow => ({ logits: firsts[n % 3]!, tokens: [1], settings: settings(n % 3, Math.floor(n / 3), 0) }));
      const first = sampleRows(core, rows).chosen;
      const second = sampleRows(core, rows.map((_, n) => ({
        logits: after(firsts[n % 3]!, first[n]!), tokens: [1, first[n]!], generated: 1, settings: settings(n % 3, Math.floor(n / 3), 1),
      }))).chosen;
      first.forEach((token, n) => observed[n % 3]![V * token + second[n]!]!++);
      let chiSquare = 0;
      let freedom = 0;
      for (const [r, choice] of choices.entries()) {
        const p = distribution(firsts[r]!, choice, [1], 0);
        const joint = p.flatMap((q, token) => distribution(after(firsts[r]!, token), choice, [1, token], 1).map((other) => q * other));
        joint.forEach((q, pair) => {
          if (q === 0) expect(observed[r]![pair]).toBe(0);
          else chiSquare += (observed[r]![pair]! - N * q) ** 2 / (N * q);
        });
        freedom += joint.filter((q) => q > 0).length - 1;
      }
      if (chiSquare > quantile(freedom)) exceeded++;
    }
    expect(exceeded).toBeLessThanOrEqual(1);
  });
});
