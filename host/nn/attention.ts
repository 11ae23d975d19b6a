import { checkConfig, count, type Fields, flag, optional, share } from "../fields";
import { crossAttention, selfAttention } from "../graph/ops/attention";
import type { LayerKeyValues } from "../graph/ops/keyvalues";
import { type Initializer, xavierUniform } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { initializer } from "./fields";
import { Layer } from "./layer";
import { Linear } from "./linear";
import type { RotaryPositions } from "./positions";

/** The configuration of an attention layer. */
export interface AttentionConfig {
  width: number;
  heads: number;
  /** Number of key and value heads; `heads` by default. */
  keyValueHeads?: number;
  /** Width of a head; width/heads by default. */
  headSize?: number;
  /** Probability of dropping an attention weight. */
  dropout?: number;
  bias?: boolean;
  initializer?: Initializer;
  /** The initializer of the projection that writes into the residual stream; `initializer` by default. */
  outputInitializer?: Initializer;
}

const fields: Fields<AttentionConfig> = {
  width: count, heads: count, keyValueHeads: optional(count), headSize: optional(count), dropout: optional(share), bias: optional(flag),
  initializer, outputInitializer: initializer,
};

/** Which keys each query attends to, and the positions of both. */
export interface Mask {
  causal?: boolean;
  /** Query i attends to keys from i − left to i + right. */
  window?: { left?: number; right?: number };
  /** i32 [B]: the number of valid keys of each row. */
  lengths?: Tensor<"i32"> | null;
  /** Rotates queries and keys by their positions. */
  rotary?: RotaryPositions;
  /** Keys and values of earlier tokens. This run's are appended, and queries attend to all of them. */
  cache?: LayerKeyValues;
}

/** The heads and their size. */
interface Heads {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
}

/** @throws RangeError if the width is not divisible by the number of heads, or that number by the number of key-value heads */
export function checkHeads({ width, heads, keyValueHeads = heads, headSize = width / heads }: AttentionConfig): Heads {
  if (!Number.isInteger(heads) || heads < 1 || !Number.isInteger(headSize) || headSize < 1) {
    throw new RangeError(`attention: the width must be divisible by the number of heads, got width=${width} heads=${heads}`);
  }
  if (!Number.isInteger(keyValueHeads) || keyValueHeads < 1 || heads % keyValueHeads !== 0) {
    const got = `got heads=${heads} keyValueHeads=${keyValueHeads}`;
    throw new RangeError(`attention: the heads must be divisible by the key-value heads, ${got}`);
  }
  return { heads, keyValueHeads, headSize };
}

/**
 * Multi-head self-attention: Concat(head_1 … head_h)·W^O (Vaswani 2017, section 3.2.2).
 * Shapes: x [B, T, C] → [B, T, C]. The input projections are one matrix [(heads + 2·keyValueHeads)·headSize, C]: queries, keys, values.
 *
 * @example
 * [...new SelfAttention({ width: 64, heads: 4 }).parameters().keys()]; // ["queryKeyValue.weight", "output.weight"]
 */
export class SelfAttention extends Layer {
  readonly queryKeyValue: Linear;
  readonly output: Linear;
  private readonly shape: Heads;
  private readonly dropout: number;

  /** @throws TypeError if a field is missing, unknown or of the wrong type; RangeError if a value is out of range */
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

/** What a decoder layer attends to: the encoder's output [B, Tk, C] with its valid lengths, or a cache of its keys and values. */
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
  private readonly shape: Heads;
  private readonly dropout: number;

  /** @throws as `SelfAttention` does */
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

  /** Stores the keys and values of the encoder's output so that `forward` can attend to them in later runs. */
  store(memory: Tensor, cache: LayerKeyValues): void {
    this.within(memory, () => {
      const kv = this.keyValue.forward(memory);
      cache.append({ tensor: kv, column: 0 }, { tensor: kv, column: kv.columns / 2 });
    });
  }
}
