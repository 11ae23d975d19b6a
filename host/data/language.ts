import { checkPositive, filled, type TokenBatch } from "./batch";
import { Random, Stream } from "./random";

/** The shape of training batches. */
export interface LanguageModelOptions {
  /** Rows per batch, B. */
  batch: number;
  /** Tokens per row, T. */
  block: number;
  /** Default: 0. */
  seed?: number;
}

/**
 * Batches taken from random positions of one long text, as in nanoGPT: a row is tokens[o … o + T) and its targets are
 * tokens[o + 1 … o + T], with o uniform. The offsets depend only on (seed, step), so training can resume at any step.
 *
 * @throws RangeError if the text has fewer than `block` + 1 tokens
 *
 * @example
 * const batches = languageModelBatches(Int32Array.from([3, 1, 4, 1, 5, 9, 2, 6]), { batch: 2, block: 4 });
 * batches.batchAt(0).tokens.shape; // [2, 4]
 */
export function languageModelBatches(
  tokens: Int32Array,
  { batch, block, seed = 0 }: LanguageModelOptions,
): { batchAt(step: number): TokenBatch } {
  checkPositive("languageModelBatches: batch", batch);
  checkPositive("languageModelBatches: block", block);
  if (tokens.length <= block) {
    throw new RangeError(`languageModelBatches: a block of ${block} needs ${block + 1} tokens, got ${tokens.length}; use a smaller block`);
  }
  return {
    batchAt(step) {
      const random = new Random(seed, Stream.Offsets, step);
      const inputs = filled([batch, block]);
      const targets = filled([batch, block]);
      for (let b = 0; b < batch; b++) {
        const offset = random.below(tokens.length - block, b);
        inputs.data.set(tokens.subarray(offset, offset + block), b * block);
        targets.data.set(tokens.subarray(offset + 1, offset + 1 + block), b * block);
      }
      return { tokens: inputs, targets };
    },
  };
}

/** The shape of evaluation batches. */
export interface EvaluationOptions {
  /** Rows per batch, B. */
  batch: number;
  /** Tokens per row, T. */
  block: number;
  /** The target that the loss ignores; it fills the last batch after the end of the text. Default: −1. */
  ignored?: number;
}

/**
 * Batches that cover a text in order, block by block: every token but the first is predicted exactly once.
 * All batches have the same shape; after the end of the text, tokens are 0 and targets are `ignored`.
 *
 * @throws RangeError if the text has fewer than two tokens
 *
 * @example
 * const { batches, batchAt } = evaluationBatches(Int32Array.from([3, 1, 4, 1, 5, 9]), { batch: 1, block: 4 });
 * batches; // 2
 * batchAt(1).targets.data; // Int32Array [9, -1, -1, -1]
 */
export function evaluationBatches(
  tokens: Int32Array,
  { batch, block, ignored = -1 }: EvaluationOptions,
): { batches: number; batchAt(index: number): TokenBatch } {
  checkPositive("evaluationBatches: batch", batch);
  checkPositive("evaluationBatches: block", block);
  if (tokens.length < 2) throw new RangeError(`evaluationBatches: needs at least 2 tokens, got ${tokens.length}`);
  const predicted = tokens.length - 1;
  const batches = Math.ceil(predicted / (batch * block));
  const batchAt = (index: number): TokenBatch => {
    if (!Number.isInteger(index) || index < 0 || index >= batches) {
      throw new RangeError(`evaluationBatches: index must be in [0, ${batches}), got ${index}`);
    }
    const start = index * batch * block;
    const end = Math.min(start + batch * block, predicted);
    const inputs = filled([batch, block]);
    const targets = filled([batch, block], ignored);
    inputs.data.set(tokens.subarray(start, end));
    targets.data.set(tokens.subarray(start + 1, end + 1));
    return { tokens: inputs, targets };
  };
  return { batches, batchAt };
}
