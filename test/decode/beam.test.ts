import { beforeAll, describe, expect, it } from "vitest";
import type { Batch } from "../../host/batch";
import { type BeamOptions, type BeamPrompt, beamSearch, type Hypothesis } from "../../host/decode/beam";
import { Session } from "../../host/decode/session";
import { Graph } from "../../host/graph/graph";
import { extendBeams } from "../../host/graph/ops/sampling";
import { compile } from "../../host/graph/program";
import { GPT } from "../../host/models/gpt";
import type { Transformer } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";
import { logitsOf } from "../models/logits";
import { openSession, randomIds, START, trained, type TrainedModel, VOCABULARY } from "./trained";

const ids = (list: readonly number[]) => ({ shape: [1, list.length], data: Int32Array.from(list) });

/** The logits after the last token, without a cache. */
function lastLogits(model: TrainedModel | GPT, tokens: readonly number[], source?: readonly number[]): Float32Array {
  const batch: Batch = source ? { source: ids(source), sourceLengths: { shape: [1], data: Int32Array.of(source.length) }, target: ids(tokens) } : { tokens: ids(tokens) };
  return logitsOf(model, batch).slice(-model.vocabulary);
}

describe("beamSearch with a width that holds every hypothesis", () => {
  const V = 4;
  const END = 3;
  const MAX = 4;
  /** Every hypothesis: those that end, and those of MAX tokens. */
  const COUNT = 1 + 3 + 9 + 27 * 4;
  let model: GPT;
  beforeAll(async () => {
    model = new GPT({ vocabulary: V, block: 12, layers: 1, heads: 2, width: 8 }).place(await createRuntime(), { seed: 3 });
    for (const { state } of [model.embedding.weight, model.positions.weight]) state!.write((state!.read() as Float32Array).map((value) => 15 * value));
  });

  /** All hypotheses and their scores, in f64. */
  function exhaustive(prompt: readonly number[], penalty: (n: number) => number): Map<string, number> {
    const found = new Map<string, number>();
    const visit = (generated: readonly number[], sum: number): void => {
      const logits = [...lastLogits(model, [...prompt, ...generated])];
      const logTotal = Math.log(logits.reduce((total, x) => total + Math.exp(x), 0));
      logits.forEach((x, id) => {
        const next = [...generated, id];
        const score = sum + x - logTotal;
        if (id === END) found.set(next.slice(0, -1).join() + " end", score / penalty(next.length));
        else if (next.length === MAX) found.set(`${next.join()} length`, score / penalty(next.length));
        else visit(next, score);
      });
    };
    visit([], 0);
    return found;
  }

  it.each([
    [{ kind: "wu", alpha: 0.6 }, (n: number) => ((5 + n) / 6) ** 0.6], [{ kind: "wu", alpha: 0 }, () => 1], [{ kind: "huggingface", alpha: 1 }, (n: number) => n],
    [{ kind: "huggingface", alpha: -0.7 }, (n: number) => n ** -0.7],
  ] as const)("finds all of them, best first, with scores within 1e-5, with %j", async (lengthPenalty, penalty) => {
    for (const prompt of [[0], [1, 3, 2], [2, 2, 1, 0, 1]]) {
      const expected = exhaustive(prompt, penalty);
      expect(expected.size).toBe(COUNT);
      const options = { end: END, beams: COUNT, nBest: COUNT, maxTokens: MAX, lengthPenalty, earlyStopping: "never" } as const;
      const [found] = await beamSearch(model, [{ tokens: prompt }], options);
      expect(found!.map(({ ids, reason }) => `${ids.join()} ${reason}`).sort()).toEqual([...expected.keys()].sort());
      found!.forEach(({ ids, reason, score }, i) => {
        expect(Math.abs(score - expected.get(`${ids.join()} ${reason}`)!)).toBeLessThan(1e-5);
        if (i > 0) expect(score).toBeLessThanOrEqual(found![i - 1]!.score);
      });
    }
  });

  it("with as little as two beams has the best one's score or less, and with one it is greedy", async () => {
    for (const prompt of [[0], [1, 3, 2]]) {
      const best = Math.max(...exhaustive(prompt, () => 1).values());
      const options = { end: END, maxTokens: MAX, lengthPenalty: { kind: "wu", alpha: 0 } } as const;
      const [[two]] = (await beamSearch(model, [{ tokens: prompt }], { ...options, beams: 2 })) as [[Hypothesis]];
      expect(two.score).toBeLessThanOrEqual(best + 1e-5);
      const [[one]] = (await beamSearch(model, [{ tokens: prompt }], { ...options, beams: 1, earlyStopping: true, end: [END] })) as [[Hypothesis]];
      const session = openSession(model as never);
      const [row] = await session.open([{ tokens: prompt }]);
      do await session.step([row!]); while (row!.tokens.at(-1) !== END && row!.tokens.length < prompt.length + MAX);
      session.dispose();
      expect(row!.tokens.slice(prompt.length).filter((id) => id !== END)).toEqual(one.ids);
    }
  });
});

describe.each(["Transformer", "GPT", "Llama"] as const)("beamSearch on a trained %s", (family) => {
  let model: TrainedModel;
  beforeAll(async () => (model = await trained[family]()));
  const promptOf = (seed: number): BeamPrompt & { source?: readonly number[] } =>
    family === "Transformer" ? { tokens: [START], source: randomIds(seed, 8) } : { tokens: randomIds(seed, 60 + seed) };

  /** One step of beams whose logits come from whole sequences. */
  function extensionsOf(logits: Float32Array[], scores: number[], W: number, N: number): { parent: number; id: number; score: number }[] {
    const graph = new Graph(model.weights.runtime);
    const inputs = [graph.input([W, VOCABULARY]), graph.input([W])] as const;
    const out = extendBeams(...inputs, { width: W, count: N });
    for (const tensor of [out.scores, out.tokens, out.parents]) graph.keep(tensor);
    const program = compile(graph);
    const all = new Float32Array(W * VOCABULARY);
    logits.forEach((row, i) => all.set(row, i * VOCABULARY));
    program.write(inputs[0], all);
    program.write(inputs[1], Float32Array.from({ length: W }, (_, i) => scores[i] ?? -Infinity));
    program.run();
    const [found, tokens, parents] = [program.read(out.scores), program.read(out.tokens), program.read(out.parents)];
    program.dispose();
    return [...found].map((score, i) => ({ score, id: tokens[i]!, parent: parents[i]! })).filter(({ id }) => id >= 0);
  }

  /** Beam search without a cache, divided by the number of tokens, with early stopping "false". */
  function uncached({ tokens, source }: { tokens: readonly number[]; source?: readonly number[] }, end: number, beams: number, maxTokens: number) {
    let live = [{ ids: [] as number[], score: 0 }];
    const ended: { ids: number[]; score: number }[] = [];
    for (let length = 1; length <= maxTokens; length++) {
      const logits = live.map(({ ids }) => lastLogits(model, [...tokens, ...ids], source));
      const next: typeof live = [];
      extensionsOf(logits, live.map(({ score }) => score), beams, 2 * beams).forEach(({ parent, id, score }, rank) => {
        const { ids } = live[parent]!;
        if (id !== end && length < maxTokens) next.push({ ids: [...ids, id], score });
        else if (rank < beams) ended.push({ ids: id === end ? ids : [...ids, id], score: Math.fround(score / length) });
      });
      ended.sort((a, b) => b.score - a.score).splice(beams);
      live = next.slice(0, beams);
      if (ended.length === beams && live.length > 0 && Math.fround(live[0]!.score / length) <= ended.at(-1)!.score) break;
    }
    return ended;
  }

  it.each([2, 4, 5])("with %i beams equals the same search without a cache, bit for bit, across pages", async (beams) => {
    let copied = 0;
    for (const seed of [1, 2, 4]) {
      const prompt = promptOf(seed);
      const options: BeamOptions = { end: 7, beams, nBest: beams, maxTokens: 8, lengthPenalty: { kind: "huggingface", alpha: 1 } };
      const session = openSession(model);
      const [found] = await beamSearch(session, [prompt], options);
      session.dispose();
      expect(found!.map(({ ids, score }) => ({ ids, score }))).toEqual(uncached(prompt, 7, beams, 8));
      if (family === "Transformer") copied += found![0]!.ids.filter((id, i) => id === prompt.source![i]).length;
    }
    if (family === "Transformer") expect(copied).toBeGreaterThan(12); // of 24: it has learned to copy
  });

  it("gives each of many prompts the bits it has alone, some of them twice, and leaves no page in use", async () => {
    const prompts = [1, 2, 3, 1, 4, 2].map(promptOf);
    const options: BeamOptions = { end: 7, beams: 3, nBest: 2, maxTokens: 8, repetitionPenalty: 1.2, minTokens: 2 };
    const alone = [];
    for (const prompt of prompts) alone.push(...(await beamSearch(model, [prompt], options)));
    const session = openSession(model);
    expect(await beamSearch(session, prompts, options)).toEqual(alone);
    expect([session["pool"].used, session.free]).toEqual([0, 12]);
    session.dispose();
  });
});

describe("beams of a Transformer", () => {
  it("share the three pages of their source", async () => {
    const model: Transformer = await trained.Transformer();
    const session = new Session(model, { rows: 4 });
    const used: number[] = [];
    const expand = session.expand.bind(session);
    session.expand = (...given) => (used.push(session["pool"].used), expand(...given));
    await beamSearch(session, [{ tokens: [START], source: randomIds(1, 130) }], { end: 2, beams: 4, maxTokens: 5 });
    expect(used[0]).toBe(3);
    expect(Math.max(...used)).toBeLessThanOrEqual(7); // and one of each beam
    session.dispose();
  });
});
