import { checkConfig, type Fields, finite, optional } from "../fields";
import { addPositions, embedding } from "../graph/ops/embedding";
import { type Initializer, normal, Parameter } from "../graph/parameter";
import { expectAxes } from "../graph/shape";
import type { Tensor } from "../graph/tensor";
import { initializer } from "./fields";
import { Layer } from "./layer";

/** Options of an `Embedding`. */
export interface EmbeddingOptions {
  /** Factor applied to the vectors: √d_model in Vaswani 2017, section 3.4; 1 (the default) in GPT. */
  scale?: number;
  initializer?: Initializer;
}

const fields: Fields<EmbeddingOptions> = { scale: optional(finite), initializer };

/**
 * A vector for each token: ids [...] → scale · weight[ids], [..., width].
 * Shapes: weight [vocabulary, width]. Initialized from N(0, 1/width), so that vectors scaled by √width have unit variance.
 *
 * @example
 * new Embedding(65, 64, { scale: 8 }).weight.shape; // [65, 64]
 */
export class Embedding extends Layer {
  readonly weight: Parameter;
  private readonly scale: number;

  /** @throws RangeError unless `vocabulary` and `width` are positive integers; TypeError for unknown options */
  constructor(vocabulary: number, width: number, options: EmbeddingOptions = {}) {
    super();
    expectAxes("Embedding(vocabulary, width)", [vocabulary, width]);
    checkConfig("Embedding", options, fields);
    const { scale = 1, initializer = normal(1 / Math.sqrt(width)) } = options;
    this.weight = new Parameter([vocabulary, width], initializer, "all");
    this.scale = scale;
  }

  forward(ids: Tensor<"i32">): Tensor {
    return this.within(ids, () => embedding(ids, this.weight, this.scale));
  }
}

/**
 * A trained vector for each position, added to x [B, T, width]. Shapes: weight [length, width].
 *
 * @example
 * new LearnedPositions(1024, 64).weight.shape; // [1024, 64]
 */
export class LearnedPositions extends Layer {
  readonly weight: Parameter;

  constructor(length: number, width: number, initializer: Initializer = normal(0.02)) {
    super();
    expectAxes("LearnedPositions(length, width)", [length, width]);
    this.weight = new Parameter([length, width], initializer);
  }

  /** @param past  i32 [B]: the position of each row's first token; 0 by default */
  forward(x: Tensor, past?: Tensor<"i32">): Tensor {
    return this.within(x, () => addPositions(x, this.weight, past));
  }
}
