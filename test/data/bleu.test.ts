import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bleu, tokenize13a } from "../../host/data/bleu";
import { parseLines } from "../../host/data/lines";

interface Expected {
  bleu: number;
  counts: number[];
  totals: number[];
  precisions: number[];
  bp: number;
  sys_len: number;
  ref_len: number;
}

const read = (path: string) => readFileSync(new URL(`../vectors/${path}`, import.meta.url));
const lines = (file: string) => parseLines(read(`bleu/${file}`), file).lines;
const scores = JSON.parse(read("bleu/scores.json").toString()) as { systems: { file: string; lowercase: Expected; cased: Expected }[] };
const words = JSON.parse(read("tokenizers/13a.json").toString()) as [line: string, words: string[]][];

describe("tokenize13a", () => {
  it.each(words)("splits %j as sacreBLEU does", (line, expected) => {
    expect(tokenize13a(line)).toEqual(expected);
  });
});

describe("bleu", () => {
  const cases = scores.systems.flatMap(({ file, lowercase, cased }) => [
    { file, lowercase: true, expected: lowercase },
    { file, lowercase: false, expected: cased },
  ]);

  it.each(cases)("scores $file (lowercase: $lowercase) as sacreBLEU does: counts exactly, score to 1e-9", ({ file, lowercase, expected }) => {
    const score = bleu(lines(file), lines("reference.txt"), { lowercase });
    expect(score.counts).toEqual(expected.counts);
    expect(score.totals).toEqual(expected.totals);
    expect([score.hypothesisLength, score.referenceLength]).toEqual([expected.sys_len, expected.ref_len]);
    expect(score.brevityPenalty).toBeCloseTo(expected.bp, 9);
    expect(score.score).toBeCloseTo(expected.bleu, 9);
    score.precisions.forEach((precision, i) => expect(precision).toBeCloseTo(expected.precisions[i]!, 9));
  });

  it("is 100 for the reference itself, and 0 without a match, for empty lines only or for fewer than four words", () => {
    const reference = lines("reference.txt");
    expect(bleu(reference, reference).score).toBeCloseTo(100, 9);
    expect(bleu(["a b c d e"], ["f g h i j"]).score).toBe(0);
    expect(bleu([""], ["a"]).score).toBe(0);
    expect(bleu(["a b"], ["a b"]).score).toBe(0);
  });

  it("halves the precision again for each order without a match", () => {
    const { score, precisions } = bleu(["the cat sat on the mat"], ["the cat sat on a mat"]);
    expect(score).toBeCloseTo(53.7284965911771, 9);
    expect(precisions.map((p) => p.toFixed(2))).toEqual(["83.33", "60.00", "50.00", "33.33"]);
    expect(bleu(["a b x y z"], ["a b c d e"]).precisions).toEqual([40, 25, 100 / (2 * 3), 100 / (4 * 2)]);
  });

  it("rejects lists of different lengths", () => {
    expect(() => bleu(["a"], [])).toThrow("one reference per hypothesis, got 0 for 1");
  });
});
