import { checkConfig, count, type Fields, flag, optional, share } from "../fields";
import { Activation } from "../graph/ops/activation";
import { dropout } from "../graph/ops/dropout";
import type { Initializer } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { activation, initializer } from "./fields";
import { Layer } from "./layer";
import { Linear } from "./linear";

/** The configuration of a feed-forward layer. */
export interface FeedForwardConfig {
  width: number;
  hidden: number;
  activation?: Activation;
  /** Probability of dropping a hidden activation. */
  dropout?: number;
  bias?: boolean;
  initializer?: Initializer;
  outputInitializer?: Initializer;
}

const fields: Fields<FeedForwardConfig> = {
  width: count, hidden: count, activation, dropout: optional(share), bias: optional(flag), initializer, outputInitializer: initializer,
};

/**
 * Two linear maps with a non-linearity between: FFN(x) = max(0, x·W1 + b1)·W2 + b2 (Vaswani 2017, section 3.3).
 * Shapes: x [..., width] → [..., hidden] → [..., width].
 *
 * @example
 * new FeedForward({ width: 64, hidden: 256 }).down.weight.shape; // [64, 256]
 */
export class FeedForward extends Layer {
  readonly up: Linear;
  readonly down: Linear;
  private readonly activation: Activation;
  private readonly dropout: number;

  /** @throws TypeError if a field is missing, unknown or of the wrong type; RangeError if a value is out of range */
  constructor(config: FeedForwardConfig) {
    super();
    checkConfig("FeedForward", config, fields);
    const { width, hidden, activation = Activation.Relu, dropout = 0, bias = true, initializer, outputInitializer = initializer } = config;
    this.up = new Linear(width, hidden, { bias, initializer });
    this.down = new Linear(hidden, width, { bias, initializer: outputInitializer });
    this.activation = activation;
    this.dropout = dropout;
  }

  forward(x: Tensor): Tensor {
    return this.within(x, () => this.down.forward(dropout(this.up.forward(x, this.activation), this.dropout)));
  }
}
