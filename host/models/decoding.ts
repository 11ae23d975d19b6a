import type { KeyValues, PageLayout } from "../graph/ops/keyvalues";
import type { Tensor } from "../graph/tensor";
import type { Model } from "./model";

/** The interface a model implements so that a `Session` can decode with it. */
export interface DecoderModel extends Model {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Longest sequence that can be decoded, in tokens. */
  readonly context: number;
  /** Layout of the keys and values that the layers store for each token. */
  readonly pageLayout: PageLayout;
  /**
   * tokens i32 [B, T], which follow the tokens in the cache → the last layer's states, f32 [B, T, C].
   * @param source  for an encoder-decoder: the keys and values written by `storeSource`
   */
  decode(tokens: Tensor<"i32">, cache: KeyValues, source?: KeyValues): Tensor;
  /** States [..., C] → logits for each next token, [..., vocabulary]. */
  logits(states: Tensor): Tensor;
}

/** A model that decodes a target from a source. */
export interface EncoderDecoderModel extends DecoderModel {
  /** Longest source, in tokens. */
  readonly sourceContext: number;
  /**
   * Encodes a source and stores the keys and values that `decode` attends to.
   * @param source   i32 [B, S]
   * @param lengths  valid tokens of each row, i32 [B]
   */
  storeSource(source: Tensor<"i32">, lengths: Tensor<"i32">, cache: KeyValues): void;
}

/** Whether a model decodes from a source. */
export const hasSource = (model: DecoderModel): model is EncoderDecoderModel => "storeSource" in model;

/**
 * Checks that a model can decode, and decodes as `kind` says if it is given.
 * @throws TypeError if it cannot
 */
export function expectDecoder(caller: string, model: unknown, kind?: "decoder" | "encoder-decoder"): void {
  const candidate = model as Partial<DecoderModel> | null | undefined;
  const canDecode = typeof candidate?.decode === "function" && candidate.pageLayout !== undefined;
  const found = !canDecode ? "something else" : hasSource(candidate as DecoderModel) ? "encoder-decoder" : "decoder";
  if (found === kind || (kind === undefined && found !== "something else")) return;
  const continues = "a model that continues text, such as GPT";
  const translates = "a model that decodes from a source, such as Transformer";
  const wanted = kind === undefined ? `${continues}, or ${translates}` : kind === "decoder" ? continues : translates;
  const hints = {
    "encoder-decoder": "; for an encoder-decoder use greedy",
    decoder: "; for a decoder-only model use generate",
    "something else": "",
  } as const;
  throw new TypeError(`${caller}: expected ${wanted}, got ${describe(model)}${hints[found]}`);
}

const describe = (value: unknown): string => (typeof value === "object" && value !== null ? value.constructor.name : String(value));
