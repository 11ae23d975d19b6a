import type { Tensor } from "./tensor";

/** One loss of a sum: how its instructions are recorded. */
export interface LossTerm {
  readonly factor: number;
  /**
   * Adds factor · Σ loss to the cells, and the rows that counted if `isCounted`.
   * @returns if `training`, the tensors that the loss depends on with their gradients; parameters' are added where they lie
   */
  record(cells: Tensor, options: { factor: number; isCounted: boolean; training: boolean }): readonly (readonly [Tensor, Tensor])[];
}

/**
 * What a model is trained to make small. Losses can be added and scaled: several heads, distillation.
 * A sum counts the tokens of its first loss, and its mean is per token of that one.
 *
 * @example
 * const x = graph.input([4, 8]);
 * const words = crossEntropy(x, graph.input([65, 8]), graph.input([4], "i32"));
 * const kinds = crossEntropy(x, graph.input([3, 8]), graph.input([4], "i32"));
 * words.plus(kinds.times(0.5)) instanceof Loss; // true
 */
export class Loss {
  constructor(private readonly terms: readonly LossTerm[]) {}

  /** @throws TypeError for something else than a loss */
  plus(other: Loss): Loss {
    if (!(other instanceof Loss)) throw new TypeError(`Loss.plus: expected a loss, got ${String(other)}`);
    return new Loss([...this.terms, ...other.terms]);
  }

  /** @throws RangeError for a factor that is not a finite number */
  times(factor: number): Loss {
    if (!Number.isFinite(factor)) throw new RangeError(`Loss.times: expected a finite number, got ${factor}`);
    return new Loss(this.terms.map((term) => ({ factor: factor * term.factor, record: (cells, options) => term.record(cells, options) })));
  }

  /** Records the loss alone: adds Σ loss and the number of rows that counted to the cells. */
  forward(cells: Tensor): void {
    this.record(cells, false);
  }

  /** Records the loss and the gradient of Σ loss in every parameter. */
  backward(cells: Tensor): void {
    const seeds = this.record(cells, true);
    if (seeds.length > 0) cells.graph.backward(...seeds);
  }

  private record(cells: Tensor, training: boolean): (readonly [Tensor, Tensor])[] {
    return this.terms.flatMap((term, i) => term.record(cells, { factor: term.factor, isCounted: i === 0, training }));
  }
}
