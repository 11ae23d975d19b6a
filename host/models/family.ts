import type { Fields } from "../fields";
import type { Model } from "./model";

/** A family of models, described for checkpoints and the `heed` command. Each has a file in this folder; `families.ts` lists them. */
export interface Family<Config extends { vocabulary: number }, M extends Model> {
  /** How a model of this family decodes: it continues text, or it produces a target from a source. */
  readonly kind: "decoder" | "encoder-decoder";
  /** Its constructor throws a TypeError or RangeError if the config is invalid. */
  readonly Model: new (config: Config) => M;
  /** A check for every field of the config. */
  readonly fields: Fields<Config>;
  /** Model shapes by name; the vocabulary comes from the tokenizer. */
  readonly presets: Readonly<Record<string, Omit<Config, "vocabulary">>>;
}
