/** Ids of the special tokens; undefined for those that are not in the vocabulary. */
export interface SpecialIds {
  /** Pads rows to the length of their batch. */
  readonly pad?: number;
  /** Starts a sequence. */
  readonly bos?: number;
  /** Ends a sequence. */
  readonly eos?: number;
  /** Replaces text that is not in the vocabulary. */
  readonly unk?: number;
}

/** Options of `Tokenizer.decode`. */
export interface DecodeOptions {
  /** Keep special tokens, such as `<eos>`, in the text. Default: false. */
  specials?: boolean;
}

/** Converts text to ids and back. Every tokenizer can be saved as a Hugging Face tokenizer.json. */
export interface Tokenizer {
  /** The number of ids: all are in [0, size). */
  readonly size: number;
  readonly specials: SpecialIds;

  /**
   * The ids of a text. No special tokens are added or recognized: `<eos>` in a text is five characters.
   * @throws HeedError "data" for text that is not in the vocabulary, if there is no unknown token
   */
  encode(text: string): number[];

  /** @throws RangeError for an id outside [0, size) */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;

  /** The tokenizer.json as an object. */
  toJSON(): TokenizerJSON;
}

/** A special token as listed in tokenizer.json. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
}

/** The parts of a tokenizer.json that heed reads; everything else is passed through unchanged. */
export interface TokenizerJSON {
  version: string;
  truncation: unknown;
  padding: unknown;
  added_tokens: AddedToken[];
  normalizer: { type: string; [key: string]: unknown } | null;
  pre_tokenizer: { type: string; [key: string]: unknown } | null;
  post_processor: { type: string; [key: string]: unknown } | null;
  decoder: { type: string; [key: string]: unknown } | null;
  model: { type?: string; vocab: unknown; merges?: unknown[]; unk_token?: string | null; [key: string]: unknown };
}

/** The names of the special tokens that heed creates, in the order of their ids. */
export const SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"] as const;

const NAMES = {
  pad: ["<pad>", "[PAD]"],
  bos: ["<bos>", "<s>", "[CLS]", "<|endoftext|>"],
  eos: ["<eos>", "</s>", "[SEP]", "<|endoftext|>"],
  unk: ["<unk>", "[UNK]"],
} as const;

/**
 * The ids of a tokenizer whose special tokens are known at compile time: a number for each role that a token of `Special` has.
 * With `string`, the tokens are unknown and every role may be undefined.
 */
export type SpecialIdsOf<Special extends string> = string extends Special
  ? SpecialIds
  : { readonly [Role in keyof typeof NAMES]: [Extract<Special, (typeof NAMES)[Role][number]>] extends [never] ? undefined : number };

/** Finds the special tokens by their usual names (`<pad>`, `[PAD]`, `</s>`, `<|endoftext|>`, …). */
export function specialIds(idOf: (token: string) => number | undefined): SpecialIds {
  const find = (names: readonly string[]) => names.map(idOf).find((id) => id !== undefined);
  return { pad: find(NAMES.pad), bos: find(NAMES.bos), eos: find(NAMES.eos), unk: find(NAMES.unk) };
}

/** The entry of a special token in tokenizer.json. */
export function addedToken(content: string, id: number): AddedToken {
  return { id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
}

/** @throws RangeError for an id outside the vocabulary */
export function checkIds(ids: ArrayLike<number>, size: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!Number.isInteger(id) || id < 0 || id >= size) {
      throw new RangeError(`decode: ids must be in [0, ${size}), got ${id} at position ${i}`);
    }
  }
}
