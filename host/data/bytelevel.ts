import { addedToken, type TokenizerJSON } from "./tokenizer";

/**
 * How GPT-2 splits a text into words before BPE (Radford et al. 2019, openai/gpt-2 `src/encoder.py`):
 * contractions; then letters, digits or other symbols, each with an optional leading space; then whitespace.
 * What counts as a letter depends on the engine's Unicode version, but decoding restores the text in any case.
 */
export const GPT2_SPLIT = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's alphabet: a printable character for each of the 256 bytes. Printable Latin-1 maps to itself, the rest to U+0100 and up. */
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

/** The parts of a byte-level BPE tokenizer. */
export interface ByteLevelVocabulary {
  /** Ids by token, written in GPT-2's alphabet. */
  vocab: Record<string, number>;
  /** Merged pairs in the order in which they were learned. */
  merges: [string, string][];
  /** Special tokens; their ids are in `vocab`. */
  specials: readonly string[];
  /**
   * Put a space before every text and remove it again when decoding, so that the first word of a text gets the same token as
   * within a sentence. Implemented as a `Prepend` normalizer, because `add_prefix_space` would lose a leading space of the text.
   */
  prefixSpace: boolean;
}

/** The tokenizer.json of a byte-level BPE tokenizer. */
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
 * Converts GPT-2's two vocabulary files to one tokenizer.json.
 *
 * @param encoderJSON  the contents of `encoder.json`, also known as `vocab.json`: ids by token
 * @param vocabBPE     the contents of `vocab.bpe`, also known as `merges.txt`: a version line, then one merge per line
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
