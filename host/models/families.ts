import { gpt } from "./gpt";
import { llama } from "./llama";
import { transformer } from "./transformer";

/** Every family of models by the type that files and the command use: a new one is its file and its line here. */
export const families = { transformer, gpt, llama } as const;

export type ModelType = keyof typeof families;
/** The families that decode as `kind` says. */
export type TypesOf<Kind extends "decoder" | "encoder-decoder"> = { [T in ModelType]: (typeof families)[T]["kind"] extends Kind ? T : never }[ModelType];

/** The class of a family's models, and their config. */
export type ModelOf<T extends ModelType> = InstanceType<(typeof families)[T]["Model"]>;
export type ConfigOf<T extends ModelType> = ConstructorParameters<(typeof families)[T]["Model"]>[0];
