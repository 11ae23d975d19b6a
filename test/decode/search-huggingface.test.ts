import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { beamSearch } from "../../host/decode/beam";
import { generate } from "../../host/decode/generate";
import { Session } from "../../host/decode/session";
import { GPT, type GPTConfig } from "../../host/models/gpt";
import { createRuntime } from "../graph/runtime";

// Expected sequences come from Hugging Face's generate; see test/vectors/decoding/generate.py.
interface Options {
  num_beams?: number;
  length_penalty?: number;
  early_stopping?: boolean | "never";
  eos_token_id?: number[];
  min_new_tokens?: number;
  no_repeat_ngram_size?: number;
  repetition_penalty?: number;
  bad_words_ids?: [number][];
  sequence_bias?: [[number], number][];
  forced_eos_token_id?: number;
}

interface Vectors {
  config: GPTConfig;
  end: number;
  maxTokens: number;
  prompts: number[][];
  parameters: Record<string, number[]>;
  greedy: { options: Options; found: number[][] }[];
  beams: { options: Options; found: { tokens: number[]; score: number }[][] }[];
}

const vectors = JSON.parse(readFileSync(new URL("../vectors/decoding/search.json", import.meta.url), "utf8")) as Vectors;
const { end, maxTokens, prompts } = vectors;

const adjustments = (o: Options) => ({
  minTokens: o.min_new_tokens, noRepeatNGram: o.no_repeat_ngram_size, repetitionPenalty: o.repetition_penalty, banned: o.bad_words_ids?.flat(),
  logitBias: o.sequence_bias?.map(([[id], value]) => [id, value] as const),
  forced: o.forced_eos_token_id === undefined ? undefined : ([[maxTokens - 1, o.forced_eos_token_id]] as const),
});

describe("a GPT-2 with random weights", () => {
  let model: GPT;
  beforeAll(async () => {
    model = new GPT(vectors.config).place(await createRuntime());
    const parameters = new Map(Object.entries(vectors.parameters).map(([name, data]) => [name, { data }] as const));
    model.weights.write(parameters);
  });

  it.each(vectors.greedy)("continues three prompts greedily as Hugging Face does, with $options", async ({ options, found }) => {
    const steps: number[][] = [];
    for await (const ids of generate(model, prompts, { maxTokens, temperature: 0, end, ...adjustments(options) })) steps.push(ids);
    expect(prompts.map((_, i) => steps.map((ids) => ids[i]!).filter((id) => id >= 0))).toEqual(found);
  });

  it.each(vectors.beams)("has Hugging Face's beams, in their order, with scores within 1e-4, for $options", async ({ options, found }) => {
    const { num_beams: beams = 1, length_penalty: alpha = 1, early_stopping: earlyStopping, eos_token_id: ends = [end] } = options;
    const hypotheses = await beamSearch(model, prompts.map((tokens) => ({ tokens })), {
      end: ends, beams, nBest: beams, maxTokens, lengthPenalty: { kind: "huggingface", alpha }, earlyStopping, ...adjustments(options),
    });
    expect(hypotheses.map((best) => best.map(({ ids }) => ids))).toEqual(
      found.map((best) => best.map(({ tokens }) => (ends.includes(tokens.at(-1)!) ? tokens.slice(0, -1) : tokens))),
    );
    hypotheses.forEach((best, i) => best.forEach(({ score, reason, ids, logProbability }, n) => {
      const theirs = found[i]![n]!;
      expect(Math.abs(score - theirs.score)).toBeLessThan(1e-4);
      expect(reason).toBe(ends.includes(theirs.tokens.at(-1)!) ? "end" : "length");
      const length = ids.length + (reason === "end" ? 1 : 0);
      expect(Math.abs(logProbability / length ** alpha - score)).toBeLessThan(1e-5 * Math.max(1, Math.abs(score)));
    }));
  });

  it("stops at the same step with early stopping false and \"never\" if the penalty does not favor long hypotheses", async () => {
    const session = new Session(model, { rows: 5 });
    let expansions = 0;
    const expand = session.expand.bind(session);
    session.expand = (...given) => (expansions++, expand(...given));
    const counts: number[] = [];
    for (const alpha of [0, -0.3, -1, -3]) {
      for (const earlyStopping of [false, "never"] as const) {
        expansions = 0;
        for (const tokens of prompts) await beamSearch(session, [{ tokens }], { end, beams: 3, lengthPenalty: { kind: "huggingface", alpha }, earlyStopping });
        counts.push(expansions);
      }
    }
    expect(counts.filter((_, i) => i % 2 === 0)).toEqual(counts.filter((_, i) => i % 2 === 1));
    expect(Math.max(...counts)).toBeLessThan(70); // of 90: the context has room for 32 tokens
    session.dispose();
  });

  it("has the same bits for prompts searched one at a time, together, and in a session that is reused and full", async () => {
    const options = { end, beams: 3, nBest: 3, maxTokens, noRepeatNGram: 3 };
    const all = [...prompts, ...prompts.map((tokens) => [...tokens, 6])].map((tokens) => ({ tokens }));
    const alone = [];
    for (const prompt of all) alone.push(...(await beamSearch(model, [prompt], options)));
    expect(await beamSearch(model, all, options)).toEqual(alone);
    const session = new Session(model, { rows: 7, poison: true });
    for (let round = 0; round < 2; round++) {
      expect(await beamSearch(session, all, options)).toEqual(alone);
      expect([session["pool"].used, session.free]).toEqual([0, 7]);
    }
    const fresh = await beamSearch(model, all, { ...options, noRepeatNGram: 0 });
    const plain = new Session(model, { rows: 7, poison: true });
    expect(await beamSearch(plain, all, { ...options, noRepeatNGram: 0 })).toEqual(fresh);
    expect(await beamSearch(plain, all, options)).toEqual(alone); // the first rows with penalties
    expect(await beamSearch(plain, all, { ...options, noRepeatNGram: 0 })).toEqual(fresh);
    plain.dispose();
    const [other] = await session.open([{ tokens: prompts[1]! }]); // leaves room for two searches at once
    expect(await beamSearch(session, all, options)).toEqual(alone);
    expect(session.free).toBe(6);
    await session.step([other!]);
    session.dispose();
  });
});
