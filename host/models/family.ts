import type { Fields } from "../fields";
import type { Model } from "./model";

/** A kind of model: what files and the command need to know of it. One per file in this folder; `families.ts` lists them. */
export interface Family<Config extends { vocabulary: number }, M extends Model> {
  /** How a model of this family decodes: a text by itself, or a target from a source. */
  readonly kind: "decoder" | "encoder-decoder";
  /** Its constructor throws a TypeError or RangeError when the config makes no model. */
  readonly Model: new (config: Config) => M;
  /** Every field of the config, for its check. */
  readonly fields: Fields<Config>;
  /** Model shapes by name; the vocabulary comes from the tokenizer. */
  readonly presets: Readonly<Record<string, Omit<Config, "vocabulary">>>;
}
