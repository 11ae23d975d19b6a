import { HeedError } from "../errors";
import { openCheckpoint } from "../io/checkpoint";
import { loadModel, type LoadedModel } from "../io/model";
import { nodeFiles } from "./files";
import type { CommonOptions } from "./options";
import { openRuntime } from "./runtime";
import type { Terminal } from "./terminal";

/** What commands take that use a trained model. */
export interface ModelOptions extends CommonOptions {
  model: string;
}

/** The model of a checkpoint folder. */
export async function load(options: ModelOptions, terminal: Terminal): Promise<LoadedModel> {
  return loadModel(await openRuntime(options, terminal), await openCheckpoint(nodeFiles, options.model));
}

/** The same, for a command that needs one kind. */
export async function loadTransformer(options: ModelOptions, terminal: Terminal): Promise<LoadedModel & { type: "transformer" }> {
  const loaded = await load(options, terminal);
  if (loaded.type === "transformer") return loaded;
  throw new HeedError("checkpoint", `${options.model} holds a language model, which does not translate; try heed generate`);
}

export async function loadGPT(options: ModelOptions, terminal: Terminal): Promise<LoadedModel & { type: "gpt" }> {
  const loaded = await load(options, terminal);
  if (loaded.type === "gpt") return loaded;
  throw new HeedError("checkpoint", `${options.model} holds a translating model, which does not generate; try heed translate`);
}
