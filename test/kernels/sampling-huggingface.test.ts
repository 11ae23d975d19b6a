import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { expectAllclose } from "../allclose";
import { describeBuilds } from "./core";
import { type Choice, distribution, draw, uniformOf } from "./sampling.oracle";
import { sampleRows } from "./sampling";

// Expected probabilities come from Hugging Face's own list of processors; see test/vectors/decoding/generate.py.
interface Options {
  sequence_bias?: [[number], number][];
  bad_words_ids?: [number][];
  repetition_penalty?: number;
  no_repeat_ngram_size?: number;
  min_new_tokens?: number;
  forced_bos_token_id?: number;
  forced_eos_token_id?: number;
  temperature?: number;
  top_k?: number;
  top_p?: number;
  min_p?: number;
  typical_p?: number;
}

interface Vectors {
  new: number;
  end: number;
  rows: { logits: number[]; history: number[] }[];
  cases: { options: Options; probabilities: number[][] }[];
}

const vectors = JSON.parse(readFileSync(new URL("../vectors/decoding/processors.json", import.meta.url), "utf8")) as Vectors;
const { end, rows, cases } = vectors;

/** How many of a row's tokens have been generated. */
const generatedOf = (history: number[]): number => Math.min(vectors.new, history.length - 1);

function choiceOf(o: Options, history: number[]): Choice {
  const forced = history.length === 1 && o.forced_bos_token_id !== undefined ? o.forced_bos_token_id : o.forced_eos_token_id;
  return {
    logitBias: (o.sequence_bias ?? []).map(([[id], value]) => [id, value]), banned: (o.bad_words_ids ?? []).flat(),
    repetitionPenalty: o.repetition_penalty, noRepeatNGram: o.no_repeat_ngram_size, minTokens: o.min_new_tokens ?? 0, end: [end],
    forced: forced === undefined ? [] : [[generatedOf(history), forced]],
    temperature: o.temperature, topK: o.top_k, topP: o.top_p, minP: o.min_p, typicalP: o.typical_p,
  };
}

/** The bias that a session would write: that of the options, and −Infinity for tokens that must not be chosen. */
function biasOf({ logitBias = [], banned = [], minTokens = 0 }: Choice, generated: number): (readonly [number, number])[] {
  return [...logitBias, ...[...banned, ...(generated < minTokens ? [end] : [])].map((id) => [id, -Infinity] as const)];
}

describe("the f64 oracle", () => {
  it.each(cases)("has Hugging Face's probabilities for $options within 1e-5", ({ options, probabilities }) => {
    rows.forEach(({ logits, history }, r) => {
      const p = distribution(logits, choiceOf(options, history), history, generatedOf(history));
      expectAllclose(p, probabilities[r]!, { rtol: 1e-5, atol: 1e-7 });
    });
  });
});

describeBuilds("sample", (core) => {
  it.each(cases)("draws from Hugging Face's probabilities for $options: 200 tokens per row, and only tokens that it keeps", ({ options, probabilities }) => {
    const STEPS = 200;
    rows.forEach(({ logits, history }, r) => {
      const choice = choiceOf(options, history);
      const generated = generatedOf(history);
      const bias = biasOf(choice, generated);
      const { temperature = 1, topK = 0, topP, minP, typicalP, repetitionPenalty, noRepeatNGram, forced } = choice;
      const settings = { temperature, topK, topP, minP, typicalP, repetitionPenalty, noRepeatNGram, seed: 77 + r, forced: forced![0] ? forced![0][1] + 1 : 0 };
      const steps = Array.from({ length: STEPS }, (_, step) => ({
        logits, tokens: history, generated, settings: { ...settings, step }, ...(bias.length > 0 ? { bias } : {}),
      }));
      const { chosen, histories } = sampleRows(core, steps, 2);
      let compared = 0;
      chosen.forEach((token, step) => {
        expect(probabilities[r]![token]).toBeGreaterThan(0);
        const expected = draw(probabilities[r]!, uniformOf([77 + r, 0], step));
        if (expected === null) return;
        compared++;
        expect([step, token]).toEqual([step, expected]);
        expect(histories[step]!.slice(0, history.length + 2)).toEqual([...history, token, -1]);
      });
      expect(compared).toBeGreaterThan(0.95 * STEPS);
    });
  });
});
