import { checkConfig, count, depth, type Fields, oneOf, optional, share, whole } from "../fields";
import type { Loss } from "../graph/loss";
import { crossEntropy } from "../graph/ops/crossentropy";
import { dropout } from "../graph/ops/dropout";
import type { KeyValues, PageLayout } from "../graph/ops/keyvalues";
import { linear } from "../graph/ops/linear";
import type { Tensor } from "../graph/tensor";
import { type BlockConfig, Decoder, type DecoderSource, Encoder } from "../nn/blocks";
import { Embedding } from "../nn/embedding";
import { SinusoidalPositions } from "../nn/positions";
import type { EncoderDecoderModel } from "./decoding";
import type { Family } from "./family";
import { ids, type Inputs, lengths } from "./inputs";
import { Model } from "./model";

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
  /** Where layers normalise: "post", after each residual connection as in the paper (the default), or "pre", before each sublayer. */
  norm?: "pre" | "post";
  /** Dropout probability of embeddings and sublayer outputs during training. */
  dropout?: number;
  /** The same for attention weights and for the feed-forward layers' hidden activations. */
  attentionDropout?: number;
  hiddenDropout?: number;
  /** Label smoothing. */
  smoothing?: number;
  /** The padding id, which is ignored as a target; 0 by default. */
  padding?: number;
}

const fields: Fields<TransformerConfig> = {
  vocabulary: count, maxLength: count, encoderLayers: depth, decoderLayers: depth, heads: count, width: count, hidden: count,
  norm: optional(oneOf("pre", "post")), dropout: optional(share), attentionDropout: optional(share), hiddenDropout: optional(share),
  smoothing: optional(share), padding: optional(whole),
};

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
  base: {
    maxLength: 512, encoderLayers: 6, decoderLayers: 6, heads: 8, width: 512, hidden: 2048, norm: "post", dropout: 0.1, smoothing: 0.1,
  },
} as const satisfies Record<string, Omit<TransformerConfig, "vocabulary">>;

const translationInputs = (vocabulary: number, padding: number) => ({
  source: ids(["B", "S"], vocabulary),
  sourceLengths: lengths(["B"], "S"),
  target: ids(["B", "T"], vocabulary),
  targets: ids(["B", "T"], vocabulary, padding),
});
export type TranslationInputs = ReturnType<typeof translationInputs>;

/**
 * The encoder-decoder Transformer of Vaswani et al. 2017 (arXiv:1706.03762). One matrix serves as both embeddings and as the output
 * projection (section 3.4).
 *
 * @example
 * const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 64 }).place(await Runtime.create(), { seed: 1 });
 */
export class Transformer extends Model<TranslationInputs> implements EncoderDecoderModel {
  readonly embedding: Embedding;
  readonly positions: SinusoidalPositions;
  readonly encoder: Encoder;
  readonly decoder: Decoder;

  readonly inputs: TranslationInputs;
  override readonly limits: { readonly S: number; readonly T: number };
  readonly vocabulary: number;
  readonly context: number;
  readonly sourceContext: number;
  readonly pageLayout: PageLayout;
  readonly padding: number;

  /** @throws TypeError for a field that is missing, unknown or of the wrong type; RangeError for a value out of range */
  constructor(readonly config: TransformerConfig) {
    super();
    checkConfig("Transformer", config, fields);
    const { vocabulary, maxLength, width, heads, hidden, encoderLayers, decoderLayers } = config;
    const { norm = "post", dropout, attentionDropout, hiddenDropout, padding = 0 } = config;
    if (padding >= vocabulary) throw new RangeError(`Transformer: padding: expected an id in [0, ${vocabulary}), got ${padding}`);
    const block: BlockConfig = { width, heads, hidden, norm, dropout, attentionDropout, hiddenDropout };
    this.embedding = new Embedding(vocabulary, width, { scale: Math.sqrt(width) });
    this.positions = new SinusoidalPositions(maxLength, width);
    this.encoder = new Encoder(encoderLayers, block);
    this.decoder = new Decoder(decoderLayers, block);
    this.inputs = translationInputs(vocabulary, padding);
    this.limits = { S: maxLength, T: maxLength };
    this.vocabulary = vocabulary;
    this.context = this.sourceContext = maxLength;
    this.pageLayout = { layers: decoderLayers, keyValueHeads: heads, headSize: width / heads };
    this.padding = padding;
  }

  private embed(tokens: Tensor<"i32">, past?: Tensor<"i32">): Tensor {
    return dropout(this.positions.forward(this.embedding.forward(tokens), past), this.config.dropout ?? 0);
  }

  /** source i32 [B, S], lengths i32 [B] → the memory that the decoder attends to, f32 [B, S, C]. */
  encode(source: Tensor<"i32">, lengths: Tensor<"i32">): Tensor {
    return this.encoder.forward(this.embed(source), { lengths });
  }

  storeSource(source: Tensor<"i32">, lengths: Tensor<"i32">, cache: KeyValues): void {
    this.decoder.store(this.encode(source, lengths), cache);
  }

  /**
   * target i32 [B, T] → states that predict each next token, f32 [B, T, C].
   * @param source  the encoder's memory f32 [B, S, C] and its lengths i32 [B], or its cached keys and values
   */
  forward(target: Tensor<"i32">, source: DecoderSource, cache?: KeyValues): Tensor {
    return this.decoder.forward(this.embed(target, cache?.past), source, cache);
  }

  decode(target: Tensor<"i32">, cache: KeyValues, source: KeyValues): Tensor {
    return this.forward(target, source, cache);
  }

  logits(states: Tensor): Tensor {
    return linear(states, this.embedding.weight);
  }

  /** Inputs `source` [B, S], `sourceLengths` [B], `target` [B, T] and `targets` [B, T], i32; padding targets are ignored. */
  override loss({ source, sourceLengths, target, targets }: Inputs<TranslationInputs>): Loss {
    const states = this.forward(target, { memory: this.encode(source, sourceLengths), lengths: sourceLengths });
    return crossEntropy(states, this.embedding.weight, targets, { smoothing: this.config.smoothing, ignored: this.padding });
  }
}

export const transformer = {
  kind: "encoder-decoder", Model: Transformer, fields, presets: transformerPresets,
} as const satisfies Family<TransformerConfig, Transformer>;
