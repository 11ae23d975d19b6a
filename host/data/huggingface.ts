import { Tokenizer as Implementation } from "@huggingface/tokenizers";
import { HeedError, inFile } from "../errors";
import { isObject } from "../fields";
import { parseJson } from "../json";
import { GPT2_SPLIT, toAlphabet } from "./bytelevel";
import { CharacterTokenizer } from "./characters";
import { checkIds, specialIds, type DecodeOptions, type SpecialIdsOf, type Tokenizer, type TokenizerJSON } from "./tokenizer";

/** Maximum number of cached words; beyond that, the cache is cleared. Natural text has about 10⁴ frequent words. */
const CACHED_WORDS = 100_000;

/** Options of `HuggingFaceTokenizer.encode`. */
export interface EncodeOptions {
  /** Recognize special tokens in the text, and add those of the file's template (`[CLS] … [SEP]`). Default: false. */
  specials?: boolean;
}

/**
 * Any tokenizer that a tokenizer.json can describe (BPE, WordPiece, Unigram), implemented by `@huggingface/tokenizers`.
 * Byte-level BPE caches the ids of each distinct word: encoding 58,000 sentences takes 0.3 s instead of 4.5 s.
 *
 * @example
 * const { size } = trainBPE(["low lower lowest"], { vocabularySize: 262 }); // a HuggingFaceTokenizer
 * size; // 262
 */
export class HuggingFaceTokenizer<Special extends string = string> implements Tokenizer {
  readonly size: number;
  readonly specials: SpecialIdsOf<Special>;
  private readonly full: Implementation;
  private plain?: Implementation;
  private readonly words?: Map<string, number[]>;

  /** @throws HeedError "format" if the package rejects `json` */
  constructor(private readonly json: TokenizerJSON) {
    try {
      this.full = new Implementation(json, {});
    } catch (cause) {
      throw new HeedError("format", cause instanceof Error ? cause.message : String(cause), { cause });
    }
    this.size = this.full.model!.vocab.length;
    this.specials = specialIds((token) => this.full.token_to_id(token)) as SpecialIdsOf<Special>;
    if (isPlainByteLevel(json)) this.words = new Map();
  }

  /**
   * @throws HeedError "data" for a token without an id, for example if the unknown token itself is not in the vocabulary. A BPE that
   *   is neither byte-level nor has an unknown token drops characters that it does not know, as Hugging Face's own library does.
   */
  encode(text: string, { specials = false }: EncodeOptions = {}): number[] {
    if (specials) return checkedIds(this.full.encode(text));
    if (this.words) return this.encodeByWords(text, this.words);
    this.plain ??= new Implementation(withoutSpecials(this.json), {});
    return checkedIds(this.plain.encode(text));
  }

  decode(ids: ArrayLike<number>, { specials = false }: DecodeOptions = {}): string {
    checkIds(ids, this.size);
    if (ids.length === 0) return "";
    const { vocab } = this.full.model!;
    for (let i = 0; i < ids.length; i++) {
      if (vocab[ids[i]!] === undefined) throw new RangeError(`decode: no token has id ${ids[i]}, found at position ${i}`);
    }
    return this.full.decode(Array.from(ids), { skip_special_tokens: !specials, clean_up_tokenization_spaces: false });
  }

  toJSON(): TokenizerJSON {
    return this.json;
  }

  private encodeByWords(text: string, words: Map<string, number[]>): number[] {
    if (text === "") return [];
    const { normalizer } = this.full;
    const ids: number[] = [];
    for (const word of (normalizer ? normalizer.normalize(text) : text).match(GPT2_SPLIT) ?? []) {
      let wordIds = words.get(word);
      if (wordIds === undefined) {
        if (words.size >= CACHED_WORDS) words.clear();
        wordIds = this.encodeWord(word);
        words.set(word, wordIds);
      }
      for (const id of wordIds) ids.push(id);
    }
    return ids;
  }

  private encodeWord(word: string): number[] {
    const model = this.full.model!;
    const letters = toAlphabet(word);
    const tokens = model.encode([letters]);
    if (tokens.join("").length < letters.length && !model.unk_token) { // the package drops unknown bytes
      throw unknownToken([...letters].find((letter) => !model.tokens_to_ids.has(letter)) ?? letters);
    }
    return checkedIds({ tokens, ids: tokens.map((token) => model.tokens_to_ids.get(token) ?? model.unk_token_id) });
  }
}

function checkedIds({ ids, tokens }: { ids: readonly (number | null | undefined)[]; tokens: readonly string[] }): number[] {
  const at = ids.findIndex((id) => !Number.isInteger(id));
  if (at >= 0) throw unknownToken(tokens[at]!);
  return ids as number[];
}

function unknownToken(token: string): HeedError {
  return new HeedError("data", `the token ${JSON.stringify(token)} is not in the tokenizer's vocabulary`);
}

/** Whether the text is split by GPT-2's expression and each word is encoded independently of the others. */
function isPlainByteLevel({ model, pre_tokenizer, added_tokens }: TokenizerJSON): boolean {
  const { type, use_regex, add_prefix_space } = pre_tokenizer ?? { type: "" };
  const isByteLevel = type === "ByteLevel" && use_regex !== false && add_prefix_space !== true;
  return isByteLevel && model.type !== "Unigram" && model.merges !== undefined && added_tokens.every((token) => token.special);
}

function withoutSpecials(json: TokenizerJSON): TokenizerJSON {
  return { ...json, added_tokens: json.added_tokens.filter((token) => !token.special), post_processor: null };
}

/**
 * Creates the tokenizer that a tokenizer.json describes.
 *
 * @param json  the file's text, or the parsed object
 * @param name  the file's name in error messages
 * @throws HeedError "format" if `json` does not describe a tokenizer
 *
 * @example
 * const saved = JSON.stringify(CharacterTokenizer.of(["abc"]));
 * loadTokenizer(saved).encode("cab"); // [2, 0, 1]
 */
export function loadTokenizer(json: string | TokenizerJSON, name = "tokenizer.json"): Tokenizer {
  return inFile(name, () => {
    const parsed = (typeof json === "string" ? parseJson(json) : json) as TokenizerJSON;
    const hasVocabulary = isObject(parsed?.model) && (isObject(parsed.model.vocab) || Array.isArray(parsed.model.vocab));
    if (!hasVocabulary || !Array.isArray(parsed.added_tokens)) {
      throw new HeedError("format", 'not a Hugging Face tokenizer.json: "model.vocab" or "added_tokens" is missing');
    }
    checkTokens(parsed);
    return CharacterTokenizer.fromJSON(parsed) ?? new HuggingFaceTokenizer(parsed);
  });
}

/** A larger id means that the file is broken: the largest vocabularies have about a million tokens. */
const MOST_TOKENS = 2 ** 24;

/** @throws HeedError "format" for an invalid id, an id shared by two tokens, or an invalid added token */
function checkTokens({ model: { vocab }, added_tokens }: TokenizerJSON): void {
  const taken = new Map<number, string>();
  const check = (token: string, id: unknown): void => {
    const where = `the token ${JSON.stringify(token)}`;
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= MOST_TOKENS) {
      throw new HeedError("format", `${where}: expected an id in [0, ${MOST_TOKENS}), got ${JSON.stringify(id)}`);
    }
    const other = taken.get(id as number) ?? token;
    if (other !== token) throw new HeedError("format", `${where} has the same id as ${JSON.stringify(other)}: ${id as number}`);
    taken.set(id as number, token);
  };
  if (!Array.isArray(vocab)) for (const [token, id] of Object.entries(vocab as object)) check(token, id);
  for (const token of added_tokens as unknown[]) {
    if (!isObject(token) || typeof token.content !== "string") {
      throw new HeedError("format", `added_tokens: expected objects with "id" and "content", got ${JSON.stringify(token)}`);
    }
    if (!Array.isArray(vocab)) check(token.content, token.id);
  }
}
