import { addedToken, type TokenizerJSON } from "./tokenizer";

/**
 * How GPT-2 cuts a text into words before BPE (Radford et al. 2019, openai/gpt-2 `src/encoder.py`):
 * contractions, then letters, digits or other signs with the space in front of them, then white space.
 * What counts as a letter is the engine's Unicode version's to say; a text comes back from its ids in any case.
 */
export const GPT2_SPLIT = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's alphabet: a printable character for each of the 256 bytes. Printable Latin-1 stands for itself, the rest from U+0100 on. */
export const BYTE_ALPHABET: readonly string[] = makeAlphabet();

function makeAlphabet(): string[] {
  let next = 0x100;
  const isPrintable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

const encoder = new TextEncoder();

/**
 * A word's UTF-8 bytes in GPT-2's alphabet.
 *
 * @example
 * toAlphabet(" é"); // "ĠÃ©"
 */
export function toAlphabet(word: string): string {
  let mapped = "";
  for (const byte of encoder.encode(word)) mapped += BYTE_ALPHABET[byte];
  return mapped;
}

export interface ByteLevelVocabulary {
  /** Token (in GPT-2's alphabet) to id. */
  vocab: Record<string, number>;
  /** Pairs, the earliest first. */
  merges: [string, string][];
  /** Special tokens; `vocab` has their ids. */
  specials: readonly string[];
  /**
   * Put a space before every text, and take it off again in decoding, so that a text's first word is the same token as
   * within a sentence. It is a `Prepend` normalizer, since `add_prefix_space` would lose a space that is there already.
   */
  prefixSpace: boolean;
}

/** A byte-level BPE's tokenizer.json. */
export function byteLevelJSON({ vocab, merges, specials, prefixSpace }: ByteLevelVocabulary): TokenizerJSON {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials.map((token) => addedToken(token, vocab[token]!)),
    normalizer: prefixSpace ? { type: "Prepend", prepend: " " } : null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: prefixSpace ? { type: "Sequence", decoders: [byteLevel, strip] } : byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}

/**
 * GPT-2's two files as one tokenizer.json.
 *
 * @param encoderJSON  `encoder.json`, also known as `vocab.json`: token to id
 * @param vocabBPE     `vocab.bpe`, also known as `merges.txt`: a merge a line after the first
 *
 * @example
 * const tokenizer = loadTokenizer(gpt2JSON(encoderJSON, vocabBPE));
 */
export function gpt2JSON(encoderJSON: string, vocabBPE: string): TokenizerJSON {
  const vocab = JSON.parse(encoderJSON) as Record<string, number>;
  const lines = vocabBPE.split("\n").filter((line) => line !== "" && !line.startsWith("#version"));
  const merges = lines.map((line) => line.split(" ") as [string, string]);
  return byteLevelJSON({ vocab, merges, specials: ["<|endoftext|>"], prefixSpace: false });
}
