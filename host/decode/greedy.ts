import { YieldTimer } from "../core/yieldtoeventloop";
import { checkConfig, type FieldsByName, isList, object, optional, whole } from "../fields";
import { type EncoderDecoderModel, expectDecoder } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { Row } from "./row";
import { limits, limitsOf } from "./limits";
import { Session } from "./session";
import type { AbortSignalLike } from "../webtypes";

/** Options of `greedy`. */
export interface GreedyOptions {
  /** The id that starts a target. */
  start: number;
  /** The id that ends a target. */
  end: number;
  /** Maximum length of a target in tokens, including `end`, or of each target; the model's context by default. */
  maxTokens?: number | readonly number[];
  signal?: AbortSignalLike;
}

const fields: FieldsByName = { start: whole, end: whole, maxTokens: optional(limits), signal: optional(object) };

/** Maximum number of sources decoded at once, unless the caller passes a session. */
const ROWS = 64;

/**
 * Translates sources by greedy decoding: each step takes the most likely token. A target does not depend on the other sources.
 * @param model    a model, or a session to reuse across calls
 * @param sources  token ids; rows may differ in length
 * @returns the targets' ids, without `start` and `end`
 * @throws TypeError for a model that does not decode from a source, and for unknown options; RangeError for ids outside the vocabulary,
 *   sources that are empty or too long for the model, and options out of range
 *
 * @example
 * const [ids] = await greedy(model, [tokenizer.encode("the third of March 2019")], { start: 1, end: 2 });
 */
export async function greedy<M extends EncoderDecoderModel>(
  model: M | Session<M>, sources: readonly (readonly number[])[], options: GreedyOptions,
): Promise<number[][]> {
  const decoder = model instanceof Session ? model.model : model;
  expectDecoder("greedy", decoder, "encoder-decoder");
  checkConfig("greedy", options, fields);
  const { start, end, signal } = options;
  checkIds("greedy: start", [start], decoder.vocabulary);
  checkIds("greedy: end", [end], decoder.vocabulary);
  checkSources(sources, decoder);
  const maxTokens = limitsOf("greedy", options.maxTokens, sources);
  if (sources.length === 0) return [];

  const session = model instanceof Session ? model : new Session(decoder, { rows: Math.min(ROWS, sources.length) });
  try {
    const targets: number[][][] = []; // by group of rows
    for (let at = 0; at < sources.length; at += session.rows) {
      const rows = await session.open(sources.slice(at, at + session.rows).map((source) => ({ tokens: [start], source })), { signal });
      try {
        targets.push(await finish(session, rows, end, maxTokens.slice(at), signal));
      } finally {
        for (const row of rows) session.close(row);
      }
    }
    return targets.flat();
  } finally {
    if (session !== model) session.dispose();
  }
}

/** Steps until every row has ended. A row that ends leaves the batch. */
async function finish(
  session: Session, rows: readonly Row[], end: number, maxTokens: readonly number[], signal?: AbortSignalLike,
): Promise<number[][]> {
  const most = new Map(rows.map((row, i) => [row, Math.min(maxTokens[i]!, session.model.context)]));
  let active = rows.filter((row) => most.get(row)! > 0);
  const timer = new YieldTimer();
  while (active.length > 0) {
    signal?.throwIfAborted();
    await session.step(active);
    active = active.filter((row) => row.tokens.at(-1) !== end && row.generated < most.get(row)!);
    await timer.yield();
  }
  return rows.map(({ tokens }) => tokens.slice(1, tokens.at(-1) === end ? -1 : undefined));
}

function checkSources(sources: unknown, { vocabulary, sourceContext }: EncoderDecoderModel): void {
  if (!Array.isArray(sources) || !sources.every(isList)) {
    throw new TypeError("greedy: expected a list of sources, each a list of token ids: [[5, 6, 7]]");
  }
  sources.forEach((source, row) => {
    if (source.length < 1 || source.length > sourceContext) {
      throw new RangeError(`greedy: source ${row} has ${source.length} tokens; the model takes 1 to ${sourceContext}`);
    }
    checkIds(`greedy: source ${row}`, source as ArrayLike<number>, vocabulary);
  });
}
