import { checkConfig, type Fields, type FieldsByName, finite, isList, notNegative, optional, positive, seed, share, typed, whole } from "../fields";
import { mass } from "../graph/ops/sampling";
import { checkIds } from "../models/inputs";

/** How a row chooses its tokens. Settings take effect in the order of Hugging Face's processors, which is the order below. */
export interface Sampler {
  /** Values to add to the logits of some tokens, by id: [[id, value], …]. */
  logitBias?: readonly (readonly [id: number, value: number])[];
  /** Tokens that are never chosen. */
  banned?: readonly number[];
  /** Divides positive logits of tokens in the row, and multiplies negative ones (Keskar et al. 2019); 1, the default, has no effect. */
  repetitionPenalty?: number;
  /** Subtracted from the logits of tokens generated so far: once, and for each occurrence. */
  presencePenalty?: number;
  frequencyPenalty?: number;
  /** No n-gram of this length is repeated in the row; 0, the default, for no limit. */
  noRepeatNGram?: number;
  /** `end` tokens are not chosen before this many tokens have been generated. */
  minTokens?: number;
  end?: readonly number[];
  /** Tokens that must be chosen, by their index among the generated tokens: [[index, id], …]. */
  forced?: readonly (readonly [index: number, id: number])[];
  /** 0, the default, picks the most likely token; higher values give more variety. */
  temperature?: number;
  /** Sample from this many of the most likely tokens; 0, the default, samples from all of them. */
  topK?: number;
  /** Sample from the most likely tokens that together have this probability (Holtzman et al. 2020); 1, the default, for all. */
  topP?: number;
  /** Sample from tokens at least this many times as likely as the most likely one (Nguyen et al. 2024); 0, the default, for all. */
  minP?: number;
  /** Sample from the most typical tokens that together have this probability (Meister et al. 2023); 1, the default, for all. */
  typicalP?: number;
  /** Rows with the same seed draw the same random numbers, whichever rows they are batched with; 0 by default. */
  seed?: number;
}

const idList = typed("a list of token ids", isList);
const pairs = typed("a list of pairs", (value) => Array.isArray(value) && value.every((pair) => isList(pair) && pair.length === 2));
/** One or more ids that end a row. */
export const endField = typed("a token id or a list of them", (value) => typeof value === "number" || isList(value));

/** The settings that adjust logits, and those that only sampling has. */
export const adjustmentFields = {
  logitBias: optional(pairs), banned: optional(idList), repetitionPenalty: optional(positive), presencePenalty: optional(finite),
  frequencyPenalty: optional(finite), noRepeatNGram: optional(whole), minTokens: optional(whole), forced: optional(pairs),
} as const satisfies FieldsByName;
export const samplingFields = {
  temperature: optional(notNegative), topK: optional(whole), topP: optional(mass), minP: optional(share), typicalP: optional(mass),
  seed: optional(seed),
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
