import { gpt } from "./gpt";
import { llama } from "./llama";
import { transformer } from "./transformer";

/** Every model family, by the type name used in files and by the `heed` command. A new family takes one file and one line here. */
export const families = { transformer, gpt, llama } as const;

export type ModelType = keyof typeof families;
/** The families of one kind. */
export type TypesOf<Kind extends "decoder" | "encoder-decoder"> = {
  [T in ModelType]: (typeof families)[T]["kind"] extends Kind ? T : never;
}[ModelType];

/** The model class of a family, and its config. */
export type ModelOf<T extends ModelType> = InstanceType<(typeof families)[T]["Model"]>;
export type ConfigOf<T extends ModelType> = ConstructorParameters<(typeof families)[T]["Model"]>[0];
