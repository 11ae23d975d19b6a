import type { Sampler } from "./sampler";

/** A token that a model could choose, with its log-probability. */
export interface Alternative {
  readonly id: number;
  readonly logProbability: number;
}

/**
 * A sequence that a session decodes, created by `session.open` or `session.fork`. Callers read `tokens`; everything else belongs to the
 * session.
 *
 * @example
 * const session = new Session(model);
 * const [row] = await session.open([{ source: [5, 6, 7], tokens: [1] }]);
 * await session.step([row!]);
 * row!.tokens.length; // 2
 * session.dispose();
 */
export class Row {
  /** Pages with the keys and values of the row's tokens, in order. */
  readonly pages: number[] = [];
  /** Pages with the keys and values of the row's source. */
  readonly sourcePages: number[] = [];
  /** The source's tokens, for an encoder-decoder. */
  source: readonly number[] = [];
  /** Number of random numbers drawn. */
  draws = 0;
  /** Number of tokens generated since the last one that was given. */
  generated = 0;
  /** Number of tokens whose keys and values are stored: all but the last. */
  stored = 0;
  /** Whether the row has changes that are not in linear memory yet. */
  isStale = true;
  isOpen = true;
  /** Log-probability of the last token chosen by a step, if the session reports them: log softmax of the unadjusted logits. */
  logProbability: number | undefined;
  /** The most likely tokens at that step, in descending order, if the session reports them. */
  alternatives: readonly Alternative[] = [];

  constructor(
    /** All tokens. The next step reads the last one. */
    readonly tokens: number[],
    readonly sampler: Required<Sampler>,
  ) {}

  /** The token that the next step must choose, if any. */
  get forced(): number | undefined {
    return this.sampler.forced.find(([index]) => index === this.generated)?.[1];
  }

  /** Whether the next step must not choose an `end` token. */
  get isEarly(): boolean {
    return this.generated < this.sampler.minTokens && this.sampler.end.length > 0;
  }

  /** Whether the next step has settings of its own: those after it are different. */
  get changesSettings(): boolean {
    return this.isEarly || this.forced !== undefined;
  }
}
