import type { KeyValues, PageLayout } from "../graph/ops/keyvalues";
import type { Tensor } from "../graph/tensor";
import type { Model } from "./model";

/** What a model offers so that a `Session` can decode with it. */
export interface DecoderModel extends Model {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** The longest sequence that is decoded, in tokens. */
  readonly context: number;
  /** The keys and values that its layers store of each token. */
  readonly pageLayout: PageLayout;
  /**
   * tokens i32 [B, T], which follow those that the cache holds → the last layer's states, f32 [B, T, C].
   * @param source  an encoder-decoder's: the keys and values that `storeSource` made
   */
  decode(tokens: Tensor<"i32">, cache: KeyValues, source?: KeyValues): Tensor;
  /** States [..., C] → the logits of each next token, [..., vocabulary]. */
  logits(states: Tensor): Tensor;
}

/** A model that decodes a target from a source. */
export interface EncoderDecoderModel extends DecoderModel {
  /** The longest source, in tokens. */
  readonly sourceContext: number;
  /** Encodes source i32 [B, S], of which `lengths` i32 [B] tokens are valid, and stores the keys and values that `decode` attends to. */
  storeSource(source: Tensor<"i32">, lengths: Tensor<"i32">, cache: KeyValues): void;
}

/** Whether a model decodes from a source. */
export const hasSource = (model: DecoderModel): model is EncoderDecoderModel => "storeSource" in model;

/** @throws TypeError unless a model can decode: by itself, or from a source, if `kind` says which */
export function expectDecoder(caller: string, model: unknown, kind?: "decoder" | "encoder-decoder"): void {
  const candidate = model as Partial<DecoderModel> | null | undefined;
  const found = typeof candidate?.decode !== "function" || !candidate.pageLayout ? "something else" : hasSource(candidate as DecoderModel) ? "encoder-decoder" : "decoder";
  if (found === kind || (kind === undefined && found !== "something else")) return;
  const continues = "a model that continues texts, such as GPT";
  const translates = "a model that decodes from a source, such as Transformer";
  const wanted = kind === undefined ? `${continues}, or ${translates}` : kind === "decoder" ? continues : translates;
  const hint = found === "encoder-decoder" ? "; for an encoder-decoder use greedy" : found === "decoder" ? "; for a decoder-only model use generate" : "";
  throw new TypeError(`${caller}: expected ${wanted}, got ${describe(model)}${hint}`);
}

const describe = (value: unknown): string => (typeof value === "object" && value !== null ? value.constructor.name : String(value));
