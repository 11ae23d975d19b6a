import { expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { randomArray, uniform } from "../random";
import { type Core, describeBuilds } from "./core";
import { adjusted, type Choice } from "./sampling.oracle";
import { rowOperands, type SampledRow } from "./sampling";

interface Beam extends SampledRow {
  score: number;
  choice?: Choice;
}

interface Found {
  scores: number[];
  tokens: number[];
  parents: number[];
}

/** The N best extensions of each group of W beams. */
function extend(core: Core, beams: readonly Beam[], W: number, N: number, { threads = 1, plain = false } = {}): Found[] {
  const G = beams.length / W;
  core.reset();
  const out = { scores: core.output(G * N), tokens: core.output(G * N, "i32"), parents: core.output(G * N, "i32") };
  const operands = rowOperands(core, beams, threads);
  const before = core.input(Float32Array.from(beams, ({ score }) => score));
  const absent = plain ? { settings: null, history: null, past: null, bias: null } : {};
  core.run(Op.ExtendBeams, { ...out, ...operands, ...absent, before, G, W, N }, threads);
  const [scores, tokens, parents] = [out.scores.read(), out.tokens.read(), out.parents.read()];
  const part = (values: ArrayLike<number>, g: number): number[] => Array.from({ length: N }, (_, i) => values[g * N + i]!);
  return Array.from({ length: G }, (_, g) => ({ scores: part(scores, g), tokens: part(tokens, g), parents: part(parents, g) }));
}

/** All extensions of a group in f64, best first; of equal ones, those of lower rows and lower tokens first. */
function oracle(beams: readonly Beam[]): { score: number; token: number; parent: number }[] {
  return beams.flatMap(({ logits, score, choice, tokens = [0], generated = 0 }, parent) => {
    const largest = Math.max(...Array.from(logits));
    const logTotal = Math.log(Array.from(logits).reduce((sum, x) => sum + Math.exp(x - largest), 0));
    const logProbabilities = adjusted(Array.from(logits, (x) => x - largest - logTotal), choice ?? {}, tokens, generated);
    return logProbabilities.map((x, token) => ({ score: score + x, token, parent }));
  }).filter(({ score }) => score > -Infinity).sort((a, b) => b.score - a.score);
}

/** Fails unless a group has the oracle's scores within 1e-5, and its tokens and parents wherever no other extension scores within 1e-5. */
function expectBest({ scores, tokens, parents }: Found, beams: readonly Beam[], what: string): void {
  const expected = oracle(beams);
  scores.forEach((score, i) => {
    const here = expected[i];
    if (!here) return expect([what, i, score, tokens[i], parents[i]]).toEqual([what, i, -Infinity, -1, 0]);
    expect(Math.abs(score - here.score), `score ${i}, ${what}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(here.score)));
    const isClose = [expected[i - 1], expected[i + 1]].some((other) => other && Math.abs(other.score - here.score) < 1e-5);
    if (!isClose) expect([what, i, tokens[i], parents[i]]).toEqual([what, i, here.token, here.parent]);
  });
}

const rowsOf = (seed: number, count: number, V: number): Beam[] => {
  const next = uniform(seed);
  return Array.from({ length: count }, (_, i) => ({ logits: randomArray(V, 100 * seed + i, -4, 4), score: -5 * next() }));
};

describeBuilds("extendBeams", (core) => {
  it("finds the f64 oracle's extensions, with scores within 1e-5, for 1 to 131 logits, 1 to 5 rows and up to 2·W + 3 extensions", () => {
    for (const V of [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 131]) {
      for (const W of [1, 2, 3, 5]) {
        for (const N of [1, 2, W, 2 * W, 2 * W + 3]) {
          const beams = rowsOf(V + W, 3 * W, V);
          const found = extend(core, beams, W, N);
          found.forEach((group, g) => expectBest(group, beams.slice(g * W, (g + 1) * W), `V=${V} W=${W} N=${N} group ${g}`));
          expect(extend(core, beams, W, N, { threads: 3 })).toEqual(found);
          expect(extend(core, beams, W, N, { plain: true })).toEqual(found);
        }
      }
    }
  });

  it("puts equal extensions in the order of rows, then of tokens", () => {
    for (const V of [3, 8, 13]) {
      const beams = Array.from({ length: 3 }, () => ({ logits: new Float32Array(V), score: -1 }));
      const [{ tokens, parents }] = extend(core, beams, 3, 2 * V + 1) as [Found];
      expect(tokens).toEqual(Array.from({ length: 2 * V + 1 }, (_, i) => i % V));
      expect(parents).toEqual(Array.from({ length: 2 * V + 1 }, (_, i) => Math.floor(i / V)));
    }
  });

  it("does not extend a row at −Infinity, whatever its logits, and leaves room past the last extension at −Infinity", () => {
    const beams = rowsOf(3, 3, 9);
    beams[1] = { logits: new Float32Array(9).fill(NaN), score: -Infinity };
    const [found] = extend(core, beams, 3, 20) as [Found];
    expectBest(found, beams.map((beam, i) => (i === 1 ? { ...beam, logits: new Float32Array(9) } : beam)), "one idle row");
    expect(found.parents).not.toContain(1);
    expect(found.tokens.slice(18)).toEqual([-1, -1]);
    const idle = extend(core, beams.map((beam) => ({ ...beam, score: -Infinity })), 3, 2);
    expect(idle).toEqual([{ scores: [-Infinity, -Infinity], tokens: [-1, -1], parents: [0, 0] }]);
  });

  it("never extends with a −Infinity logit", () => {
    const [beam] = rowsOf(4, 1, 11) as [Beam];
    const logits = Float32Array.from(beam.logits, (x, v) => (v % 3 === 0 ? -Infinity : x));
    const [{ tokens }] = extend(core, [{ ...beam, logits }], 1, 11) as [Found];
    expect([...tokens].sort((a, b) => a - b)).toEqual([-1, -1, -1, -1, 1, 2, 4, 5, 7, 8, 10]);
  });

  it("gives NaN first for a group with a row that contains NaN or +Infinity, or only −Infinity; its neighbours are unaffected", () => {
    for (const V of [3, 9, 16]) {
      const beams = rowsOf(V, 6, V);
      const good = extend(core, beams, 2, 4);
      for (const bad of [NaN, Infinity, -Infinity]) {
        for (const at of [0, V - 1]) {
          const broken = beams.map((beam, i) => i !== 3 ? beam : { ...beam, logits: Float32Array.from(beam.logits, (x, v) => (v === at || bad === -Infinity ? bad : x)) });
          const found = extend(core, broken, 2, 4, { threads: 3 });
          expect([found[0], found[2]]).toEqual([good[0], good[2]]);
          expect([found[1]!.scores[0], found[1]!.tokens[0]]).toEqual([NaN, -1]);
        }
      }
    }
  });

  it("adjusts each row's log-probabilities by its own settings and tokens, as the f64 oracle does", () => {
    const V = 19;
    const choices: Omit<Choice, "forced">[] = [
      { repetitionPenalty: 1.7 }, { repetitionPenalty: 0.6 }, { presencePenalty: 0.9, frequencyPenalty: 0.3 }, { frequencyPenalty: -0.5 }, { noRepeatNGram: 1 },
      { noRepeatNGram: 2 }, { noRepeatNGram: 3 }, { logitBias: [[4, 2], [18, -3]] }, { repetitionPenalty: 1.2, presencePenalty: 0.5, noRepeatNGram: 2, logitBias: [[5, 3]] }, {},
    ];
    const beams = rowsOf(6, choices.length, V).map((beam, i): Beam => {
      const { logitBias: bias, ...settings } = choices[i]!;
      return { ...beam, choice: choices[i]!, settings, tokens: [3, 7, 3, 5, 7, 3, 7, 3].slice(0, 3 + (i % 6)), generated: 1 + (i % 3), ...(bias ? { bias } : {}) };
    });
    for (const W of [1, 2, 5]) {
      const found = extend(core, beams, W, 2 * V);
      found.forEach((group, g) => expectBest(group, beams.slice(g * W, (g + 1) * W), `W=${W} group ${g}`));
      expect(extend(core, beams, W, 2 * V, { threads: 3 })).toEqual(found);
    }
  });

  it("extends with the forced token only, at an unchanged score, even where a bias forbids it", () => {
    const beams = rowsOf(7, 2, 13).map((beam, i) => ({ ...beam, score: -1 - i, settings: { forced: 5 + i }, bias: [[4, -Infinity], [5, -Infinity]] as const }));
    expect(extend(core, beams, 2, 3)).toEqual([{ scores: [-1, -2, -Infinity], tokens: [4, 5, -1], parents: [0, 1, 0] }]);
  });
});

describeBuilds("lengthPenalties", (core) => {
  const penalties = (N: number, offset: number, alpha: number, threads = 1): number[] => {
    core.reset();
    const out = core.output(N);
    core.run(Op.LengthPenalties, { out, N, offset, alpha }, threads);
    return [...out.read()];
  };

  it("is ((offset + n)/(offset + 1))^alpha with a relative error < 1e-6 for n up to 2,049, and the same bits in three slices", () => {
    for (const offset of [0, 5]) {
      for (const alpha of [0, 0.2, 0.6, 1, 2, -0.5, -1, 5]) {
        const found = penalties(2050, offset, alpha);
        for (let n = offset === 0 ? 1 : 0; n < found.length; n++) {
          const expected = ((offset + n) / (offset + 1)) ** Math.fround(alpha);
          expect(Math.abs(found[n]! / expected - 1), `n=${n} offset=${offset} alpha=${alpha}`).toBeLessThan(1e-6);
        }
        expect(penalties(2050, offset, alpha, 3)).toEqual(found);
      }
    }
  });

  it("is 1 for one token and for alpha = 0; 0^alpha is 0, 1 or Infinity; sizes from 1 to 17", () => {
    for (let N = 2; N <= 17; N++) for (const offset of [0, 5]) expect(penalties(N, offset, 0.6)[1]).toBe(1);
    expect(penalties(1, 0, 0.6)).toEqual([0]);
    expect(penalties(1, 0, -0.6)).toEqual([Infinity]);
    expect(penalties(5, 0, 0)).toEqual([1, 1, 1, 1, 1]);
    expect(penalties(3, 0, 2000)[2]).toBe(Infinity);
    expect(penalties(3, 0, -2000)[2]).toBe(0);
  });
});
