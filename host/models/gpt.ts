import { checkConfig, count, depth, type Fields, flag, optional, positive, share } from "../fields";
import { dropout } from "../graph/ops/dropout";
import type { KeyValues, PageLayout } from "../graph/ops/keyvalues";
import { normal } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { EncoderLayer } from "../nn/blocks";
import { Embedding, LearnedPositions } from "../nn/embedding";
import { LayerNorm } from "../nn/layernorm";
import { Linear } from "../nn/linear";
import { type ActivationName, activationName, activations } from "./activations";
import type { Family } from "./family";
import { LanguageModel } from "./language";

/** The shape of a GPT. */
export interface GPTConfig {
  /** Number of token ids. */
  vocabulary: number;
  /** Longest sequence, in tokens. */
  block: number;
  layers: number;
  heads: number;
  width: number;
  /** Width of the feed-forward layers; 4 × width by default. */
  hidden?: number;
  /** Dropout probability during training; 0 by default. */
  dropout?: number;
  /** Biases in linear layers and norms; false by default, as in nanoGPT. */
  bias?: boolean;
  /** Activation of the feed-forward layers; "gelu" by default. GPT-2 uses "geluTanh". */
  activation?: ActivationName;
  /** Whether the output projection shares the embedding's matrix; true by default. */
  tied?: boolean;
  /** ε of the norms; 1e-5 by default. */
  epsilon?: number;
}

const fields: Fields<GPTConfig> = {
  vocabulary: count, block: count, layers: depth, heads: count, width: count, hidden: optional(count), dropout: optional(share),
  bias: optional(flag), activation: optional(activationName), tied: optional(flag), epsilon: optional(positive),
};

/** Model shapes by name; the vocabulary comes from the tokenizer. */
export const gptPresets = {
  /** nanoGPT's published CPU recipe. */
  "nanogpt-cpu": { block: 64, layers: 4, heads: 4, width: 128 },
  /** Radford et al. 2019. */
  gpt2: { block: 1024, layers: 12, heads: 12, width: 768, bias: true, activation: "geluTanh" },
} as const satisfies Record<string, Omit<GPTConfig, "vocabulary">>;

/**
 * A decoder-only language model (Radford et al. 2019) with learned positions and pre-norm. The defaults follow nanoGPT; the preset `gpt2`
 * is GPT-2.
 *
 * @example
 * const model = new GPT({ ...gptPresets["nanogpt-cpu"], vocabulary: 65 }).place(await Runtime.create(), { seed: 1 });
 */
export class GPT extends LanguageModel {
  readonly embedding: Embedding;
  readonly positions: LearnedPositions;
  readonly layers: EncoderLayer[];
  readonly norm: LayerNorm;
  /** Null if the output projection shares the embedding's matrix. */
  readonly output: Linear | null;
  readonly pageLayout: PageLayout;

  /** @throws TypeError for a field that is missing, unknown or of the wrong type; RangeError for a value out of range */
  constructor(readonly config: GPTConfig) {
    checkConfig("GPT", config, fields);
    super(config);
    const { vocabulary, block, layers, heads, width, epsilon } = config;
    const { hidden = 4 * width, dropout = 0, bias = false, activation = "gelu", tied = true } = config;
    this.embedding = new Embedding(vocabulary, width, { initializer: normal(0.02) });
    this.positions = new LearnedPositions(block, width);
    this.layers = Array.from(
      { length: layers },
      () =>
        new EncoderLayer({
          width, heads, hidden, dropout, attentionDropout: dropout, norm: "pre", activation: activations[activation], bias,
          attentionBias: bias, epsilon,
          // Each layer adds to the residual stream twice; the scale keeps its variance constant (Radford et al. 2019, section 2.3).
          initializer: normal(0.02), outputInitializer: normal(0.02 / Math.sqrt(2 * layers)),
        }),
    );
    this.norm = new LayerNorm(width, { bias, epsilon });
    this.output = tied ? null : new Linear(width, vocabulary, { bias: false, initializer: normal(0.02) });
    this.pageLayout = { layers, keyValueHeads: heads, headSize: width / heads };
  }

  override forward(tokens: Tensor<"i32">, cache?: KeyValues): Tensor {
    let x = this.positions.forward(this.embedding.forward(tokens), cache?.past);
    x = dropout(x, this.config.dropout ?? 0);
    this.layers.forEach((layer, i) => (x = layer.forward(x, { causal: true, cache: cache?.layer(i) })));
    return this.norm.forward(x);
  }
}

export const gpt = { kind: "decoder", Model: GPT, fields, presets: gptPresets } as const satisfies Family<GPTConfig, GPT>;
