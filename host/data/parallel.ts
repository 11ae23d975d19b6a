import { HeedError, inFile } from "../errors";
import type { Lines } from "./lines";
import type { Tokenizer } from "./tokenizer";

/** A sentence and its translation as token ids, without special tokens. */
export interface Pair {
  source: number[];
  target: number[];
}

/** A pair of lines that was skipped. */
export interface Skipped {
  /** The line number, from 1. */
  line: number;
  reason: "long" | "empty";
}

/** Options of `parallelCorpus`. */
export interface ParallelOptions {
  sourceTokenizer: Tokenizer;
  targetTokenizer: Tokenizer;
  /** Maximum number of tokens per side. On the target side, `<bos>` or `<eos>` counts as one of them. */
  maxLength: number;
  /** What to do with a pair that is too long on either side. Default: "error". */
  longLines?: "error" | "skip";
  /** What to do with a pair that is empty or only whitespace on either side. Default: "error". */
  emptyLines?: "error" | "skip";
}

/**
 * Encodes two files that are translations of each other, line by line.
 *
 * @throws HeedError "data" if the files have different numbers of lines, a line is empty or too long, or no pair is left
 *
 * @example
 * const tokenizer = CharacterTokenizer.of(["ja yes"], { specials: SPECIALS });
 * const options = { sourceTokenizer: tokenizer, targetTokenizer: tokenizer, maxLength: 8 };
 * const { pairs } = parallelCorpus({ name: "train.de", lines: ["ja"] }, { name: "train.en", lines: ["yes"] }, options);
 * tokenizer.decode(pairs[0].target); // "yes"
 */
export function parallelCorpus(source: Lines, target: Lines, options: ParallelOptions): { pairs: Pair[]; skipped: Skipped[] } {
  const { sourceTokenizer, targetTokenizer, maxLength, longLines = "error", emptyLines = "error" } = options;
  checkAligned(source, target);
  const pairs: Pair[] = [];
  const skipped: Skipped[] = [];
  for (let i = 0; i < source.lines.length; i++) {
    const pair = { source: encodeLine(source, i, sourceTokenizer), target: encodeLine(target, i, targetTokenizer) };
    const isEmpty = pair.source.length === 0 || pair.target.length === 0;
    const isLong = pair.source.length > maxLength || pair.target.length + 1 > maxLength;
    if (isEmpty && emptyLines === "error") throw emptyLine(pair.source.length === 0 ? source.name : target.name, i + 1);
    if (isLong && longLines === "error") throw longLine(source.name, target.name, i + 1, pair, maxLength);
    if (isEmpty || isLong) skipped.push({ line: i + 1, reason: isEmpty ? "empty" : "long" });
    else pairs.push(pair);
  }
  if (pairs.length === 0) {
    throw new HeedError("data", `${source.name} and ${target.name}: all ${skipped.length} pairs are empty or too long`);
  }
  return { pairs, skipped };
}

/** @throws HeedError "data" with both counts if the files have different numbers of lines */
export function checkAligned(source: Lines, target: Lines): void {
  if (source.lines.length === target.lines.length) return;
  const counts = `${source.name} has ${source.lines.length} lines, but ${target.name} has ${target.lines.length}`;
  throw new HeedError("data", `${counts}; each line must be the translation of the same line in the other file`);
}

function encodeLine({ name, lines }: Lines, index: number, tokenizer: Tokenizer): number[] {
  if (lines[index]!.trim() === "") return []; // a line of whitespace has nothing to translate
  return inFile(`${name}, line ${index + 1}`, () => tokenizer.encode(lines[index]!));
}

function emptyLine(name: string, line: number): HeedError {
  return new HeedError("data", `${name}, line ${line}: the line is empty; remove the pair, or pass emptyLines: "skip" (--skip-empty)`);
}

function longLine(sourceName: string, targetName: string, line: number, pair: Pair, maxLength: number): HeedError {
  const isSource = pair.source.length > maxLength;
  const name = isSource ? sourceName : targetName;
  const tokens = isSource ? `${pair.source.length} tokens` : `${pair.target.length} tokens and <bos>`;
  return new HeedError(
    "data",
    `${name}, line ${line}: ${tokens} exceed the maximum of ${maxLength}; raise maxLength, or pass longLines: "skip" (--skip-long)`,
  );
}
