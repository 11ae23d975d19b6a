import { Sampling, SampleScratch } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import {
  checkConfig, type Fields, type FieldsByName, finite, notNegative, optional, positive, type RequiredField, seed as seedField, share, whole,
} from "../../fields";
import type { Graph } from "../graph";
import { noteIndices } from "../indices";
import { formatShape } from "../shape";
import { seedKey } from "../../seed";
import type { Tensor } from "../tensor";
import { expectShape, graphOf } from "./shared";

/**
 * The id of the largest logit of each row; the lowest id on ties, and −1 if the row contains NaN.
 * @param logits  f32 [R, V]
 * @returns i32 [R]
 *
 * @example
 * argmax(graph.input([2, 65])).shape; // [2]
 */
export function argmax(logits: Tensor): Tensor<"i32"> {
  const graph = graphOf("argmax", logits);
  const out = graph.tensor([logits.rows], { dtype: "i32" });
  noteIndices(out, logits.columns);
  graph.emit(Op.Argmax, { out, logits, R: logits.rows, V: logits.columns }, { flops: logits.size });
  return out;
}

/** What penalties and biases depend on. */
export interface SamplingContext {
  /** i32 [R, L]: each row's tokens, to which the chosen one is added. */
  history: Tensor<"i32">;
  /** i32 [R]: the position of each row's last token. */
  past: Tensor<"i32">;
  /** f32 [rows, V]: values to add to logits; −Infinity forbids a token. Rows refer to it by `bias`. */
  bias: Tensor;
}

/**
 * One id for each row, drawn from softmax(logits/temperature) with the row's own settings; −1 if the row contains NaN.
 * Each row has its own seed, and each draw increments its step.
 * @param logits    f32 [R, V]
 * @param settings  i32 [R, 16]: the `samplerSettings` of each row
 * @param context   needed if any row has penalties or a bias
 * @returns i32 [R]
 *
 * @example
 * const settings = graph.input([2, 16], "i32");
 * const next = graph.keep(sample(graph.input([2, 65]), settings));
 * [...samplerSettings({ temperature: 0.8, topK: 40, seed: 1 })].length; // 16: the words that the host writes for each row
 */
export function sample(logits: Tensor, settings: Tensor<"i32">, context?: SamplingContext): Tensor<"i32"> {
  const out = graphOf("sample", logits).tensor([logits.rows], { dtype: "i32" });
  sampleInto(out, logits, settings, context);
  return out;
}

/** The same, but writes to an existing tensor i32 [R], such as a state. */
export function sampleInto(out: Tensor<"i32">, logits: Tensor, settings: Tensor<"i32">, context?: SamplingContext): void {
  const [R, V] = [logits.rows, logits.columns];
  if (out.size !== R) throw new RangeError(`sample: expected room for one id for each of ${R} rows, got ${formatShape(out.shape)}`);
  noteIndices(out, V);
  const operands = rowOperands("sample", logits, settings, context);
  logits.graph.emit(Op.Sample, { out, logits, settings, ...operands, scratch: scratchBytes(V), R, V }, { flops: 4 * logits.size });
}

/** The most probable extensions of each group of rows, in descending order. */
export interface Extensions {
  /** f32 [G, N]: the row's score plus the token's log-probability; −Infinity past the last extension, NaN if a row's logits are NaN. */
  readonly scores: Tensor;
  /** i32 [G, N]: the tokens; −1 past the last extension. */
  readonly tokens: Tensor<"i32">;
  /** i32 [G, N]: the index in the group of the row that each extends. */
  readonly parents: Tensor<"i32">;
}

/**
 * One step of beam search: for each group of `width` rows, the `count` largest of score + log softmax(logits).
 * @param logits  f32 [G·width, V]
 * @param scores  f32 [G·width]: a row at −Infinity is not extended
 * @param rows    settings and context of the rows, as for `sample`. Log-probabilities are adjusted, not truncated
 *
 * @example
 * extendBeams(graph.input([8, 65]), graph.input([8]), { width: 4, count: 8 }).tokens.shape; // [2, 8]
 */
export function extendBeams(
  logits: Tensor, scores: Tensor, { width: W, count: N }: { width: number; count: number },
  rows?: { settings: Tensor<"i32">; context?: SamplingContext },
): Extensions {
  const graph = graphOf("extendBeams", logits);
  const V = logits.columns;
  const G = logits.rows / W;
  if (!Number.isInteger(G) || !Number.isInteger(N) || N < 1) {
    throw new RangeError(`extendBeams: expected groups of ${W} rows and a count of at least 1, got ${logits.rows} rows and count=${N}`);
  }
  expectShape("extendBeams", "scores", scores, [logits.rows]);
  const out = {
    scores: graph.tensor([G, N]), tokens: graph.tensor([G, N], { dtype: "i32" }), parents: graph.tensor([G, N], { dtype: "i32" }),
  };
  const settings = rows ? rows.settings : null;
  const operands = rowOperands("extendBeams", logits, settings, rows?.context);
  const scratch = scratchBytes(V);
  graph.emit(Op.ExtendBeams, { ...out, logits, before: scores, settings, ...operands, scratch, G, W, N, V }, { flops: 8 * logits.size });
  return out;
}

/**
 * f32 [length]: what the score of a sequence of n = 0, 1, … tokens is divided by: ((offset + n)/(offset + 1))^alpha.
 * Wu et al. 2016 (arXiv:1609.08144, section 7) have offset 5; n^alpha has offset 0.
 *
 * @example
 * lengthPenalties(graph, 21, { offset: 5, alpha: 0.6 }).shape; // [21]
 */
export function lengthPenalties(graph: Graph, length: number, { offset, alpha }: { offset: number; alpha: number }): Tensor {
  const out = graph.tensor([length]);
  graph.emit(Op.LengthPenalties, { out, N: length, offset, alpha });
  return out;
}

const scratchBytes = (V: number): number => SampleScratch.Base + SampleScratch.PerToken * V;

function rowOperands(op: string, logits: Tensor, settings: Tensor<"i32"> | null, context: SamplingContext | undefined) {
  const R = logits.rows;
  if (settings !== null) expectShape(op, "settings", settings, [R, SAMPLER_WORDS]);
  if (!context) return { history: null, past: null, bias: null, L: 0 };
  const { history, past, bias } = context;
  expectShape(op, "history", history, [R, history.columns]);
  if (past.size !== R) throw new RangeError(`${op}: expected a past for each of ${R} rows, got ${formatShape(past.shape)}`);
  expectShape(op, "bias", bias, [bias.rows, logits.columns]);
  return { history, past, bias, L: history.columns };
}

/** Words in the settings of a row. */
export const SAMPLER_WORDS = Sampling.Bytes / 4;

/** The smallest normal f32. */
const LEAST = 2 ** -126;

/** How a row chooses its tokens. A setting that is left out has no effect. */
export interface SamplingOptions {
  /** Divides positive logits of tokens in the row, and multiplies negative ones (Keskar et al. 2019); 1, the default, has no effect. */
  repetitionPenalty?: number;
  /** Subtracted from the logits of tokens generated so far: once, and for each occurrence. */
  presencePenalty?: number;
  frequencyPenalty?: number;
  /** No n-gram of this length is repeated in the row; 0, the default, for no limit. */
  noRepeatNGram?: number;
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

/** What the core reads of one row: how it chooses its tokens, and how far it is. */
export interface SamplerSettings extends SamplingOptions {
  temperature: number;
  topK: number;
  seed: number;
  /** Tokens drawn so far. */
  step?: number;
  /** Number of tokens before the first generated one. */
  prompt?: number;
  /** The row's bias, counted from 1; 0 for none. */
  bias?: number;
  /** The token to choose, counted from 1; 0 to choose freely. */
  forced?: number;
}

/** Probabilities in (0, 1]. */
const mass: RequiredField = {
  expected: "a number in (0, 1]", isType: (value) => typeof value === "number",
  accepts: (value) => (value as number) > 0 && (value as number) <= 1,
};
/** The options that adjust logits, and those that only sampling has. */
export const penaltyFields = {
  repetitionPenalty: optional(positive), presencePenalty: optional(finite), frequencyPenalty: optional(finite),
  noRepeatNGram: optional(whole),
} as const satisfies FieldsByName;
export const samplingFields = {
  temperature: optional(notNegative), topK: optional(whole), topP: optional(mass), minP: optional(share), typicalP: optional(mass),
  seed: optional(seedField),
} as const satisfies FieldsByName;
const fields: Fields<SamplerSettings> = {
  ...penaltyFields, ...samplingFields, temperature: notNegative, topK: whole, seed: seedField, step: optional(whole),
  prompt: optional(whole), bias: optional(whole), forced: optional(whole),
};

/**
 * Encodes a row's settings as the words that the core reads.
 * @throws TypeError if a field is missing, unknown or of the wrong type; RangeError if a value is out of range
 *
 * @example
 * samplerSettings({ temperature: 1, topK: 40, seed: 1 })[1]; // 40
 */
export function samplerSettings(settings: SamplerSettings): Int32Array {
  checkConfig("samplerSettings", settings, fields);
  const { temperature, topK, seed, topP = 1, minP = 0, typicalP = 1, step = 0, prompt = 0, bias = 0, forced = 0 } = settings;
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, noRepeatNGram = 0 } = settings;
  const words = new Int32Array(SAMPLER_WORDS);
  const floats = new Float32Array(words.buffer);
  const [low, high] = seedKey(seed);
  floats[Sampling.Temperature / 4] = temperature;
  // 0 would turn them off.
  floats[Sampling.TopP / 4] = topP === 1 ? 0 : Math.max(topP, LEAST);
  floats[Sampling.MinP / 4] = minP;
  floats[Sampling.TypicalP / 4] = typicalP === 1 ? 0 : Math.max(typicalP, LEAST);
  floats[Sampling.Repetition / 4] = repetitionPenalty === 1 ? 0 : repetitionPenalty;
  floats[Sampling.Presence / 4] = presencePenalty;
  floats[Sampling.Frequency / 4] = frequencyPenalty;
  words[Sampling.TopK / 4] = Math.min(topK, 2 ** 31 - 1);
  words[Sampling.SeedLow / 4] = low;
  words[Sampling.SeedHigh / 4] = high;
  words[Sampling.Step / 4] = step;
  words[Sampling.NGram / 4] = Math.min(noRepeatNGram, 2 ** 31 - 1);
  words[Sampling.Bias / 4] = bias;
  words[Sampling.Forced / 4] = forced;
  words[Sampling.Prompt / 4] = prompt;
  return words;
}
