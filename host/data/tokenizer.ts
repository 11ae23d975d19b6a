/** Ids of the tokens with a role of their own; one that the vocabulary lacks is undefined. */
export interface SpecialIds {
  /** Fills a row up to its batch's length. */
  readonly pad?: number;
  /** Starts a sequence. */
  readonly bos?: number;
  /** Ends one. */
  readonly eos?: number;
  /** Stands for what the vocabulary lacks. */
  readonly unk?: number;
}

/** How ids are written. */
export interface DecodeOptions {
  /** Keep special tokens, such as `<eos>`, in the text. Default: false. */
  specials?: boolean;
}

/** Text to ids and back. Every tokenizer saves itself as a Hugging Face tokenizer.json. */
export interface Tokenizer {
  /** The number of ids: all are in [0, size). */
  readonly size: number;
  readonly specials: SpecialIds;

  /**
   * The text's ids, without any special token around them: `<eos>` in a text is five characters.
   * @throws HeedError "data" for text that the vocabulary has no id for, not even that of an unknown token
   */
  encode(text: string): number[];

  /** @throws RangeError for an id outside [0, size) */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;

  /** The tokenizer.json as an object. */
  toJSON(): TokenizerJSON;
}

/** A special token, as tokenizer.json lists it. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
}

/** The parts of a tokenizer.json that heed reads; the rest passes through untouched. */
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
 * The ids of a tokenizer whose special tokens are known to the compiler: a number for each role that one of `Special` has.
 * `string` stands for tokens that are not known; each role may then be undefined.
 */
export type SpecialIdsOf<Special extends string> = string extends Special
  ? SpecialIds
  : { readonly [Role in keyof typeof NAMES]: [Extract<Special, (typeof NAMES)[Role][number]>] extends [never] ? undefined : number };

/** The roles of special tokens, told by their usual names (`<pad>`, `[PAD]`, `</s>`, `<|endoftext|>`, …). */
export function specialIds(idOf: (token: string) => number | undefined): SpecialIds {
  const find = (names: readonly string[]) => names.map(idOf).find((id) => id !== undefined);
  return { pad: find(NAMES.pad), bos: find(NAMES.bos), eos: find(NAMES.eos), unk: find(NAMES.unk) };
}

/** A special token's entry in tokenizer.json. */
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
