import { BYTE_ALPHABET, byteLevelJSON, GPT2_SPLIT, toAlphabet } from "./bytelevel";
import { HuggingFaceTokenizer } from "./huggingface";
import { MOST_TOKENS, Pairs } from "./pairs";
import { SPECIALS } from "./tokenizer";

/** What to train, and how far. */
export interface TrainBPEOptions<Specials extends readonly string[] = readonly string[]> {
  /** The most tokens the vocabulary may have: special tokens, 256 bytes, then merges. */
  vocabularySize: number;
  /** Special tokens; they take the first ids. Default: `<pad> <bos> <eos> <unk>`. */
  specials?: Specials;
  /** A pair seen less often is not merged. Default: 2. */
  minFrequency?: number;
  /** See `ByteLevelVocabulary.prefixSpace`. Default: true. */
  prefixSpace?: boolean;
  /** Is told now and then how many of the vocabulary's tokens there are. */
  onProgress?: (tokens: number, vocabularySize: number) => void;
}

const PROGRESS_EVERY = 100;

/**
 * Trains a byte-level BPE (Sennrich et al. 2016, arXiv:1508.07909; on bytes as in GPT-2): starting from the 256 bytes, the most
 * frequent pair of neighbours within a word becomes a token, again and again. Of equally frequent pairs the one with the
 * smaller left id goes first, then the one with the smaller right id: the order of Hugging Face's trainer, whose merges these are.
 *
 * The vocabulary is smaller than asked for when no pair of `minFrequency` is left.
 *
 * @throws RangeError if `vocabularySize` has no room for the special tokens and the 256 bytes, or is beyond 2²⁰
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
    throw new RangeError(
      `trainBPE: vocabularySize must be at least ${initial.length} (256 bytes and ${specials.length} special tokens), got ${vocabularySize}`,
    );
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
    let merged = ids.get(left + right); // there already if other halves gave the same token
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

/** How often each word, in GPT-2's alphabet, occurs. */
function countWords(texts: Iterable<string>, prefixSpace: boolean): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    if (text === "") continue;
    for (const word of (prefixSpace ? " " + text : text).match(GPT2_SPLIT) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return new Map(Array.from(counts, ([word, count]) => [toAlphabet(word), count]));
}
