import type { Tokenizer as Implementation } from "@huggingface/tokenizers";
import { HeedError } from "../errors";
import { quote } from "../quote";
import { BYTE_ALPHABET } from "./bytelevel";
import { LinearPattern } from "./linearpattern";

/** The most steps of all patterns of a tokenizer. Those of published tokenizers have at most some 200. */
const MOST_STEPS = 1024;
const isByte = new Set(BYTE_ALPHABET);

/** A component of the package, as far as it is replaced here. */
interface Component {
  config?: { pattern?: { Regex?: string } };
  pattern?: RegExp | LinearPattern;
  normalizers?: (Component | null)[];
  tokenizers?: (Component | null)[];
  decoders?: (Component | null)[];
}

/** The model of the package, as far as it is replaced here. */
interface PackageModel {
  config: { type?: string };
  tokens_to_ids: Map<string, number>;
  unk_token?: string | null;
  byte_fallback?: boolean;
  ignore_merges?: boolean;
  encode(words: string[]): string[];
  bpe?(word: string): string[];
  tokenize?(text: string): string[];
}

/**
 * Makes a tokenizer of the package safe for untrusted files and texts: regular expressions run in linear time, and a BPE without an
 * unknown token throws for what it does not know instead of dropping it.
 *
 * @throws HeedError "format" naming a regular expression that is not supported
 */
export function secure(implementation: Implementation): void {
  const { normalizer, pre_tokenizer: preTokenizer, decoder, model } = implementation as unknown as Record<string, Component | null>;
  let steps = 0;
  const visit = (component: Component | null | undefined): void => {
    if (!component) return;
    const regex = component.config?.pattern?.Regex;
    if (component.pattern instanceof RegExp && regex !== undefined) {
      const pattern = linear(component.pattern, regex);
      steps += pattern.size;
      const tooMany = `expected at most ${MOST_STEPS} steps in all patterns, got ${steps}`;
      if (steps > MOST_STEPS) throw new HeedError("format", `the pattern ${quote(regex)}: ${tooMany}`);
      component.pattern = pattern;
    }
    for (const part of component.normalizers ?? component.tokenizers ?? component.decoders ?? []) visit(part);
  };
  for (const component of [normalizer, preTokenizer, decoder]) visit(component);
  checkEncoding(model as unknown as PackageModel);
}

function linear(pattern: RegExp, written: string): LinearPattern {
  try {
    return LinearPattern.of(pattern);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new HeedError("format", `the pattern ${quote(written)} is not supported: ${cause.message}`, { cause });
  }
}

/** Replaces the model's `encode`. The package's own passes all pieces of a text as arguments, which overflows the stack for a long one. */
function checkEncoding(model: PackageModel): void {
  if (model.config.type === "BPE") {
    model.encode = (words) => {
      const pieces: string[] = [];
      for (const word of words) {
        if (model.ignore_merges && model.tokens_to_ids.has(word)) pieces.push(word);
        else for (const piece of model.bpe!(word)) pushKnown(model, piece, pieces);
      }
      return pieces;
    };
  } else if (model.config.type === "Unigram") {
    model.encode = (texts) => texts.flatMap((text) => model.tokenize!(text));
  }
}

function pushKnown(model: PackageModel, piece: string, pieces: string[]): void {
  const { tokens_to_ids: ids, unk_token: unknown, byte_fallback: hasBytes } = model;
  if (ids.has(piece)) return void pieces.push(piece);
  if (hasBytes) {
    const bytes = Array.from(new TextEncoder().encode(piece), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (bytes.every((byte) => ids.has(byte))) {
      for (const byte of bytes) pieces.push(byte);
      return;
    }
  }
  if (unknown === null || unknown === undefined) throw unknownToken(piece);
  pieces.push(unknown);
}

export function unknownToken(token: string): HeedError {
  return new HeedError("data", `the token ${quote(token)} is not in the tokenizer's vocabulary`);
}

/** @throws HeedError "format" for a token that byte-level decoding would turn into zero bytes: one with a character that is no byte */
export function checkByteToken(token: string): void {
  for (const character of token) {
    if (isByte.has(character)) continue;
    throw new HeedError("format", `the token ${quote(token)}: ${quote(character)} is not in the alphabet of bytes`);
  }
}
