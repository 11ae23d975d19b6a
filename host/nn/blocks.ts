import { checkConfig, count, depth as depthField, type Fields, flag, oneOf, optional, positive, share } from "../fields";
import type { Activation } from "../graph/ops/activation";
import { dropout } from "../graph/ops/dropout";
import { KeyValues, type LayerKeyValues } from "../graph/ops/keyvalues";
import type { Initializer } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { type AttentionConfig, CrossAttention, type Mask, SelfAttention, type Source } from "./attention";
import { FeedForward, type FeedForwardConfig } from "./feedforward";
import { activation, initializer } from "./fields";
import { Layer } from "./layer";
import { LayerNorm } from "./layernorm";

/** The configuration of an encoder or decoder layer. */
export interface BlockConfig {
  width: number;
  heads: number;
  hidden: number;
  /** Normalise before each sublayer (`pre`, Xiong et al. 2020) or after its residual (`post`, Vaswani 2017). */
  norm: "pre" | "post";
  activation?: Activation;
  /** Probability of dropping an element of a sublayer's output. */
  dropout?: number;
  /** Probability of dropping an attention weight. */
  attentionDropout?: number;
  /** Probability of dropping a hidden activation of the feed-forward layer. */
  hiddenDropout?: number;
  /** Whether attention projections have biases; in the paper they do not. */
  attentionBias?: boolean;
  /** Whether the feed-forward layer and the norms have biases. */
  bias?: boolean;
  /** ε of the norms; 1e-5 by default. */
  epsilon?: number;
  initializer?: Initializer;
  outputInitializer?: Initializer;
}

const fields: Fields<BlockConfig> = {
  width: count, heads: count, hidden: count, norm: oneOf("pre", "post"), activation,
  dropout: optional(share), attentionDropout: optional(share), hiddenDropout: optional(share),
  attentionBias: optional(flag), bias: optional(flag), epsilon: optional(positive), initializer, outputInitializer: initializer,
};

/** A residual connection around a sublayer: LayerNorm(x + Dropout(f(x))), or x + Dropout(f(LayerNorm(x))). */
function residual(x: Tensor, norm: LayerNorm, config: BlockConfig, sublayer: (x: Tensor) => Tensor): Tensor {
  const p = config.dropout ?? 0;
  if (config.norm === "pre") return dropout(sublayer(norm.forward(x)), p, x);
  return norm.forward(dropout(sublayer(x), p, x));
}

function attentionConfig(config: BlockConfig): AttentionConfig {
  const { width, heads, attentionDropout: dropout, attentionBias: bias, initializer, outputInitializer } = config;
  return { width, heads, dropout, bias, initializer, outputInitializer };
}

function feedForwardConfig(config: BlockConfig): FeedForwardConfig {
  const { width, hidden, activation, hiddenDropout: dropout, bias, initializer, outputInitializer } = config;
  return { width, hidden, activation, dropout, bias, initializer, outputInitializer };
}

const createNorm = ({ width, bias, epsilon }: BlockConfig): LayerNorm => new LayerNorm(width, { bias, epsilon });

/**
 * Self-attention and a feed-forward layer, each with a residual connection (Vaswani 2017, section 3.1). x [B, T, C] → [B, T, C].
 *
 * @example
 * const layer = new EncoderLayer({ width: 64, heads: 4, hidden: 256, norm: "pre" });
 * [...layer.parameters().keys()].slice(0, 3); // ["norm1.weight", "norm1.bias", "attention.queryKeyValue.weight"]
 */
export class EncoderLayer extends Layer {
  readonly norm1: LayerNorm;
  readonly attention: SelfAttention;
  readonly norm2: LayerNorm;
  readonly feedForward: FeedForward;

  /** @throws TypeError if a field is missing, unknown or of the wrong type; RangeError if a value is out of range */
  constructor(private readonly config: BlockConfig) {
    super();
    checkConfig("EncoderLayer", config, fields);
    this.norm1 = createNorm(config);
    this.attention = new SelfAttention(attentionConfig(config));
    this.norm2 = createNorm(config);
    this.feedForward = new FeedForward(feedForwardConfig(config));
  }

  forward(x: Tensor, mask: Mask = {}): Tensor {
    return this.within(x, () => {
      x = residual(x, this.norm1, this.config, (x) => this.attention.forward(x, mask));
      return residual(x, this.norm2, this.config, (x) => this.feedForward.forward(x));
    });
  }
}

/**
 * Causal self-attention, attention to the encoder's output, and a feed-forward layer (Vaswani 2017, section 3.1).
 *
 * @example
 * const layer = new DecoderLayer({ width: 64, heads: 4, hidden: 256, norm: "post" });
 * layer.crossAttention.query.weight.shape; // [64, 64]
 */
export class DecoderLayer extends Layer {
  readonly norm1: LayerNorm;
  readonly selfAttention: SelfAttention;
  readonly norm2: LayerNorm;
  readonly crossAttention: CrossAttention;
  readonly norm3: LayerNorm;
  readonly feedForward: FeedForward;

  /** @throws as `EncoderLayer` does */
  constructor(private readonly config: BlockConfig) {
    super();
    checkConfig("DecoderLayer", config, fields);
    this.norm1 = createNorm(config);
    this.selfAttention = new SelfAttention(attentionConfig(config));
    this.norm2 = createNorm(config);
    this.crossAttention = new CrossAttention(attentionConfig(config));
    this.norm3 = createNorm(config);
    this.feedForward = new FeedForward(feedForwardConfig(config));
  }

  forward(x: Tensor, source: Source, cache?: LayerKeyValues): Tensor {
    return this.within(x, () => {
      x = residual(x, this.norm1, this.config, (x) => this.selfAttention.forward(x, { causal: true, cache }));
      x = residual(x, this.norm2, this.config, (x) => this.crossAttention.forward(x, source));
      return residual(x, this.norm3, this.config, (x) => this.feedForward.forward(x));
    });
  }
}

/** A sequence of layers; a pre-norm stack ends in an additional norm. */
abstract class Stack<L extends Layer> extends Layer {
  readonly norm: LayerNorm | null;

  constructor(
    readonly layers: L[],
    config: BlockConfig,
  ) {
    super();
    this.norm = config.norm === "pre" ? createNorm(config) : null;
  }

  protected finish(x: Tensor): Tensor {
    return this.norm ? this.norm.forward(x) : x;
  }
}

/** Checks a stack's configuration and creates its layers. */
function createLayers<L>(stack: string, depth: number, config: BlockConfig, create: () => L): L[] {
  checkConfig(stack, { depth }, { depth: depthField });
  checkConfig(stack, config, fields);
  return Array.from({ length: depth }, create);
}

/**
 * A stack of encoder layers. x [B, T, C] → [B, T, C].
 *
 * @example
 * new Encoder(6, { width: 64, heads: 4, hidden: 256, norm: "pre" }).layers.length; // 6
 */
export class Encoder extends Stack<EncoderLayer> {
  /** @throws as `EncoderLayer` does, and if the depth is not an integer from 1 to 1000 */
  constructor(depth: number, config: BlockConfig) {
    super(createLayers("Encoder", depth, config, () => new EncoderLayer(config)), config);
  }

  forward(x: Tensor, mask: Mask = {}): Tensor {
    return this.finish(this.layers.reduce((x, layer) => layer.forward(x, mask), x));
  }
}

/** What a stack of decoder layers attends to. */
export type DecoderSource = { readonly memory: Tensor; readonly lengths: Tensor<"i32"> | null } | KeyValues;

/**
 * A stack of decoder layers. x [B, T, C], source: the encoder's output [B, S, C] and its lengths i32 [B] → [B, T, C].
 *
 * @example
 * new Decoder(6, { width: 64, heads: 4, hidden: 256, norm: "post" }).layers.length; // 6
 */
export class Decoder extends Stack<DecoderLayer> {
  /** @throws as `Encoder` does */
  constructor(depth: number, config: BlockConfig) {
    super(createLayers("Decoder", depth, config, () => new DecoderLayer(config)), config);
  }

  /**
   * @param source  the encoder's output, or a cache that `store` filled with its keys and values
   * @param cache   keys and values of earlier target tokens
   */
  forward(x: Tensor, source: DecoderSource, cache?: KeyValues): Tensor {
    this.layers.forEach((layer, i) => {
      x = layer.forward(x, source instanceof KeyValues ? source.layer(i) : source, cache?.layer(i));
    });
    return this.finish(x);
  }

  /** Stores the keys and values of the encoder's output for every layer. */
  store(memory: Tensor, cache: KeyValues): void {
    this.layers.forEach((layer, i) => layer.crossAttention.store(memory, cache.layer(i)));
  }
}
