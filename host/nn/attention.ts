import { checkConfig, count, type Fields, flag, optional, share } from "../fields";
import { crossAttention, selfAttention } from "../graph/ops/attention";
import type { LayerKeyValues } from "../graph/ops/keyvalues";
import { type Initializer, xavierUniform } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { initializer } from "./fields";
import { Layer } from "./layer";
import { Linear } from "./linear";
import type { RotaryPositions } from "./positions";

/** The shape of an attention layer, and how it starts. */
export interface AttentionConfig {
  width: number;
  heads: number;
  /** Heads of keys and values; as many as query heads by default. */
  keyValueHeads?: number;
  /** Width of a head; width/heads by default. */
  headSize?: number;
  /** Probability of dropping an attention weight. */
  dropout?: number;
  bias?: boolean;
  initializer?: Initializer;
  /** For the projection that writes into the residual stream. */
  outputInitializer?: Initializer;
}

const fields: Fields<AttentionConfig> = {
  width: count, heads: count, keyValueHeads: optional(count), headSize: optional(count), dropout: optional(share), bias: optional(flag),
  initializer, outputInitializer: initializer,
};

/** Which keys each query attends to, and where in its sequence it is. */
export interface Mask {
  causal?: boolean;
  /** Query i attends to the keys from i − left to i + right. */
  window?: { left?: number; right?: number };
  /** i32 [B]: valid keys of each row. */
  lengths?: Tensor<"i32"> | null;
  /** Turns queries and keys by their positions. */
  rotary?: RotaryPositions;
  /** Keys and values of earlier tokens: this run's are added, and queries attend to all of them. */
  cache?: LayerKeyValues;
}

/** @throws RangeError when the width is not divisible by the heads, or the heads by the key-value heads */
export function checkHeads({ width, heads, keyValueHeads = heads, headSize = width / heads }: AttentionConfig): { heads: number; keyValueHeads: number; headSize: number } {
  if (!Number.isInteger(heads) || heads < 1 || !Number.isInteger(headSize) || headSize < 1) {
    throw new RangeError(`attention: the width must be divisible by the number of heads, got width=${width} heads=${heads}`);
  }
  if (!Number.isInteger(keyValueHeads) || keyValueHeads < 1 || heads % keyValueHeads !== 0) {
    throw new RangeError(`attention: the heads must be divisible by the key-value heads, got heads=${heads} keyValueHeads=${keyValueHeads}`);
  }
  return { heads, keyValueHeads, headSize };
}

/**
 * Multi-head attention of a sequence to itself: Concat(head_1 … head_h)·W^O (Vaswani 2017, section 3.2.2).
 * Shapes: x [B, T, C] → [B, T, C]. The input projections are one matrix [(heads + 2·keyValueHeads)·headSize, C]: queries, keys, values.
 *
 * @example
 * [...new SelfAttention({ width: 64, heads: 4 }).parameters().keys()]; // ["queryKeyValue.weight", "output.weight"]
 */
export class SelfAttention extends Layer {
  readonly queryKeyValue: Linear;
  readonly output: Linear;
  private readonly shape: ReturnType<typeof checkHeads>;
  private readonly dropout: number;

  /** @throws TypeError for a field that is missing, unknown or of the wrong type; RangeError for a value out of range */
  constructor(config: AttentionConfig) {
    super();
    checkConfig("SelfAttention", config, fields);
    const { width, dropout = 0, bias = false, initializer = xavierUniform(width, width), outputInitializer = initializer } = config;
    const { heads, keyValueHeads, headSize } = (this.shape = checkHeads(config));
    this.queryKeyValue = new Linear(width, (heads + 2 * keyValueHeads) * headSize, { bias, initializer });
    this.output = new Linear(heads * headSize, width, { bias, initializer: outputInitializer });
    this.dropout = dropout;
  }

  forward(x: Tensor, { rotary, cache, ...mask }: Mask = {}): Tensor {
    return this.within(x, () => {
      let qkv = this.queryKeyValue.forward(x);
      if (rotary) qkv = rotary.forward(qkv, this.shape.heads + this.shape.keyValueHeads, cache?.all.past);
      return this.output.forward(selfAttention(qkv, { ...this.shape, ...mask, dropout: this.dropout }, cache));
    });
  }
}

/** What a decoder attends to: the encoder's output [B, Tk, C] with its valid lengths, or keys and values that were made of it earlier. */
export type Source = { readonly memory: Tensor; readonly lengths: Tensor<"i32"> | null } | LayerKeyValues;

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
  private readonly shape: ReturnType<typeof checkHeads>;
  private readonly dropout: number;

  /** @throws as `SelfAttention` */
  constructor(config: AttentionConfig) {
    super();
    checkConfig("CrossAttention", config, fields);
    const { width, dropout = 0, bias = false, initializer = xavierUniform(width, width), outputInitializer = initializer } = config;
    const { heads, keyValueHeads, headSize } = (this.shape = checkHeads(config));
    this.query = new Linear(width, heads * headSize, { bias, initializer });
    this.keyValue = new Linear(width, 2 * keyValueHeads * headSize, { bias, initializer });
    this.output = new Linear(heads * headSize, width, { bias, initializer: outputInitializer });
    this.dropout = dropout;
  }

  forward(x: Tensor, source: Source): Tensor {
    return this.within(x, () => {
      const options = { ...this.shape, dropout: this.dropout };
      const query = this.query.forward(x);
      if (!("memory" in source)) return this.output.forward(crossAttention(query, source, options));
      return this.output.forward(crossAttention(query, this.keyValue.forward(source.memory), { ...options, lengths: source.lengths }));
    });
  }

  /** Stores the keys and values of the encoder's output, for `forward` to attend to in later runs. */
  store(memory: Tensor, cache: LayerKeyValues): void {
    this.within(memory, () => {
      const kv = this.keyValue.forward(memory);
      cache.append({ tensor: kv, column: 0 }, { tensor: kv, column: kv.columns / 2 });
    });
  }
}
