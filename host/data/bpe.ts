import { BYTE_ALPHABET, byteLevelJSON, GPT2_SPLIT, toAlphabet } from "./bytelevel";
import { HuggingFaceTokenizer } from "./huggingface";
import { MOST_TOKENS, Pairs } from "./pairs";
import { SPECIALS } from "./tokenizer";

/** Options of `trainBPE`. */
export interface TrainBPEOptions<Specials extends readonly string[] = readonly string[]> {
  /** Maximum number of tokens in the vocabulary: special tokens, 256 bytes, then merges. */
  vocabularySize: number;
  /** Special tokens, which get the first ids. Default: `<pad> <bos> <eos> <unk>`. */
  specials?: Specials;
  /** Pairs that occur less often are not merged. Default: 2. */
  minFrequency?: number;
  /**
   * Put a space before every text and remove it again when decoding, so that the first word of a text gets the same token as
   * within a sentence. Default: true.
   */
  prefixSpace?: boolean;
  /** Called every 100 merges and at the end with the current number of tokens. */
  onProgress?: (tokens: number, vocabularySize: number) => void;
}

const PROGRESS_EVERY = 100;

/**
 * Trains a byte-level BPE tokenizer (Sennrich et al. 2016, arXiv:1508.07909; on bytes as in GPT-2). Starting from the 256 bytes,
 * it repeatedly merges the most frequent pair of adjacent tokens within a word into a new token. Ties go to the smaller left id,
 * then to the smaller right id, as in Hugging Face's trainer, which learns the same merges.
 *
 * The vocabulary ends up smaller than `vocabularySize` if no pair that occurs `minFrequency` times is left.
 *
 * @throws RangeError if `vocabularySize` has no room for the special tokens and the 256 bytes, or exceeds 2²⁰
 *
 * @example
 * const tokenizer = trainBPE(["low lower lowest", "new newer newest"], { vocabularySize: 270 });
 * tokenizer.decode(tokenizer.encode("the lowest")); // "the lowest"
 */
export function trainBPE<const Specials extends readonly string[] = typeof SPECIALS>(
  texts: Iterable<string>,
  options: TrainBPEOptions<Specials>,
): HuggingFaceTokenizer<Specials[number]> {
  const specials: readonly string[] = options.specials ?? SPECIALS;
  const { vocabularySize, minFrequency = 2, prefixSpace = true, onProgress } = options;
  const initial = [...specials, ...[...BYTE_ALPHABET].sort()];
  if (!Number.isInteger(vocabularySize) || vocabularySize < initial.length) {
    const minimum = `${initial.length} (256 bytes and ${specials.length} special tokens)`;
    throw new RangeError(`trainBPE: vocabularySize must be at least ${minimum}, got ${vocabularySize}`);
  }
  if (vocabularySize > MOST_TOKENS) throw new RangeError(`trainBPE: vocabularySize must be at most ${MOST_TOKENS}, got ${vocabularySize}`);
  const ids = new Map(initial.map((token, id) => [token, id]));
  const tokens = [...initial];
  const merges: [string, string][] = [];
  const pairs = new Pairs(countWords(texts, prefixSpace), ids);

  while (tokens.length < vocabularySize) {
    const best = pairs.takeBest();
    if (best === undefined || best.count < Math.max(1, minFrequency)) break;
    const left = tokens[best.left]!;
    const right = tokens[best.right]!;
    let merged = ids.get(left + right); // exists if another pair has already produced the same token
    if (merged === undefined) {
      merged = tokens.push(left + right) - 1;
      ids.set(left + right, merged);
    }
    merges.push([left, right]);
    pairs.merge(best, merged);
    if (merges.length % PROGRESS_EVERY === 0) onProgress?.(tokens.length, vocabularySize);
  }
  onProgress?.(tokens.length, vocabularySize);
  return new HuggingFaceTokenizer(byteLevelJSON({ vocab: Object.fromEntries(ids), merges, specials, prefixSpace }));
}

/** The number of occurrences of each word, in GPT-2's alphabet. */
function countWords(texts: Iterable<string>, prefixSpace: boolean): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    if (text === "") continue;
    for (const word of (prefixSpace ? " " + text : text).match(GPT2_SPLIT) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return new Map(Array.from(counts, ([word, count]) => [toAlphabet(word), count]));
}
