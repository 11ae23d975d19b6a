import { yieldToEventLoop } from "../core/yieldtoeventloop";
import { HeedError } from "../errors";
import { ProgramCache } from "../graph/cache";
import type { BatchOf, InputSpecs } from "../models/inputs";
import type { Model } from "../models/model";
import type { WeightArray } from "../nn/weights";
import { Cells } from "./cells";
import { lossProgram, writeBatch } from "./lossprogram";
import type { AbortSignalLike } from "../webtypes";

/** The result of `evaluate`. */
export interface Evaluation {
  /** Mean loss per token, in nats. */
  loss: number;
  /** Number of tokens that counted. */
  tokens: number;
}

/** Batch shapes whose programs are kept during one evaluation. */
const PROGRAMS = 64;

/**
 * Computes the mean loss over batches, without dropout.
 * @param signal  aborts between batches; the promise rejects with its reason
 * @throws TypeError or RangeError if a batch does not fit the model, HeedError `data` if no target counts
 *
 * @example
 * const { loss } = await evaluate(model, batches);
 * console.log(`perplexity ${Math.exp(loss)}`);
 */
export async function evaluate<S extends InputSpecs>(
  model: Model<S>, batches: Iterable<BatchOf<S>>, signal?: AbortSignalLike,
): Promise<Evaluation> {
  const { runtime } = model.weights;
  const cells = new Cells(runtime, "evaluation");
  const programs = new ProgramCache(runtime, PROGRAMS);
  let [total, count] = [0, 0];
  try {
    for (const batch of batches) {
      signal?.throwIfAborted();
      model.check(batch);
      const compiled = lossProgram(model, programs, batch, cells, false);
      writeBatch(compiled, batch);
      compiled.program.run();
      const { sum, tokens } = cells.takeLoss();
      total += sum;
      count += tokens;
      await yieldToEventLoop();
    }
    if (count === 0) throw new HeedError("data", "evaluate: expected at least one target to predict, got none; are the batches empty?");
    return { loss: total / count, tokens: count };
  } finally {
    programs.dispose();
    cells.dispose();
  }
}

/** A batch's mean loss and its gradient with respect to each trainable parameter. */
export interface Gradients extends Evaluation {
  readonly gradients: Map<string, WeightArray>;
}

/**
 * Computes the loss of one batch and its gradients, with dropout drawn from `seed`, for inspection or for a custom optimizer.
 * The weights do not change.
 * @throws TypeError or RangeError if the batch does not fit the model, HeedError `data` if no target counts
 *
 * @example
 * const { gradients } = computeGradients(model, batches[0]!);
 * gradients.get("embedding.weight")!.shape; // the shape of the parameter
 */
export function computeGradients<S extends InputSpecs>(
  model: Model<S>, batch: BatchOf<S>, { seed = 0 }: { seed?: number } = {},
): Gradients {
  const { weights } = model;
  model.check(batch);
  const cells = new Cells(weights.runtime, "gradients");
  const block = weights.gradientBlock();
  const programs = new ProgramCache(weights.runtime, 1);
  try {
    const compiled = lossProgram(model, programs, batch, cells, true);
    writeBatch(compiled, batch);
    compiled.program.seed(seed, 0);
    compiled.program.run();
    const { sum, tokens } = cells.takeLoss();
    if (tokens === 0) throw new HeedError("data", "computeGradients: expected at least one target to predict, got none");
    const gradients = weights.read(block);
    for (const { data } of gradients.values()) data.forEach((value, i) => (data[i] = value / tokens));
    return { loss: sum / tokens, tokens, gradients };
  } finally {
    block.f32().fill(0); // a trainer accumulates into this block and expects zeros
    programs.dispose();
    cells.dispose();
  }
}
