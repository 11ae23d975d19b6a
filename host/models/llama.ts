import { checkConfig, count, depth, type Fields, flag, optional, positive, share } from "../fields";
import { silu } from "../graph/ops/activation";
import { dropout } from "../graph/ops/dropout";
import { multiply } from "../graph/ops/elementwise";
import type { KeyValues, LayerKeyValues, PageLayout } from "../graph/ops/keyvalues";
import { type Initializer, normal } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { checkHeads, SelfAttention } from "../nn/attention";
import { Embedding } from "../nn/embedding";
import { Layer } from "../nn/layer";
import { Linear } from "../nn/linear";
import { RotaryPositions } from "../nn/positions";
import { RMSNorm } from "../nn/rmsnorm";
import type { Family } from "./family";
import { LanguageModel } from "./language";

/** The shape of a Llama-like model. */
export interface LlamaConfig {
  /** Number of token ids. */
  vocabulary: number;
  /** Longest sequence, in tokens. */
  block: number;
  layers: number;
  heads: number;
  width: number;
  /** Width of the feed-forward layers. */
  hidden: number;
  /** Number of key-value heads, each shared by heads/keyValueHeads query heads; equal to `heads` by default. */
  keyValueHeads?: number;
  /** Width of a head; width/heads by default. */
  headSize?: number;
  /** Base of the rotary frequencies; 10,000 by default. */
  rotaryBase?: number;
  /** ε of the norms; 1e-5 by default. */
  epsilon?: number;
  /** Whether the output projection shares the embedding's matrix; false by default. */
  tied?: boolean;
  /** Dropout probability of embeddings, sublayer outputs and attention weights during training; 0 by default. */
  dropout?: number;
}

const fields: Fields<LlamaConfig> = {
  vocabulary: count, block: count, layers: depth, heads: count, width: count, hidden: count, keyValueHeads: optional(count),
  headSize: optional(count), rotaryBase: optional(positive), epsilon: optional(positive), tied: optional(flag), dropout: optional(share),
};

/** Model shapes by name; the vocabulary comes from the tokenizer. */
export const llamaPresets = {
  /** The size of nanoGPT's CPU recipe. */
  "llama-cpu": { block: 64, layers: 4, heads: 4, keyValueHeads: 2, width: 128, hidden: 344, tied: true },
  /** SmolLM-135M: 134.5 million parameters with its vocabulary of 49,152. */
  "llama-135m": { block: 2048, layers: 30, heads: 9, keyValueHeads: 3, width: 576, hidden: 1536, tied: true },
} as const satisfies Record<string, Omit<LlamaConfig, "vocabulary">>;

/**
 * A gated feed-forward layer, SwiGLU (Shazeer 2020, arXiv:2002.05202): down(silu(gate(x)) · up(x)).
 * Shapes: x [..., width] → [..., hidden] → [..., width].
 *
 * @example
 * [...new GatedFeedForward(64, 172).parameters().keys()]; // ["gate.weight", "up.weight", "down.weight"]
 */
export class GatedFeedForward extends Layer {
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;

  constructor(width: number, hidden: number, initializers: { initializer?: Initializer; outputInitializer?: Initializer } = {}) {
    super();
    const { initializer, outputInitializer = initializer } = initializers;
    this.gate = new Linear(width, hidden, { bias: false, initializer });
    this.up = new Linear(width, hidden, { bias: false, initializer });
    this.down = new Linear(hidden, width, { bias: false, initializer: outputInitializer });
  }

  forward(x: Tensor): Tensor {
    return this.within(x, () => this.down.forward(multiply(silu(this.gate.forward(x)), this.up.forward(x))));
  }
}

class LlamaLayer extends Layer {
  readonly norm1: RMSNorm;
  readonly attention: SelfAttention;
  readonly norm2: RMSNorm;
  readonly feedForward: GatedFeedForward;
  private readonly dropout: number;

  constructor({ width, heads, keyValueHeads, headSize, hidden, epsilon, layers, dropout = 0 }: LlamaConfig) {
    super();
    const initializers = { initializer: normal(0.02), outputInitializer: normal(0.02 / Math.sqrt(2 * layers)) };
    this.norm1 = new RMSNorm(width, { epsilon });
    this.attention = new SelfAttention({ width, heads, keyValueHeads, headSize, dropout, ...initializers });
    this.norm2 = new RMSNorm(width, { epsilon });
    this.feedForward = new GatedFeedForward(width, hidden, initializers);
    this.dropout = dropout;
  }

  forward(x: Tensor, rotary: RotaryPositions, cache?: LayerKeyValues): Tensor {
    return this.within(x, () => {
      x = dropout(this.attention.forward(this.norm1.forward(x), { causal: true, rotary, cache }), this.dropout, x);
      return dropout(this.feedForward.forward(this.norm2.forward(x)), this.dropout, x);
    });
  }
}

/**
 * A decoder-only language model in the style of Llama (Touvron et al. 2023, arXiv:2302.13971): RMSNorm before each sublayer, rotary
 * positions, SwiGLU, no biases. With fewer `keyValueHeads` than `heads` it uses grouped-query attention (Ainslie et al. 2023,
 * arXiv:2305.13245).
 *
 * @example
 * const model = new Llama({ ...llamaPresets["llama-cpu"], vocabulary: 65 }).place(await Runtime.create(), { seed: 1 });
 */
export class Llama extends LanguageModel {
  readonly embedding: Embedding;
  readonly rotary: RotaryPositions;
  readonly layers: LlamaLayer[];
  readonly norm: RMSNorm;
  /** Null if the output projection shares the embedding's matrix. */
  readonly output: Linear | null;
  readonly pageLayout: PageLayout;

  /** @throws TypeError for a field that is missing, unknown or of the wrong type; RangeError for a value out of range */
  constructor(readonly config: LlamaConfig) {
    checkConfig("Llama", config, fields);
    super(config);
    const { vocabulary, block, layers, width, epsilon, rotaryBase, tied = false } = config;
    const { keyValueHeads, headSize } = checkHeads(config);
    this.embedding = new Embedding(vocabulary, width, { initializer: normal(0.02) });
    this.rotary = new RotaryPositions(block, headSize, rotaryBase);
    this.layers = Array.from({ length: layers }, () => new LlamaLayer(config));
    this.norm = new RMSNorm(width, { epsilon });
    this.output = tied ? null : new Linear(width, vocabulary, { bias: false, initializer: normal(0.02) });
    this.pageLayout = { layers, keyValueHeads, headSize };
  }

  override forward(tokens: Tensor<"i32">, cache?: KeyValues): Tensor {
    let x = dropout(this.embedding.forward(tokens), this.config.dropout ?? 0);
    this.layers.forEach((layer, i) => (x = layer.forward(x, this.rotary, cache?.layer(i))));
    return this.norm.forward(x);
  }
}

export const llama = { kind: "decoder", Model: Llama, fields, presets: llamaPresets } as const satisfies Family<LlamaConfig, Llama>;
