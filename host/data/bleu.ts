const ORDER = 4;

/** Python's whitespace, on which sacreBLEU splits. JavaScript's \s lacks U+001C…U+001F and U+0085 and adds U+FEFF. */
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u;

const TRAILING_SPACE = new RegExp(SPACE.source + "$", "u");

/** Options of `bleu`. */
export interface BleuOptions {
  /** Lowercase the text before comparing. Default: false. */
  lowercase?: boolean;
}

/** A BLEU score and its components. */
export interface BleuScore {
  /** BLEU in [0, 100]. */
  score: number;
  /** Smoothed n-gram precisions in percent, for n = 1 … 4. */
  precisions: number[];
  /** The factor by which short hypotheses lower `score`: exp(1 − referenceLength / hypothesisLength), at most 1. */
  brevityPenalty: number;
  /** Words in all hypotheses. */
  hypothesisLength: number;
  /** Words in all references. */
  referenceLength: number;
  /** n-grams of the hypotheses that also occur in their references, for n = 1 … 4. */
  counts: number[];
  /** n-grams of the hypotheses, for n = 1 … 4. */
  totals: number[];
}

/**
 * Corpus BLEU (Papineni et al. 2002) with one reference per hypothesis, as sacreBLEU computes it by default
 * (Post 2018, arXiv:1804.08771):
 *
 *     score = BP · exp(¼ Σ_n log precision_n)
 *
 * Words are split by the 13a tokenizer. The k-th n-gram order without a match, k = 1, 2, …, has the precision 100 / (2ᵏ·total)
 * ("exp" smoothing). sacreBLEU's signature: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp`, or `case:lc` with `lowercase`.
 *
 * @throws RangeError if the lists are empty or differ in length
 *
 * @example
 * bleu(["the cat sat on the mat"], ["the cat sat on a mat"]).score; // 53.73
 */
export function bleu(hypotheses: readonly string[], references: readonly string[], { lowercase = false }: BleuOptions = {}): BleuScore {
  if (hypotheses.length !== references.length || hypotheses.length === 0) {
    throw new RangeError(`bleu: expected one reference per hypothesis, got ${references.length} for ${hypotheses.length}`);
  }
  const counts = new Array<number>(ORDER).fill(0);
  const totals = new Array<number>(ORDER).fill(0);
  let hypothesisLength = 0;
  let referenceLength = 0;
  const words = (text: string) => tokenize13a(lowercase ? text.toLowerCase() : text);
  for (let i = 0; i < hypotheses.length; i++) {
    const hypothesis = words(hypotheses[i]!);
    const reference = words(references[i]!);
    hypothesisLength += hypothesis.length;
    referenceLength += reference.length;
    for (let n = 1; n <= ORDER; n++) {
      counts[n - 1]! += matches(ngrams(hypothesis, n), ngrams(reference, n));
      totals[n - 1]! += Math.max(0, hypothesis.length - n + 1);
    }
  }
  const brevityPenalty = penalty(hypothesisLength, referenceLength);
  const precisions = smoothedPrecisions(counts, totals);
  const score = precisions.includes(0) ? 0 : brevityPenalty * Math.exp(precisions.reduce((sum, p) => sum + Math.log(p), 0) / ORDER);
  return { score, precisions, brevityPenalty, hypothesisLength, referenceLength, counts, totals };
}

/**
 * The words of a line as mteval-v13a.pl and sacreBLEU's "13a" split it. Most punctuation becomes a word of its own; periods
 * and commas only when not between digits, and a dash only after a digit.
 *
 * @example
 * tokenize13a('It costs $1,000.50, "really".'); // ["It", "costs", "$", "1,000.50", ",", '"', "really", '"', "."]
 */
export function tokenize13a(line: string): string[] {
  return ` ${unescapeEntities(line.replace(TRAILING_SPACE, ""))} `
    .replace(/([{-~[-` -&(-+:-@/])/g, " $1 ")
    .replace(/([^0-9])([.,])/g, "$1 $2 ")
    .replace(/([.,])([^0-9])/g, " $1 $2")
    .replace(/([0-9])(-)/g, "$1 $2 ")
    .split(SPACE)
    .filter((word) => word !== "");
}

function unescapeEntities(line: string): string {
  return line
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "") //                                 a word hyphenated at a line break
    .replaceAll("\n", " ")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
}

function matches(hypothesis: Map<string, number>, reference: Map<string, number>): number {
  let sum = 0;
  for (const [ngram, count] of hypothesis) sum += Math.min(count, reference.get(ngram) ?? 0);
  return sum;
}

function ngrams(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const ngram = words.slice(i, i + n).join(" ");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

function penalty(hypothesisLength: number, referenceLength: number): number {
  if (hypothesisLength >= referenceLength) return 1;
  return hypothesisLength === 0 ? 0 : Math.exp(1 - referenceLength / hypothesisLength);
}

function smoothedPrecisions(counts: readonly number[], totals: readonly number[]): number[] {
  const precisions = new Array<number>(ORDER).fill(0);
  if (counts.every((count) => count === 0)) return precisions;
  let smoothing = 1;
  for (let i = 0; i < ORDER && totals[i]! > 0; i++) {
    if (counts[i] === 0) smoothing *= 2;
    precisions[i] = (100 * (counts[i] || 1 / smoothing)) / totals[i]!;
  }
  return precisions;
}
