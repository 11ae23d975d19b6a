import { checkConfig, count, type Fields, optional } from "../fields";
import { PAGE_TOKENS, pageElements } from "../graph/ops/keyvalues";
import { type DecoderModel, expectDecoder, hasSource } from "../models/decoding";

/** Options of `decodingMemory`. */
export interface DecodingMemoryOptions {
  /** Number of rows decoded at once; 1 by default. */
  rows?: number;
  /** Tokens of each row, and of its source; the model's context by default. */
  tokens?: number;
  sourceTokens?: number;
}

/** What decoding needs, in bytes. */
export interface DecodingMemory {
  /** The weights; 0 if the model has not been placed. */
  readonly weights: number;
  /** Keys and values of one row. */
  readonly perRow: number;
  /** Keys and values of all rows. */
  readonly rows: number;
  readonly total: number;
}

const fields: Fields<DecodingMemoryOptions> = { rows: optional(count), tokens: optional(count), sourceTokens: optional(count) };

/**
 * Computes what a session will need, before anything is allocated. Rows with a common prefix need less, since they share its pages; the
 * intermediate results of a step come on top.
 * @throws TypeError for a model that cannot decode; RangeError for options out of range
 *
 * @example
 * decodingMemory(new GPT({ vocabulary: 65, block: 256, layers: 4, heads: 4, width: 128 }), { rows: 8 }).perRow; // 1048576
 */
export function decodingMemory(model: DecoderModel, options: DecodingMemoryOptions = {}): DecodingMemory {
  expectDecoder("decodingMemory", model);
  checkConfig("decodingMemory", options, fields);
  const { rows = 1, tokens = model.context, sourceTokens = hasSource(model) ? model.sourceContext : 0 } = options;
  if (tokens > model.context) throw new RangeError(`decodingMemory: the model takes at most ${model.context} tokens, got ${tokens}`);
  const pages = Math.ceil(tokens / PAGE_TOKENS) + (hasSource(model) ? Math.ceil(sourceTokens / PAGE_TOKENS) : 0);
  const perRow = pages * 4 * pageElements(model.pageLayout);
  const weights = model.isPlaced ? model.weights.block.bytes : 0;
  return { weights, perRow, rows: rows * perRow, total: weights + rows * perRow };
}
