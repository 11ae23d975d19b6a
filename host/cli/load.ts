import { Runtime } from "../core/runtime";
import { HeedError } from "../errors";
import { openCheckpoint } from "../io/checkpoint";
import { loadModel, type LoadedModel } from "../io/model";
import { nodeFiles } from "./files";
import type { CommonOptions } from "./options";

/** What commands take that use a trained model. */
export interface ModelOptions extends CommonOptions {
  model: string;
}

/** The model of a checkpoint folder. */
export async function load(options: ModelOptions): Promise<LoadedModel> {
  return loadModel(await Runtime.create(options), await openCheckpoint(nodeFiles, options.model));
}

/** The same, for a command that needs one kind. */
export async function loadTransformer(options: ModelOptions): Promise<LoadedModel & { type: "transformer" }> {
  const loaded = await load(options);
  if (loaded.type === "transformer") return loaded;
  throw new HeedError("checkpoint", `${options.model} holds a language model, which does not translate; try heed generate`);
}

export async function loadGPT(options: ModelOptions): Promise<LoadedModel & { type: "gpt" }> {
  const loaded = await load(options);
  if (loaded.type === "gpt") return loaded;
  throw new HeedError("checkpoint", `${options.model} holds a translating model, which does not generate; try heed translate`);
}
