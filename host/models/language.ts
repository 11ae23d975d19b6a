import type { Loss } from "../graph/loss";
import { crossEntropy } from "../graph/ops/crossentropy";
import type { KeyValues, PageLayout } from "../graph/ops/keyvalues";
import { linear } from "../graph/ops/linear";
import type { Parameter } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import type { Embedding } from "../nn/embedding";
import type { Linear } from "../nn/linear";
import type { DecoderModel } from "./decoding";
import { ids, type Inputs } from "./inputs";
import { Model } from "./model";

/** Targets with this id are not predicted. */
export const IGNORED = -1;

/** The inputs of a language model: tokens, and the token that follows each of them. */
const languageInputs = (vocabulary: number) => ({
  tokens: ids(["B", "T"], vocabulary),
  targets: ids(["B", "T"], vocabulary, IGNORED),
});
export type LanguageInputs = ReturnType<typeof languageInputs>;

/** What decoder-only families share: inputs, loss, and an output projection that may be the embedding's matrix. */
export abstract class LanguageModel extends Model<LanguageInputs> implements DecoderModel {
  abstract readonly embedding: Embedding;
  /** Null if the output projection shares the embedding's matrix. */
  abstract readonly output: Linear | null;
  abstract readonly pageLayout: PageLayout;

  readonly inputs: LanguageInputs;
  override readonly limits: { readonly T: number };
  readonly vocabulary: number;
  readonly context: number;

  constructor({ vocabulary, block }: { vocabulary: number; block: number }) {
    super();
    this.inputs = languageInputs(vocabulary);
    this.limits = { T: block };
    this.vocabulary = vocabulary;
    this.context = block;
  }

  /**
   * tokens i32 [B, T] → the last layer's normalised states, f32 [B, T, C].
   * @param cache  keys and values of the preceding tokens; those of `tokens` are added
   */
  abstract forward(tokens: Tensor<"i32">, cache?: KeyValues): Tensor;

  decode(tokens: Tensor<"i32">, cache: KeyValues): Tensor {
    return this.forward(tokens, cache);
  }

  logits(states: Tensor): Tensor {
    return linear(states, this.outputWeight);
  }

  /** Inputs `tokens` and `targets`, i32 [B, T]; targets of −1 are ignored. */
  override loss({ tokens, targets }: Inputs<LanguageInputs>): Loss {
    return crossEntropy(this.forward(tokens), this.outputWeight, targets, { ignored: IGNORED });
  }

  private get outputWeight(): Parameter {
    return (this.output ?? this.embedding).weight;
  }
}
