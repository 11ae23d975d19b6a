import { expect, it } from "vitest";
import { randomArray, uniform } from "../random";
import { describeBuilds } from "./core";
import { sampleRows, type SampledRow } from "./sampling";
import { adjusted, type Choice } from "./sampling.oracle";

const choices: Omit<Choice, "forced">[] = [
  {}, { repetitionPenalty: 1.8 }, { repetitionPenalty: 0.5 }, { presencePenalty: 2 }, { presencePenalty: -1.5 }, { frequencyPenalty: 0.7 }, { frequencyPenalty: -0.4 },
  { presencePenalty: 1, frequencyPenalty: 0.5, repetitionPenalty: 1.3 }, ...[1, 2, 3, 4, 12, 13].map((noRepeatNGram) => ({ noRepeatNGram })),
  { logitBias: [[0, 3]] }, { logitBias: [[0, -Infinity]] }, { logitBias: [[0, 5]], repetitionPenalty: 2 }, { repetitionPenalty: 1.4, presencePenalty: 0.4, frequencyPenalty: 0.2, noRepeatNGram: 2, logitBias: [[1, 1]] },
];

/** Rows of V logits whose tokens come from few ids, so that they and their n-grams repeat. */
function rowsOf(V: number, seed: number): { row: SampledRow; choice: Choice; best: number | null }[] {
  const next = uniform(seed);
  return choices.filter(({ logitBias }) => (logitBias ?? []).every(([id]) => id < V)).map((choice, i) => {
    const ids = Math.min(V, 4);
    const tokens = Array.from({ length: 1 + Math.floor(20 * next()) }, () => Math.floor(ids * next()) + (next() < 0.2 ? V - ids : 0));
    const generated = Math.floor((tokens.length + 1) * next());
    const logits = randomArray(V, V + 7 * i, -2, 2).map((x, v) => (v < ids ? x + 1 : x));
    const { logitBias: bias, ...settings } = choice;
    const x = adjusted(logits, choice, tokens, generated);
    const [first, second] = [...x].sort((a, b) => b - a) as [number, number];
    const isClear = first > -Infinity && (V === 1 || first - second > 1e-4);
    return { choice, row: { logits, tokens, generated, settings: { temperature: 0, ...settings }, ...(bias ? { bias } : {}) }, best: first === -Infinity ? -1 : isClear ? x.indexOf(first) : null };
  });
}

describeBuilds("adjustment in sample", (core) => {
  it("makes the f64 oracle's choice for 1 to 131 logits and 1 to 20 tokens, and −1 where every token is forbidden", () => {
    let compared = 0;
    let changed = 0;
    for (const V of [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 131]) {
      for (let seed = 0; seed < 4; seed++) {
        const cases = rowsOf(V, 100 * V + seed);
        const { chosen, histories } = sampleRows(core, cases.map(({ row }) => row));
        cases.forEach(({ row, best, choice }, i) => {
          const tokens = row.tokens!;
          expect(histories[i]!.slice(0, tokens.length + 2)).toEqual([...tokens, chosen[i], -1]);
          if (best === null) return;
          expect(chosen[i], `V=${V} ${JSON.stringify(choice)} after ${tokens}`).toBe(best);
          compared++;
          if (best !== Array.from(row.logits).indexOf(Math.max(...Array.from(row.logits)))) changed++;
        });
        expect(sampleRows(core, cases.map(({ row }) => row), 3)).toEqual({ chosen, histories });
      }
    }
    expect(compared).toBeGreaterThan(800);
    expect(changed).toBeGreaterThan(250);
  });

  it("does not depend on the row's index or its neighbours", () => {
    const cases = rowsOf(33, 9);
    const alone = cases.map(({ row }) => sampleRows(core, [row]).chosen[0]);
    expect(sampleRows(core, cases.map(({ row }) => row).reverse(), 3).chosen.reverse()).toEqual(alone);
  });

  it("counts only generated tokens for presence and frequency, and all of them for repetition", () => {
    const row = { logits: [2, 1.9, 1.8], tokens: [0, 0, 1], generated: 1 };
    const choose = (settings: SampledRow["settings"]): number => sampleRows(core, [{ ...row, settings: { temperature: 0, ...settings } }]).chosen[0]!;
    expect(choose({ presencePenalty: 5 })).toBe(0);
    expect(choose({ frequencyPenalty: 5 })).toBe(0);
    expect(choose({ repetitionPenalty: 5 })).toBe(2);
  });

  it("chooses the forced token whatever the logits, penalties and biases, unless the logits are NaN", () => {
    const logits = [3, 1, 2];
    const all = [[0, -Infinity], [1, -Infinity], [2, -Infinity]] as const;
    const rows: SampledRow[] = [
      { logits, settings: { forced: 2 } }, { logits, settings: { forced: 2, temperature: 0 } }, { logits, settings: { forced: 2, topK: 1 } }, { logits, settings: { forced: 2 }, bias: [[1, -Infinity]] },
      { logits, settings: { forced: 2, noRepeatNGram: 1 }, tokens: [1] }, { logits, settings: { forced: 2 }, bias: all }, { logits: [NaN, 1, 2], settings: { forced: 2 } },
    ];
    expect(sampleRows(core, rows).chosen).toEqual([1, 1, 1, 1, 1, 1, -1]);
  });

  it("does not write past a history that is full", () => {
    const tokens = Array.from({ length: 24 }, (_, i) => i % 3);
    const { histories } = sampleRows(core, [{ logits: [1, 2, 3, 4], tokens, generated: 5, settings: { presencePenalty: 1 } }, { logits: [1, 2, 3, 4], tokens: [1] }]);
    expect(histories[0]).toEqual(tokens);
    expect(histories[1]!.slice(0, 2)).toEqual([1, expect.any(Number)]);
  });
});
