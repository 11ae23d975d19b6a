import { createHash } from "node:crypto";
import type { Runtime } from "../../host/core/runtime";
import { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import type { BatchOf, InputSpecs } from "../../host/models/inputs";
import type { Model } from "../../host/models/model";
import type { Trainer, TrainingEvent } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { uniform } from "../random";

export const config = { vocabulary: 11, block: 8, layers: 1, heads: 2, width: 16 };

export type LanguageBatch = BatchOf<LanguageInputs>;

/** Sequences that count upwards modulo the vocabulary, which a model can learn. */
export function countingBatch(step: number, rows = 4): LanguageBatch {
  const next = uniform(step + 1);
  const starts = Array.from({ length: rows }, () => Math.floor(next() * 11));
  const ids = (shift: number): Int32Array => Int32Array.from({ length: rows * 8 }, (_, i) => (starts[i >> 3]! + (i % 8) + shift) % 11);
  return { tokens: { shape: [rows, 8], data: ids(0) }, targets: { shape: [rows, 8], data: ids(1) } };
}

/** Made-up ids. */
export function randomBatch(step: number, rows = 2): LanguageBatch {
  const next = uniform(step + 1);
  const ids = (): Int32Array => Int32Array.from({ length: rows * 8 }, () => Math.floor(next() * 11));
  return { tokens: { shape: [rows, 8], data: ids() }, targets: { shape: [rows, 8], data: ids() } };
}

/** A small GPT in a new runtime, or in the given one. */
export const place = async ({ runtime, seed = 3, dropout = 0 }: { runtime?: Runtime; seed?: number; dropout?: number } = {}): Promise<GPT> =>
  new GPT({ ...config, dropout }).place(runtime ?? (await createRuntime()), { seed });

export async function drain<S extends InputSpecs>(trainer: Trainer<S>, each: (event: TrainingEvent) => void = () => {}): Promise<TrainingEvent[]> {
  const events: TrainingEvent[] = [];
  for await (const event of trainer.run()) {
    events.push(event);
    each(event);
  }
  return events;
}

/** A hash of arrays, to compare them bit for bit. */
export function hashOf(arrays: ReadonlyMap<string, { data: Float32Array }>): string {
  const hash = createHash("sha256");
  for (const [name, { data }] of arrays) hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest("hex");
}

/** A hash of a model's weights. */
export const weightsOf = (model: Pick<Model, "weights">): string => hashOf(model.weights.read());
