import { isList } from "../fields";
import { type DecoderModel, hasSource } from "../models/decoding";
import { checkIds } from "../models/inputs";
import { Row } from "./row";
import { checkSampler, type Sampler } from "./sampler";

/** What a row starts from. */
export interface Prompt extends Sampler {
  /** Token ids, at least one: a text to continue, or the start of a target. */
  tokens: readonly number[];
  /** The source, for an encoder-decoder: token ids, at least one. */
  source?: readonly number[];
}

/**
 * Checks prompts and makes a row for each.
 * @throws RangeError for prompts that are empty or too long, and for ids outside the vocabulary; TypeError if `prompts` is not a list, and
 *   for unknown fields
 */
export function checkPrompts(caller: string, model: DecoderModel, prompts: readonly Prompt[]): Row[] {
  const form = hasSource(model) ? "{ tokens, source }" : "{ tokens }";
  if (!Array.isArray(prompts)) throw new TypeError(`${caller}: expected a list of prompts, each ${form}, got ${String(prompts)}`);
  return prompts.map((prompt: Prompt, i) => {
    const where = `${caller}: prompt ${i}`;
    if (typeof prompt !== "object" || prompt === null) throw new TypeError(`${where}: expected ${form}, got ${String(prompt)}`);
    const { tokens, source, ...sampler } = prompt;
    checkTokens(`${where}: tokens`, tokens, model.context, model.vocabulary);
    if (hasSource(model)) checkTokens(`${where}: source`, source, model.sourceContext, model.vocabulary);
    else if (source !== undefined) throw new TypeError(`${where}: the model has no source`);
    const row = new Row([...tokens], checkSampler(where, sampler, model.vocabulary));
    row.source = source ? [...source] : [];
    return row;
  });
}

function checkTokens(where: string, tokens: unknown, limit: number, vocabulary: number): void {
  expectIdList(where, tokens);
  const { length } = tokens;
  if (length < 1 || length > limit) throw new RangeError(`${where}: the model takes 1 to ${limit} tokens, got ${length}`);
  checkIds(where, tokens, vocabulary);
}

/** @throws TypeError unless `tokens` is an array */
export function expectIdList(where: string, tokens: unknown): asserts tokens is ArrayLike<number> {
  if (!isList(tokens)) throw new TypeError(`${where}: expected a list of token ids, got ${String(tokens)}`);
}

/** The length of the next piece of a prompt with `left` tokens to go. One piece that is up to a third empty is faster than several. */
export function pieceFor(left: number, pieces: readonly number[]): number {
  const whole = pieces.find((piece) => piece >= left);
  const part = pieces.filter((piece) => piece <= left).at(-1);
  return whole !== undefined && (part === undefined || whole <= 1.5 * left) ? whole : part!;
}
