import { HeedError } from "../errors";
import { type Checkpoint, openCheckpoint } from "../io/checkpoint";
import { loadModel, type LoadedModel, type LoadOptions } from "../io/model";
import type { TypesOf } from "../models/families";
import type { Context } from "./context";
import { nodeFiles } from "../platform/node-files";
import type { ThreadsOptions } from "./options";
import { openRuntime } from "./runtime";

/** Options of commands that use a trained model. */
export interface ModelOptions extends ThreadsOptions {
  model: string;
}

/** How often a command starts again because a training run replaced the checkpoint that it was reading. */
const ATTEMPTS = 10;

/** Loads the model of a checkpoint folder. */
export async function load(options: ModelOptions, context: Context, loadOptions?: LoadOptions): Promise<LoadedModel> {
  const runtime = await openRuntime(options, context);
  return readCheckpoint(options.model, (checkpoint) => loadModel(runtime, checkpoint, loadOptions));
}

/** Opens a checkpoint and reads from it, again if it is replaced in the meantime. */
export async function readCheckpoint<T>(folder: string, read: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const checkpoint = await openCheckpoint(nodeFiles, folder);
    try {
      return await read(checkpoint);
    } catch (error) {
      if (attempt === ATTEMPTS || (await checkpoint.isCurrent())) throw error;
    }
  }
}

const toDecode: LoadOptions = { format: "fastest" };

/**
 * Loads a model that translates.
 * @param advice  what to do with a model that does not, for the error
 */
export async function loadTransformer(
  options: ModelOptions, context: Context, advice = "use heed generate",
): Promise<LoadedModel & { type: "transformer" }> {
  const loaded = await load(options, context, toDecode);
  if (loaded.type === "transformer") return loaded;
  throw new HeedError("checkpoint", `${options.model} contains a language model, which cannot translate; ${advice}`);
}

/**
 * Loads a model that continues text.
 * @param advice  what to do with a model that does not, for the error
 */
export async function loadDecoder(
  options: ModelOptions, context: Context, advice = "use heed translate",
): Promise<LoadedModel & { type: TypesOf<"decoder"> }> {
  const loaded = await load(options, context, toDecode);
  if (loaded.type !== "transformer") return loaded;
  throw new HeedError("checkpoint", `${options.model} contains a translation model, which cannot continue text; ${advice}`);
}
