import type { Tensor } from "./tensor";

/** One term of a loss, which records its instructions. */
export interface LossTerm {
  readonly factor: number;
  /**
   * Adds factor · Σ loss to the cells, and, if `isCounted`, the number of rows that count.
   * @returns if `training`, the tensors that the loss depends on with their gradients; parameter gradients are added in place
   */
  record(cells: Tensor, options: { factor: number; isCounted: boolean; training: boolean }): readonly (readonly [Tensor, Tensor])[];
}

/**
 * The quantity that training minimizes. Losses can be added and scaled, for several heads or for distillation.
 * A sum counts the tokens of its first loss only, and its mean is per token of that loss.
 *
 * @example
 * const x = graph.input([4, 8]);
 * const words = crossEntropy(x, graph.input([65, 8]), graph.input([4], "i32"));
 * const kinds = crossEntropy(x, graph.input([3, 8]), graph.input([4], "i32"));
 * words.plus(kinds.times(0.5)) instanceof Loss; // true
 */
export class Loss {
  constructor(private readonly terms: readonly LossTerm[]) {}

  /** @throws TypeError if `other` is not a loss */
  plus(other: Loss): Loss {
    if (!(other instanceof Loss)) throw new TypeError(`Loss.plus: expected a loss, got ${String(other)}`);
    return new Loss([...this.terms, ...other.terms]);
  }

  /** @throws RangeError if the factor is not a finite number */
  times(factor: number): Loss {
    if (!Number.isFinite(factor)) throw new RangeError(`Loss.times: expected a finite number, got ${factor}`);
    const scaled = (term: LossTerm): LossTerm => ({
      factor: factor * term.factor,
      record: (cells, options) => term.record(cells, options),
    });
    return new Loss(this.terms.map(scaled));
  }

  /** Records the loss alone: adds Σ loss and the number of rows that count to the cells. */
  forward(cells: Tensor): void {
    this.record(cells, false);
  }

  /** Records the loss and the gradient of Σ loss with respect to every parameter. */
  backward(cells: Tensor): void {
    const seeds = this.record(cells, true);
    if (seeds.length > 0) cells.graph.backward(...seeds);
  }

  private record(cells: Tensor, training: boolean): (readonly [Tensor, Tensor])[] {
    return this.terms.flatMap((term, i) => term.record(cells, { factor: term.factor, isCounted: i === 0, training }));
  }
}
