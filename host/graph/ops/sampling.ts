import { Sampling, SampleScratch } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import { checkConfig, type Fields, notNegative, optional, seed as seedField, whole } from "../../fields";
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

/**
 * One id for each row, drawn from softmax(logits/temperature) over the `topK` largest logits; −1 if the row contains NaN.
 * Each row has its own seed, and each draw increments its step.
 * @param logits    f32 [R, V]
 * @param settings  i32 [R, 8]: the `samplerSettings` of each row
 * @returns i32 [R]
 *
 * @example
 * const settings = graph.input([2, 8], "i32");
 * const next = graph.keep(sample(graph.input([2, 65]), settings));
 * [...samplerSettings({ temperature: 0.8, topK: 40, seed: 1 })].length; // 8: the words that the host writes for each row
 */
export function sample(logits: Tensor, settings: Tensor<"i32">): Tensor<"i32"> {
  const out = graphOf("sample", logits).tensor([logits.rows], { dtype: "i32" });
  sampleInto(out, logits, settings);
  return out;
}

/** The same, but writes to an existing tensor i32 [R], such as a state. */
export function sampleInto(out: Tensor<"i32">, logits: Tensor, settings: Tensor<"i32">): void {
  const [R, V] = [logits.rows, logits.columns];
  expectShape("sample", "settings", settings, [R, SAMPLER_WORDS]);
  if (out.size !== R) throw new RangeError(`sample: expected room for one id for each of ${R} rows, got ${formatShape(out.shape)}`);
  noteIndices(out, V);
  const scratch = SampleScratch.Base + SampleScratch.PerToken * V;
  logits.graph.emit(Op.Sample, { out, logits, settings, scratch, R, V }, { flops: 4 * logits.size });
}

/** Words in the settings of a row. */
export const SAMPLER_WORDS = Sampling.Bytes / 4;

/** How a row chooses its tokens. */
export interface SamplerSettings {
  /** 0 always chooses the most likely token; higher values give more variety. */
  temperature: number;
  /** Draws from this many of the most likely tokens; 0 draws from all of them. */
  topK: number;
  /** An integer in [0, 2⁵³). */
  seed: number;
  /** Tokens drawn so far. */
  step?: number;
}

const fields: Fields<SamplerSettings> = { temperature: notNegative, topK: whole, seed: seedField, step: optional(whole) };

/**
 * Encodes a row's settings as the words that the core reads.
 * @throws TypeError if a field is missing, unknown or of the wrong type; RangeError if a value is out of range
 *
 * @example
 * samplerSettings({ temperature: 1, topK: 40, seed: 1 })[1]; // 40
 */
export function samplerSettings(settings: SamplerSettings): Int32Array {
  checkConfig("samplerSettings", settings, fields);
  const { temperature, topK, seed, step = 0 } = settings;
  const words = new Int32Array(SAMPLER_WORDS);
  const [low, high] = seedKey(seed);
  new Float32Array(words.buffer)[Sampling.Temperature / 4] = temperature;
  words[Sampling.TopK / 4] = Math.min(topK, 2 ** 31 - 1);
  words[Sampling.SeedLow / 4] = low;
  words[Sampling.SeedHigh / 4] = high;
  words[Sampling.Step / 4] = step;
  return words;
}
