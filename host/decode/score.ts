import { callback, checkConfig, count, type FieldsByName, object, optional } from "../fields";
import { type DecoderModel, expectDecoder } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { AbortSignalLike } from "../webtypes";
import { expectIdList } from "./prompt";
import { Session } from "./session";

/** Options of `score`. */
export interface ScoreOptions {
  /**
   * A text longer than the model's context is read in windows, each of which advances by this many tokens; half of the context by default.
   * A smaller stride gives each token more context and takes longer.
   */
  stride?: number;
  signal?: AbortSignalLike;
  /** Called with the number of tokens scored. */
  onProgress?: (tokens: number) => void;
}

/** How likely a model finds a text. */
export interface Score {
  /** The log-probability of each token but the first, in nats. */
  readonly logProbabilities: Float32Array;
  /** exp of the mean of −log p. */
  readonly perplexity: number;
}

const fields: FieldsByName = { stride: optional(count), signal: optional(object), onProgress: optional(callback) };

/**
 * Computes the log-probability of each token of a text, given those before it.
 * @param model   a model that continues text, or a session to reuse across calls
 * @param tokens  at least two ids
 * @throws TypeError for a model that does not continue text; RangeError for too few tokens, ids out of range, and a stride beyond the
 *   context
 *
 * @example
 * const { logProbabilities, perplexity } = await score(model, tokenizer.encode("March 2019"));
 * logProbabilities.length; // 9
 */
export async function score<M extends DecoderModel>(
  model: M | Session<M>, tokens: ArrayLike<number>, options: ScoreOptions = {},
): Promise<Score> {
  const decoder = model instanceof Session ? model.model : model;
  expectDecoder("score", decoder, "decoder");
  checkConfig("score", options, fields);
  expectIdList("score", tokens);
  const ids = Array.from(tokens);
  if (ids.length < 2) throw new RangeError(`score: expected at least 2 tokens, got ${ids.length}: the first is not predicted`);
  checkIds("score", ids, decoder.vocabulary);
  const { context } = decoder;
  const { stride = Math.ceil(context / 2), signal, onProgress } = options;
  if (stride > context) throw new RangeError(`score: expected a stride of at most the context of ${context} tokens, got ${stride}`);

  const session = model instanceof Session ? model : new Session(decoder, { rows: 1 });
  try {
    const logProbabilities = new Float32Array(ids.length - 1);
    // A window holds up to `context` predicted tokens and the one before them. Those that an earlier window has scored are only read.
    for (let start = 0, scored = 1; scored < ids.length; start += stride) {
      const end = Math.min(ids.length, start + context + 1);
      const [row] = await session.open([{ tokens: ids.slice(start, scored) }], { signal });
      try {
        const scores = await session.score(row!, ids.slice(scored, end), { signal });
        logProbabilities.set(scores, scored - 1);
      } finally {
        session.close(row!);
      }
      scored = end;
      onProgress?.(scored);
    }
    const mean = logProbabilities.reduce((sum, value) => sum + value, 0) / logProbabilities.length;
    return { logProbabilities, perplexity: Math.exp(-mean) };
  } finally {
    if (session !== model) session.dispose();
  }
}
