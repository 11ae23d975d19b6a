import { readFileSync } from "node:fs";
import { Runtime } from "../../host/core/runtime";
import { Session } from "../../host/decode/session";
import type { SessionOptions } from "../../host/decode/sessionoptions";
import { PAGE_TOKENS } from "../../host/graph/ops/keyvalues";
import { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import type { DecoderModel } from "../../host/models/decoding";
import type { BatchOf, InputSpecs } from "../../host/models/inputs";
import { Llama } from "../../host/models/llama";
import type { Model } from "../../host/models/model";
import { Transformer, type TranslationInputs } from "../../host/models/transformer";
import { nodeWorkers } from "../../host/platform/node-workers";
import { Trainer } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { uniform } from "../random";

// Small trained models. Fresh weights make attention almost uniform, which would hide a key that is wrongly seen or missing.

export const VOCABULARY = 13;
/** Ids below this are special; START is the Transformer's first target token. */
const FIRST_ID = 3;
export const START = 1;
/** Tokens: three pages, the last one not full. */
export const CONTEXT = 150;

/** Made-up ids, none of them special. */
export function randomIds(seed: number, length: number): number[] {
  const next = uniform(seed);
  return Array.from({ length }, () => FIRST_ID + Math.floor((VOCABULARY - FIRST_ID) * next()));
}

async function train<S extends InputSpecs, M extends Model<S>>(model: M, steps: number, batch: (step: number) => BatchOf<S>): Promise<M> {
  model.place(await createRuntime(), { seed: 5 });
  const options = { steps, schedule: { kind: "constant", peak: 1e-2, warmup: 5 }, optimizer: { kind: "adamw" }, clip: 1 } as const;
  for await (const _ of new Trainer<S>(model, { batch }, options).run()) void _;
  return model;
}

const rowsOf = (step: number, count: number, length: number): number[][] => Array.from({ length: count }, (_, b) => randomIds(count * step + b, length));

/** An even id is followed by the first id of its page, an odd one by the id before it, so that heads attend both far and near. */
function lookingBack(step: number): BatchOf<LanguageInputs> {
  const rows = rowsOf(step, 3, CONTEXT);
  return { tokens: int32(rows), targets: int32(rows.map((row) => row.map((id, i) => row[id % 2 === 0 ? i - (i % PAGE_TOKENS) : Math.max(0, i - 1)]!))) };
}

/** The target is the source. */
function copying(step: number): BatchOf<TranslationInputs> {
  const rows = rowsOf(step, 16, 8);
  return { source: int32(rows), sourceLengths: { shape: [16], data: new Int32Array(16).fill(8) }, target: int32(rows.map((row) => [START, ...row.slice(0, -1)])), targets: int32(rows) };
}

const int32 = (rows: number[][]): { shape: number[]; data: Int32Array } => ({ shape: [rows.length, rows[0]!.length], data: Int32Array.from(rows.flat()) });

const gptConfig = { vocabulary: VOCABULARY, block: CONTEXT, layers: 2, heads: 2, width: 24, hidden: 40 };
const llamaConfig = { ...gptConfig, heads: 4, keyValueHeads: 2, headSize: 6, rotaryBase: 1000 };
const transformerConfig = { vocabulary: VOCABULARY, maxLength: CONTEXT, encoderLayers: 1, decoderLayers: 2, heads: 2, width: 24, hidden: 40, norm: "pre" } as const;

/** GPT has learned positions, Llama rotary ones and shared key-value heads, the Transformer a source. */
export const trained = {
  GPT: () => train(new GPT(gptConfig), 120, lookingBack),
  Llama: () => train(new Llama(llamaConfig), 120, lookingBack),
  Transformer: () => train(new Transformer(transformerConfig), 160, copying),
};
export type Family = keyof typeof trained;
export type TrainedModel = GPT | Llama | Transformer;

/** A model with the same weights in another runtime. */
export function copyOf<M extends TrainedModel>(model: M, runtime: Runtime): M {
  const copy = new (model.constructor as new (config: object) => M)(model.config);
  copy.place(runtime);
  copy.weights.write(model.weights.read());
  return copy;
}

/** A runtime of two threads, on the plain build. */
export const createThreads = (): Promise<Runtime> =>
  Runtime.create({ build: "simd", threads: 2, workers: nodeWorkers, core: readFileSync(new URL("../../build/heed.simd-threads.wasm", import.meta.url)) });

/** A session whose pages are filled with NaN when they are taken and released. */
export const openSession = <M extends DecoderModel>(model: M, options: SessionOptions = {}): Session<M> => new Session<M>(model, { rows: 12, poison: true, ...options });

/** A prompt for a model; for an encoder-decoder, with the seed's source. */
export const promptOf = (model: TrainedModel, tokens: readonly number[], seed = 1): { tokens: readonly number[]; source?: readonly number[] } =>
  model instanceof Transformer ? { tokens, source: sourceOf(seed) } : { tokens };

/** Sources of 5 to 140 tokens: one to three pages. */
export const sourceOf = (seed: number): number[] => randomIds(1000 + seed, 5 + ((seed * 67) % 136));
