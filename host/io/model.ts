import type { Runtime } from "../core/runtime";
import { loadTokenizer } from "../data/huggingface";
import type { Tokenizer } from "../data/tokenizer";
import { HeedError } from "../errors";
import { GPT, type GPTConfig } from "../models/gpt";
import { Transformer, type TransformerConfig } from "../models/transformer";
import type { WeightArray } from "../nn/weights";
import type { Snapshot, TrainerState } from "../train/trainer";
import { type Checkpoint, saveCheckpoint } from "./checkpoint";
import { checkTensors } from "./checktensors";
import { type StoredTensor, toFloat32 } from "./dtype";
import { checkFields, count, depth, type Fields, flag, object, oneOf, optional, parseJsonText, share, whole } from "../fields";
import type { Files } from "./files";
import { readSafetensors, writeSafetensors } from "./safetensors";

/** What a model was trained for. */
export type Task = "dates" | "translate" | "text";

/** config.json: which model the weights belong to. */
export type CheckpointConfig = {
  readonly task?: Task;
  /** Seed of the training, by which the dates task draws its test set anew. */
  readonly seed?: number;
} & ({ readonly type: "transformer"; readonly model: TransformerConfig } | { readonly type: "gpt"; readonly model: GPTConfig });

/** A model with its trained weights in a runtime's memory, and its tokenizer. */
export type LoadedModel = { readonly tokenizer: Tokenizer; readonly config: CheckpointConfig } & (
  | { readonly type: "transformer"; readonly model: Transformer }
  | { readonly type: "gpt"; readonly model: GPT }
);

export const transformerFields: Fields<TransformerConfig> = {
  vocabulary: count,
  maxLength: count,
  encoderLayers: depth,
  decoderLayers: depth,
  heads: count,
  width: count,
  hidden: count,
  norm: optional(oneOf("pre", "post")),
  dropout: optional(share),
  attentionDropout: optional(share),
  hiddenDropout: optional(share),
  smoothing: optional(share),
};

export const gptFields: Fields<GPTConfig> = {
  vocabulary: count,
  block: count,
  layers: depth,
  heads: count,
  width: count,
  hidden: optional(count),
  dropout: optional(share),
  bias: optional(flag),
};

const configFields: Fields<CheckpointConfig> = {
  type: oneOf("transformer", "gpt"),
  task: optional(oneOf("dates", "translate", "text")),
  seed: optional(whole),
  model: object,
};

/**
 * @throws HeedError (`format`) saying which field of the text is wrong, and what was expected
 *
 * @example
 * parseConfig(await files.read("runs/dates/config.json").then((bytes) => new TextDecoder().decode(bytes))).type; // "transformer"
 */
export function parseConfig(text: string, name = "config.json"): CheckpointConfig {
  const config = parseJsonText(text, name) as CheckpointConfig;
  checkFields(name, config, configFields);
  checkFields(`${name}: model`, config.model, config.type === "gpt" ? gptFields : transformerFields);
  return config;
}

/**
 * Loads a checkpoint's best weights.
 *
 * @throws HeedError: `file` for missing files, `format` for broken ones, `checkpoint` listing every tensor that is
 *   missing, unexpected or misshapen, `memory` when the model does not fit
 *
 * @example
 * const loaded = await loadModel(await Runtime.create(), await openCheckpoint(nodeFiles, "runs/dates"));
 * if (loaded.type === "transformer") await greedy(loaded.model, [loaded.tokenizer.encode("3.3.19")], { start: 1, end: 2 });
 */
export async function loadModel(runtime: Runtime, checkpoint: Checkpoint): Promise<LoadedModel> {
  const { folder } = checkpoint;
  const config = parseConfig(await checkpoint.readText("config.json"), `${folder}/config.json`);
  const tokenizer = loadTokenizer(await checkpoint.readText("tokenizer.json"), `${folder}/tokenizer.json`);
  if (tokenizer.size > config.model.vocabulary) {
    const sizes = `the tokenizer has ${tokenizer.size} tokens, but the model only ${config.model.vocabulary}`;
    throw new HeedError("checkpoint", `${folder}: ${sizes}; they do not belong together`);
  }
  const tensors = await readTensors(checkpoint, "model.safetensors");
  const loaded = build(config, `${folder}/config.json`);
  const expected = new Map(Array.from(loaded.model.parameters(), ([name, { shape }]) => [name, shape]));
  checkStored(`${folder}/model.safetensors`, expected, tensors);
  loaded.model.place(runtime);
  loaded.model.weights.write(tensors);
  return { ...loaded, tokenizer, config };
}

/** The model without its weights, which its constructor may refuse: a width that the heads do not divide, say. */
function build(config: CheckpointConfig, name: string): { type: "gpt"; model: GPT } | { type: "transformer"; model: Transformer } {
  try {
    return config.type === "gpt" ? { type: config.type, model: new GPT(config.model) } : { type: config.type, model: new Transformer(config.model) };
  } catch (cause) {
    throw new HeedError("format", `${name}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Saves a model's current weights with its shape and its tokenizer, as `loadModel` reads them. Other files in the folder stay.
 *
 * @throws HeedError (`file`) saying whether the old set or the new one is what the folder holds
 *
 * @example
 * const files = new MemoryFiles(); // or nodeFiles
 * const model = new GPT({ vocabulary: tokenizer.size, block: 16, layers: 1, heads: 2, width: 8 }).place(runtime);
 * await saveModel(files, "runs/mine", { model, tokenizer });
 * (await loadModel(runtime, await openCheckpoint(files, "runs/mine"))).type; // "gpt"
 */
export async function saveModel(files: Files, folder: string, { model, tokenizer }: { model: GPT | Transformer; tokenizer: Tokenizer }): Promise<void> {
  const config: CheckpointConfig = model instanceof GPT ? { type: "gpt", model: model.config } : { type: "transformer", model: model.config };
  await saveCheckpoint(files, folder, {
    "model.safetensors": toSafetensors(model.weights.read()),
    "config.json": `${JSON.stringify(config, null, 2)}\n`,
    "tokenizer.json": JSON.stringify(tokenizer.toJSON()),
  });
}

/**
 * A training's arrays as the checkpoint's files hold them.
 *
 * @example
 * const trainer = new Trainer(model, data, { steps: 1, schedule: { kind: "constant", peak: 1e-3 }, optimizer: { kind: "sgd" } });
 * Object.keys(snapshotFiles(trainer.snapshot())); // ["model.safetensors", "optimizer.safetensors"]
 */
export function snapshotFiles({ best, training }: Snapshot): Record<"model.safetensors" | "optimizer.safetensors", Uint8Array> {
  return { "model.safetensors": toSafetensors(best), "optimizer.safetensors": toSafetensors(training) };
}

/**
 * Reads the arrays of `snapshotFiles` back.
 *
 * @param like  a snapshot of the model that is to go on: its names and shapes are what the files must have
 * @throws HeedError (`checkpoint`) listing every tensor that does not fit
 *
 * @example
 * const trainer = new Trainer(model, data, { steps: 2, schedule: { kind: "constant", peak: 1e-3 }, optimizer: { kind: "sgd" } });
 * await saveCheckpoint(files, "runs/half", snapshotFiles(trainer.snapshot()));
 * const checkpoint = await openCheckpoint(files, "runs/half");
 * trainer.restore(await readSnapshot(checkpoint, trainer.state, trainer.snapshot()));
 */
export async function readSnapshot(checkpoint: Checkpoint, state: TrainerState, like: Snapshot): Promise<Snapshot> {
  const read = async (name: string, expected: ReadonlyMap<string, WeightArray>): Promise<Map<string, WeightArray>> => {
    const tensors = await readTensors(checkpoint, name);
    const shapes = new Map(Array.from(expected, ([tensor, { shape }]) => [tensor, shape]));
    checkStored(`${checkpoint.folder}/${name}`, shapes, tensors);
    return tensors;
  };
  return { state, best: await read("model.safetensors", like.best), training: await read("optimizer.safetensors", like.training) };
}

const toSafetensors = (arrays: ReadonlyMap<string, WeightArray>): Uint8Array =>
  writeSafetensors(new Map(Array.from(arrays, ([name, { shape, data }]): [string, StoredTensor] => [name, { dtype: "F32", shape, data }])));

async function readTensors(checkpoint: Checkpoint, name: string): Promise<Map<string, WeightArray>> {
  const { tensors } = await named(`${checkpoint.folder}/${name}`, async () => readSafetensors(await checkpoint.read(name)));
  return new Map(Array.from(tensors, ([tensor, stored]) => [tensor, { shape: stored.shape, data: asFloat32(checkpoint, name, tensor, stored) }]));
}

function asFloat32({ folder }: Checkpoint, file: string, name: string, stored: StoredTensor): Float32Array {
  try {
    return toFloat32(stored);
  } catch (cause) {
    throw new HeedError("checkpoint", `${folder}/${file}: tensor ${name}: expected floating-point numbers, got ${stored.dtype}`, { cause });
  }
}

function checkStored(file: string, expected: ReadonlyMap<string, readonly number[]>, found: ReadonlyMap<string, WeightArray>): void {
  try {
    checkTensors(expected, new Map(Array.from(found, ([name, { shape }]) => [name, shape])));
  } catch (cause) {
    if (!(cause instanceof HeedError)) throw cause;
    throw new HeedError(cause.code, `${file}: ${cause.message.replace(/^checkTensors: /, "")}`, { cause });
  }
}

/** Puts a file's name before the message of what goes wrong with it. */
async function named<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (!(cause instanceof HeedError) || cause.message.includes(file)) throw cause;
    throw new HeedError(cause.code, `${file}: ${cause.message}`, { cause });
  }
}
