import { checkConfig, type Fields, type FieldsByName, isList, optional, typed, whole } from "../fields";
import { penaltyFields, samplingFields, type SamplingOptions } from "../graph/ops/sampling";
import { checkIds } from "../models/inputs";

/**
 * How a row chooses its tokens. Settings take effect in the order of Hugging Face's processors: biases, penalties, n-grams, `minTokens`,
 * `forced`, `temperature`, `topK`, `topP`, `minP`, `typicalP`.
 */
export interface Sampler extends SamplingOptions {
  /** Values to add to the logits of some tokens, by id: [[id, value], …]. */
  logitBias?: readonly (readonly [id: number, value: number])[];
  /** Tokens that are never chosen. */
  banned?: readonly number[];
  /** `end` tokens are not chosen before this many tokens have been generated. */
  minTokens?: number;
  end?: readonly number[];
  /** Tokens that must be chosen, by their index among the generated tokens: [[index, id], …]. */
  forced?: readonly (readonly [index: number, id: number])[];
}

const idList = typed("a list of token ids", isList);
const pairs = typed("a list of pairs", (value) => Array.isArray(value) && value.every((pair) => isList(pair) && pair.length === 2));
/** One or more ids that end a row. */
export const endField = typed("a token id or a list of them", (value) => typeof value === "number" || isList(value));

/** The settings that adjust logits. */
export const adjustmentFields = {
  logitBias: optional(pairs), banned: optional(idList), ...penaltyFields, minTokens: optional(whole), forced: optional(pairs),
} as const satisfies FieldsByName;
const fields: Fields<Sampler> = { ...adjustmentFields, ...samplingFields, end: optional(idList) };

const defaults: Required<Sampler> = {
  logitBias: [], banned: [], repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, noRepeatNGram: 0, minTokens: 0, end: [],
  forced: [], temperature: 0, topK: 0, topP: 1, minP: 0, typicalP: 1, seed: 0,
};

/**
 * Fills in the defaults of a sampler.
 * @throws TypeError for an unknown field or a wrong type; RangeError for a value out of range, and for ids outside the vocabulary
 */
export function checkSampler(caller: string, sampler: Sampler, vocabulary: number): Required<Sampler> {
  checkConfig(caller, sampler, fields);
  const given = Object.fromEntries(Object.entries(sampler).filter(([, value]) => value !== undefined));
  const full: Required<Sampler> = { ...defaults, ...given };
  checkIds(`${caller}: banned`, full.banned, vocabulary);
  checkIds(`${caller}: end`, full.end, vocabulary);
  checkIds(`${caller}: forced`, full.forced.map(([, id]) => id), vocabulary);
  checkIds(`${caller}: logitBias`, full.logitBias.map(([id]) => id), vocabulary);
  for (const [index] of full.forced) {
    if (!whole.accepts(index)) throw new RangeError(`${caller}: forced: expected an index of at least 0, got ${index}`);
  }
  for (const [id, value] of full.logitBias) {
    if (typeof value !== "number" || !(Math.fround(value) < Infinity)) {
      throw new RangeError(`${caller}: logitBias: expected a number below Infinity for token ${id}, got ${String(value)}`);
    }
  }
  return full;
}

/** Whether a sampler depends on the tokens of its row or on a bias, so that a step must know them. */
export function needsContext(sampler: Required<Sampler>): boolean {
  const { logitBias, banned, repetitionPenalty, presencePenalty, frequencyPenalty, noRepeatNGram, minTokens, end } = sampler;
  const isPenalized = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0 || noRepeatNGram > 0;
  return isPenalized || logitBias.length > 0 || banned.length > 0 || (minTokens > 0 && end.length > 0);
}

/** The ids that end a row, given as one id, a list or nothing. */
export const endIds = (end: number | readonly number[] | undefined): readonly number[] =>
  end === undefined ? [] : typeof end === "number" ? [end] : [...end];
