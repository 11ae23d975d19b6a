import type { Runtime } from "../core/runtime";
import { loadTokenizer } from "../data/huggingface";
import type { Tokenizer } from "../data/tokenizer";
import { HeedError, inFile } from "../errors";
import { checkFields, type Fields, object, oneOf, optional, whole } from "../fields";
import { parseJson } from "../json";
import { excerpt } from "../quote";
import { type ConfigOf, families, type ModelOf, type ModelType } from "../models/families";
import type { Model, PlaceOptions } from "../models/model";
import type { WeightArray } from "../nn/weights";
import type { Snapshot, TrainerState } from "../train/trainer";
import { type Checkpoint, saveCheckpoint } from "./checkpoint";
import type { Shapes } from "./checktensors";
import type { Dtype, StoredTensor } from "./dtype";
import type { Files } from "./files";
import { expectedTensors, integerFormatOf, type IntegerFormatName, integerFormats, readIntegers, tensorsOf } from "./quantized";
import { writeSafetensors } from "./safetensors";
import { type FloatSink, TensorFile } from "./tensorfile";

/** The task that a model was trained for. */
export type Task = "dates" | "translate" | "text";

/** The contents of config.json: the model that the weights belong to. */
export type CheckpointConfig = {
  readonly [T in ModelType]: {
    readonly task?: Task;
    /** Seed of the training run, from which the dates task regenerates its test set. */
    readonly seed?: number;
    readonly type: T;
    readonly model: ConfigOf<T>;
    /** How model.safetensors stores the weights of products and embeddings, if not as floating-point numbers. */
    readonly format?: IntegerFormatName;
  };
}[ModelType];

/** A model with its trained weights in a runtime's memory, and its tokenizer. */
export type LoadedModel = {
  readonly [T in ModelType]: {
    readonly tokenizer: Tokenizer;
    readonly config: CheckpointConfig;
    readonly type: T;
    readonly model: ModelOf<T>;
  };
}[ModelType];

/** A model of any family. */
export type AnyModel = ModelOf<ModelType>;

type ArrayShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** The names and shapes of a snapshot's arrays. A `Snapshot` is one possible source. */
export interface SnapshotShapes {
  readonly best: ArrayShapes;
  readonly training: ArrayShapes;
}

const configFields: Fields<CheckpointConfig> = {
  type: oneOf(...Object.keys(families)),
  task: optional(oneOf("dates", "translate", "text")),
  seed: optional(whole),
  model: object,
  format: optional(oneOf(...integerFormats)),
};

/**
 * Parses and checks a config.json.
 *
 * @throws HeedError (`format`) naming the invalid field and what was expected
 *
 * @example
 * parseConfig(await files.read("runs/dates/config.json").then((bytes) => new TextDecoder().decode(bytes))).type; // "transformer"
 */
export function parseConfig(text: string, name = "config.json"): CheckpointConfig {
  return inFile(name, () => {
    const config = parseJson(text) as CheckpointConfig;
    checkFields("", config, configFields);
    checkFields("model", config.model, families[config.type].fields);
    return config;
  });
}

/** Options of `loadModel`. */
export interface LoadOptions {
  /**
   * How the weights are stored in memory; by default as in the file, where f32 can be trained further. "fastest" decodes fastest with the
   * same bits: it keeps integers, and stores floating-point numbers as `panels`.
   */
  format?: PlaceOptions["format"] | "fastest";
}

/**
 * Loads the best weights of a checkpoint.
 *
 * @throws HeedError: `file` for missing files, `format` for invalid files, `checkpoint` listing every tensor that is
 *   missing, unexpected or of the wrong shape, `memory` if the model does not fit into memory
 *
 * @example
 * const loaded = await loadModel(await Runtime.create(), await openCheckpoint(nodeFiles, "runs/dates"), { format: "fastest" });
 * if (loaded.type === "transformer") await greedy(loaded.model, [loaded.tokenizer.encode("3.3.19")], { start: 1, end: 2 });
 */
export async function loadModel(runtime: Runtime, checkpoint: Checkpoint, options: LoadOptions = {}): Promise<LoadedModel> {
  const { folder } = checkpoint;
  const config = parseConfig(await checkpoint.readText("config.json"), checkpoint.path("config.json"));
  const tokenizer = loadTokenizer(await checkpoint.readText("tokenizer.json"), checkpoint.path("tokenizer.json"));
  if (tokenizer.size > config.model.vocabulary) {
    const sizes = `the tokenizer has ${tokenizer.size} tokens, but the model's vocabulary only ${config.model.vocabulary}`;
    throw new HeedError("checkpoint", `${folder}: ${sizes}; they do not belong together`);
  }
  const file = await openTensors(checkpoint, "model.safetensors");
  try {
    const loaded = inFile(checkpoint.path("config.json"), () => createModel(config));
    const expected = expectedTensors(loaded.model.parameters(), config.format);
    file.check(new Map(Array.from(expected, ([name, { shape }]) => [name, shape])), dtypesOf(expected));
    const stored = config.format ?? "f32";
    loaded.model.place(runtime, { format: options.format === "fastest" ? (config.format ?? "panels") : (options.format ?? stored) });
    await readWeights(file, loaded.model, config.format);
    return { ...loaded, tokenizer, config } as LoadedModel;
  } finally {
    await file.close();
  }
}

async function openTensors(checkpoint: Checkpoint, name: string): Promise<TensorFile> {
  return TensorFile.open(await checkpoint.open(name), checkpoint.path(name));
}

/** Reads a model's weights directly into linear memory. */
async function readWeights(file: TensorFile, model: AnyModel, format: IntegerFormatName | undefined): Promise<void> {
  try {
    for (const [name, { shape, formats }] of model.weights.parameters) {
      const write = finite(model.weights.writer(name));
      await inFile(file.name, () =>
        format && formats === "all" ? readIntegers(file, name, shape, format, write) : file.readFloat32(name, write),
      );
    }
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/**
 * Constructs the model of a config, without weights.
 * @throws HeedError (`format`) if the model rejects its settings, such as a width not divisible by the heads
 *
 * @example
 * createModel(parseConfig('{"type":"gpt","model":{"vocabulary":5,"block":8,"layers":1,"heads":2,"width":8}}')).type; // "gpt"
 */
export function createModel(config: CheckpointConfig): { type: ModelType; model: AnyModel } {
  try {
    const Model = families[config.type].Model as new (config: object) => AnyModel;
    return { type: config.type, model: new Model(config.model) };
  } catch (cause) {
    throw new HeedError("format", excerpt((cause as Error).message, 1000), { cause });
  }
}

/** The name of a model's family. @throws TypeError for a custom model, which could not be loaded again */
function typeOf(model: Model): ModelType {
  const type = (Object.keys(families) as ModelType[]).find((name) => families[name].Model === model?.constructor);
  if (!type) {
    const expected = `expected a model of one of heed's families (${Object.keys(families).join(", ")})`;
    throw new TypeError(`saveModel: ${expected}, got ${model?.constructor?.name}; save the weights of other models with writeSafetensors`);
  }
  return type;
}

/**
 * Saves a model's current weights, its config and its tokenizer for `loadModel`. Integers are saved as they are. Other files in the folder
 * are kept.
 *
 * @throws HeedError (`file`) reporting whether the folder now holds the old set of files or the new one
 * @throws TypeError for a model that is not of one of heed's families
 *
 * @example
 * const files = new MemoryFiles(); // or nodeFiles
 * const model = new GPT({ vocabulary: tokenizer.size, block: 16, layers: 1, heads: 2, width: 8 }).place(runtime);
 * await saveModel(files, "runs/mine", { model, tokenizer });
 * (await loadModel(runtime, await openCheckpoint(files, "runs/mine"))).type; // "gpt"
 */
export async function saveModel(
  files: Files,
  folder: string,
  { model, tokenizer, task, seed }: { model: AnyModel; tokenizer: Tokenizer; task?: Task; seed?: number },
): Promise<void> {
  const config = { type: typeOf(model), task, seed, format: integerFormatOf(model.weights), model: model.config };
  await saveCheckpoint(files, folder, {
    "model.safetensors": writeSafetensors(tensorsOf(model.weights)),
    "config.json": `${JSON.stringify(config, null, 2)}\n`,
    "tokenizer.json": JSON.stringify(tokenizer.toJSON()),
  });
}

/** Formats of integers refuse numbers that are not finite: here it is the file that contains them. */
function finite(write: FloatSink): FloatSink {
  return (values, from) => {
    try {
      write(values, from);
    } catch (cause) {
      throw cause instanceof RangeError ? new HeedError("numbers", cause.message, { cause }) : cause;
    }
  };
}

function dtypesOf(expected: ReadonlyMap<string, { readonly dtype?: Dtype }>): Map<string, Dtype> {
  return new Map([...expected].flatMap(([name, { dtype }]) => (dtype === undefined ? [] : [[name, dtype] as const])));
}

/**
 * The files in which a checkpoint stores the arrays of a training run.
 *
 * @example
 * const trainer = new Trainer(model, data, { steps: 1, schedule: { kind: "constant", peak: 1e-3 }, optimizer: { kind: "sgd" } });
 * Object.keys(snapshotFiles(trainer.snapshot())); // ["model.safetensors", "optimizer.safetensors"]
 */
export function snapshotFiles({ best, training }: Snapshot): Record<"model.safetensors" | "optimizer.safetensors", Uint8Array> {
  return { "model.safetensors": toSafetensors(best), "optimizer.safetensors": toSafetensors(training) };
}

/**
 * Reads a snapshot from the files that `snapshotFiles` produced.
 *
 * @param like  the names and shapes that the files must contain, for example a snapshot of the same trainer
 * @throws HeedError (`checkpoint`) listing every tensor that does not match
 *
 * @example
 * const trainer = new Trainer(model, data, { steps: 2, schedule: { kind: "constant", peak: 1e-3 }, optimizer: { kind: "sgd" } });
 * await saveCheckpoint(files, "runs/half", snapshotFiles(trainer.snapshot()));
 * const checkpoint = await openCheckpoint(files, "runs/half");
 * trainer.restore(await readSnapshot(checkpoint, trainer.state, trainer.snapshot()));
 */
export async function readSnapshot(checkpoint: Checkpoint, state: TrainerState, like: SnapshotShapes): Promise<Snapshot> {
  const best = await readArrays(checkpoint, "model.safetensors", like.best);
  return { state, best, training: await readArrays(checkpoint, "optimizer.safetensors", like.training) };
}

async function readArrays(checkpoint: Checkpoint, name: string, like: ArrayShapes): Promise<Map<string, WeightArray>> {
  const shapes: Shapes = new Map(Array.from(like, ([tensor, { shape }]) => [tensor, shape]));
  const file = await openTensors(checkpoint, name);
  try {
    file.check(shapes);
    const arrays = new Map<string, WeightArray>();
    for (const [tensor, { shape }] of file.tensors) {
      const data = new Float32Array(shape.reduce((size, dim) => size * dim, 1));
      await file.readFloat32(tensor, (values, from) => data.set(values, from));
      arrays.set(tensor, { shape, data });
    }
    return arrays;
  } finally {
    await file.close();
  }
}

const toSafetensors = (arrays: ReadonlyMap<string, WeightArray>): Uint8Array =>
  writeSafetensors(new Map(Array.from(arrays, ([name, { shape, data }]): [string, StoredTensor] => [name, { dtype: "F32", shape, data }])));
