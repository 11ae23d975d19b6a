import { Activation } from "../graph/ops/activation";
import { crossEntropy, type Loss } from "../graph/ops/crossentropy";
import { dropout } from "../graph/ops/dropout";
import { formatShape, normal, type Tensor } from "../graph/tensor";
import { EncoderLayer } from "../nn/blocks";
import { Embedding, LearnedPositions } from "../nn/embedding";
import { LayerNorm } from "../nn/layernorm";
import type { Batch } from "../batch";
import { checkIds, checkSizes, Model } from "./model";

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
  /** Probability of dropping an element, while training. */
  dropout?: number;
  /** Biases in linear layers and norms; nanoGPT has none. */
  bias?: boolean;
}

/** Model shapes by name; the vocabulary comes from the tokenizer. */
export const gptPresets = {
  /** nanoGPT's published recipe for a CPU. */
  "nanogpt-cpu": { block: 64, layers: 4, heads: 4, width: 128 },
  /** Radford et al. 2019. */
  gpt2: { block: 1024, layers: 12, heads: 12, width: 768, bias: true },
} as const satisfies Record<string, Omit<GPTConfig, "vocabulary">>;

/** Targets with this id are not predicted. */
export const GPT_IGNORED = -1;

/**
 * A decoder-only language model in nanoGPT's shape (Radford et al. 2019): learned positions, pre-norm, GELU, tied output.
 *
 * @example
 * const model = new GPT({ ...gptPresets["nanogpt-cpu"], vocabulary: 65 }).place(await Runtime.create(), { seed: 1 });
 */
export class GPT extends Model {
  readonly embedding: Embedding;
  readonly positions: LearnedPositions;
  readonly layers: EncoderLayer[];
  readonly norm: LayerNorm;

  constructor(readonly config: GPTConfig) {
    super();
    const { vocabulary, block, layers, heads, width, hidden = 4 * width, dropout = 0, bias = false } = config;
    checkSizes("GPT", { vocabulary, block, layers, heads, width, hidden });
    this.embedding = new Embedding(vocabulary, width, { initializer: normal(0.02) });
    this.positions = new LearnedPositions(block, width);
    this.layers = Array.from(
      { length: layers },
      () =>
        new EncoderLayer({
          width, heads, hidden, dropout, attentionDropout: dropout, norm: "pre", activation: Activation.Gelu, bias, attentionBias: bias,
          // Every layer adds twice to the residual stream: scaled so that its variance stays (Radford et al. 2019, section 2.3).
          initializer: normal(0.02), outputInitializer: normal(0.02 / Math.sqrt(2 * layers)),
        }),
    );
    this.norm = new LayerNorm(width, { bias });
  }

  /** tokens i32 [B, T] → the last layer's normalised states, f32 [B, T, C]. */
  forward(tokens: Tensor): Tensor {
    let x = this.positions.forward(this.embedding.forward(tokens));
    x = dropout(x, this.config.dropout ?? 0);
    for (const layer of this.layers) x = layer.forward(x, { causal: true });
    return this.norm.forward(x);
  }

  /** Inputs `tokens` and `targets`, i32 [B, T]; a target of −1 counts for nothing. */
  override loss(inputs: Record<string, Tensor>): Loss {
    return crossEntropy(this.forward(inputs.tokens!), this.embedding.weight, inputs.targets!, { ignored: GPT_IGNORED });
  }

  override check({ tokens, targets }: Batch): void {
    if (!tokens || !targets) throw new TypeError("GPT: a batch needs tokens and targets");
    if (tokens.shape.length !== 2) throw new RangeError(`GPT: expected tokens of shape [B,T], got ${formatShape(tokens.shape)}`);
    const [B = 0, T = 0] = tokens.shape;
    if (T > this.config.block) throw new RangeError(`GPT: the model takes at most ${this.config.block} tokens, got sequences of ${T}`);
    if (targets.data.length !== B * T) throw new RangeError(`GPT: expected ${B * T} targets, one for each token, got ${targets.data.length}`);
    checkIds("GPT tokens", tokens.data, this.config.vocabulary);
    checkIds("GPT targets", targets.data, this.config.vocabulary, GPT_IGNORED);
  }
}
