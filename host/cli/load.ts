import { HeedError } from "../errors";
import { openCheckpoint } from "../io/checkpoint";
import { loadModel, type LoadedModel } from "../io/model";
import type { TypesOf } from "../models/families";
import type { Context } from "./context";
import { nodeFiles } from "../platform/node-files";
import type { ThreadsOptions } from "./options";
import { openRuntime } from "./runtime";

/** What commands take that use a trained model. */
export interface ModelOptions extends ThreadsOptions {
  model: string;
}

/** The model of a checkpoint folder. */
export async function load(options: ModelOptions, context: Context): Promise<LoadedModel> {
  return loadModel(await openRuntime(options, context), await openCheckpoint(nodeFiles, options.model));
}

/** The same, for a command that needs one kind. */
export async function loadTransformer(options: ModelOptions, context: Context): Promise<LoadedModel & { type: "transformer" }> {
  const loaded = await load(options, context);
  if (loaded.type === "transformer") return loaded;
  throw new HeedError("checkpoint", `${options.model} holds a language model, which does not translate; try heed generate`);
}

export async function loadDecoder(options: ModelOptions, context: Context): Promise<LoadedModel & { type: TypesOf<"decoder"> }> {
  const loaded = await load(options, context);
  if (loaded.type !== "transformer") return loaded;
  throw new HeedError("checkpoint", `${options.model} holds a translating model, which does not generate; try heed translate`);
}
