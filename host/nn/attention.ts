import { crossAttention, selfAttention } from "../graph/ops/attention";
import { type Initializer, xavierUniform } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";
import { Linear } from "./linear";

/** The shape of an attention layer, and how it starts. */
export interface AttentionConfig {
  width: number;
  heads: number;
  /** Probability of dropping an attention weight. */
  dropout?: number;
  bias?: boolean;
  initializer?: Initializer;
  /** For the projection that writes into the residual stream. */
  outputInitializer?: Initializer;
}

/** What of the keys a query may see. */
export interface Mask {
  causal?: boolean;
  /** i32 [B]: valid keys of each row. */
  lengths?: Tensor<"i32"> | null;
}

/** @throws RangeError when the width is not divisible by the heads */
export function checkHeads(width: number, heads: number): void {
  if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0) {
    throw new RangeError(`attention: the width must be divisible by the number of heads, got width=${width} heads=${heads}`);
  }
}

/**
 * Multi-head attention of a sequence to itself: Concat(head_1 … head_h)·W^O (Vaswani 2017, section 3.2.2).
 * Shapes: x [B, T, C] → [B, T, C]. The three input projections are one matrix [3C, C]: queries, keys, values.
 *
 * @example
 * [...new SelfAttention({ width: 64, heads: 4 }).parameters().keys()]; // ["queryKeyValue.weight", "output.weight"]
 */
export class SelfAttention extends Layer {
  readonly queryKeyValue: Linear;
  readonly output: Linear;

  constructor(private readonly config: AttentionConfig) {
    super();
    const { width, heads, bias = false, initializer = xavierUniform(width, width), outputInitializer = initializer } = config;
    checkHeads(width, heads);
    this.queryKeyValue = new Linear(width, 3 * width, { bias, initializer });
    this.output = new Linear(width, width, { bias, initializer: outputInitializer });
  }

  forward(x: Tensor, mask: Mask = {}): Tensor {
    return this.within(x, () => this.output.forward(selfAttention(this.queryKeyValue.forward(x), { ...this.config, ...mask })));
  }
}

/**
 * Multi-head attention from the decoder to the encoder's output (Vaswani 2017, section 3.2.3).
 * Shapes: x [B, Tq, C], memory [B, Tk, C] → [B, Tq, C].
 *
 * @example
 * [...new CrossAttention({ width: 64, heads: 4 }).parameters().keys()]; // ["query.weight", "keyValue.weight", "output.weight"]
 */
export class CrossAttention extends Layer {
  readonly query: Linear;
  readonly keyValue: Linear;
  readonly output: Linear;

  constructor(private readonly config: AttentionConfig) {
    super();
    const { width, heads, bias = false, initializer = xavierUniform(width, width), outputInitializer = initializer } = config;
    checkHeads(width, heads);
    this.query = new Linear(width, width, { bias, initializer });
    this.keyValue = new Linear(width, 2 * width, { bias, initializer });
    this.output = new Linear(width, width, { bias, initializer: outputInitializer });
  }

  forward(x: Tensor, memory: Tensor, lengths: Tensor<"i32"> | null = null): Tensor {
    return this.within(x, () => this.output.forward(crossAttention(this.query.forward(x), this.keyValue.forward(memory), { ...this.config, lengths })));
  }
}
