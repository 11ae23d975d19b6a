import { crossEntropy, type Loss } from "../graph/ops/crossentropy";
import { dropout } from "../graph/ops/dropout";
import { formatShape, type Tensor } from "../graph/tensor";
import { type BlockConfig, Decoder, Encoder } from "../nn/blocks";
import { Embedding } from "../nn/embedding";
import { SinusoidalPositions } from "../nn/positions";
import type { Batch } from "../batch";
import { checkIds, checkSizes, Model } from "./model";

/** The shape of a Transformer. */
export interface TransformerConfig {
  /** Number of token ids, shared by source and target. */
  vocabulary: number;
  /** Longest source or target, in tokens. */
  maxLength: number;
  /** Layers of the encoder and of the decoder. */
  encoderLayers: number;
  decoderLayers: number;
  heads: number;
  /** d_model */
  width: number;
  /** d_ff */
  hidden: number;
  /** Where layers normalise: after the residual as in the paper, or before each sublayer. */
  norm?: "pre" | "post";
  /** Probability of dropping an element of embeddings and sublayers' outputs, while training. */
  dropout?: number;
  /** The same for attention weights and for the feed-forward layers' hidden activations. */
  attentionDropout?: number;
  hiddenDropout?: number;
  /** Label smoothing. */
  smoothing?: number;
}

/** Model shapes by name; the vocabulary comes from the tokenizer. */
export const transformerPresets = {
  /** For small tasks and tests. */
  tiny: { maxLength: 64, encoderLayers: 2, decoderLayers: 1, heads: 4, width: 64, hidden: 128, norm: "pre", dropout: 0, smoothing: 0 },
  /** For a small corpus. */
  small: {
    maxLength: 256, encoderLayers: 3, decoderLayers: 3, heads: 4, width: 192, hidden: 384, norm: "pre",
    dropout: 0.1, attentionDropout: 0.1, hiddenDropout: 0.1, smoothing: 0.1,
  },
  /** Vaswani 2017, table 3, base. */
  base: { maxLength: 512, encoderLayers: 6, decoderLayers: 6, heads: 8, width: 512, hidden: 2048, norm: "post", dropout: 0.1, smoothing: 0.1 },
} as const satisfies Record<string, Omit<TransformerConfig, "vocabulary">>;

/** The padding id; as a target it counts for nothing. */
export const PADDING = 0;

/**
 * The Transformer of Vaswani et al. 2017 (arXiv:1706.03762): encoder, decoder, and one matrix for both embeddings and the output
 * (section 3.4).
 *
 * @example
 * const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 64 }).place(await Runtime.create(), { seed: 1 });
 */
export class Transformer extends Model {
  readonly embedding: Embedding;
  readonly positions = new SinusoidalPositions();
  readonly encoder: Encoder;
  readonly decoder: Decoder;

  constructor(readonly config: TransformerConfig) {
    super();
    const { vocabulary, maxLength, width, hidden, heads, encoderLayers, decoderLayers, norm = "post" } = config;
    checkSizes("Transformer", { vocabulary, maxLength, encoderLayers, decoderLayers, heads, width, hidden });
    if (norm !== "pre" && norm !== "post") throw new TypeError(`Transformer: norm: expected "pre" or "post", got ${JSON.stringify(norm)}`);
    const block: BlockConfig = { ...config, norm };
    this.embedding = new Embedding(vocabulary, width, { scale: Math.sqrt(width) });
    this.encoder = new Encoder(encoderLayers, block);
    this.decoder = new Decoder(decoderLayers, block);
  }

  private embed(ids: Tensor): Tensor {
    return dropout(this.positions.forward(this.embedding.forward(ids)), this.config.dropout ?? 0);
  }

  /** source i32 [B, S], lengths i32 [B] → the memory that the decoder attends to, f32 [B, S, C]. */
  encode(source: Tensor, lengths: Tensor): Tensor {
    return this.encoder.forward(this.embed(source), { lengths });
  }

  /** target i32 [B, T], memory f32 [B, S, C], lengths i32 [B] → states that predict each next token, f32 [B, T, C]. */
  decode(target: Tensor, memory: Tensor, lengths: Tensor): Tensor {
    return this.decoder.forward(this.embed(target), memory, lengths);
  }

  /** Inputs `source` [B, S], `sourceLengths` [B], `target` [B, T] and `targets` [B, T], i32; a target of 0 (padding) counts for nothing. */
  override loss(inputs: Record<string, Tensor>): Loss {
    const lengths = inputs.sourceLengths!;
    const states = this.decode(inputs.target!, this.encode(inputs.source!, lengths), lengths);
    return crossEntropy(states, this.embedding.weight, inputs.targets!, { smoothing: this.config.smoothing, ignored: PADDING });
  }

  override check({ source, sourceLengths, target, targets }: Batch): void {
    if (!source || !sourceLengths || !target || !targets) throw new TypeError("Transformer: a batch needs source, sourceLengths, target and targets");
    const { vocabulary, maxLength } = this.config;
    const [B = 0, S = 0] = source.shape;
    const [, T = 0] = target.shape;
    if (source.shape.length !== 2 || target.shape.length !== 2 || target.shape[0] !== B) {
      throw new RangeError(`Transformer: expected source [B,S] and target [B,T], got ${formatShape(source.shape)} and ${formatShape(target.shape)}`);
    }
    if (Math.max(S, T) > maxLength) throw new RangeError(`Transformer: the model takes at most ${maxLength} tokens, got ${Math.max(S, T)}`);
    if (sourceLengths.data.length !== B || sourceLengths.data.some((length) => length < 0 || length > S)) {
      throw new RangeError(`Transformer: expected ${B} source lengths in [0, ${S}], got [${sourceLengths.data.join(",")}]`);
    }
    if (targets.data.length !== B * T) throw new RangeError(`Transformer: expected ${B * T} targets, one for each target token, got ${targets.data.length}`);
    checkIds("Transformer source", source.data, vocabulary);
    checkIds("Transformer target", target.data, vocabulary);
    checkIds("Transformer targets", targets.data, vocabulary);
  }
}
