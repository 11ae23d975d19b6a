import { rmsNorm } from "../graph/ops/rmsnorm";
import { constant, Parameter } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";

/**
 * Root-mean-square normalisation over the last axis: x/√(mean(x²) + ε)·weight (Zhang & Sennrich 2019, arXiv:1910.07467).
 * Shapes: weight [width]. Starts from 1.
 *
 * @example
 * [...new RMSNorm(64).parameters().keys()]; // ["weight"]
 */
export class RMSNorm extends Layer {
  readonly weight: Parameter;
  private readonly epsilon: number;

  /** @throws RangeError unless the width is a positive integer and epsilon a positive number */
  constructor(width: number, { epsilon = 1e-5 }: { epsilon?: number } = {}) {
    super();
    if (!(epsilon > 0 && epsilon < Infinity)) throw new RangeError(`RMSNorm: epsilon must be a positive number, got ${epsilon}`);
    this.weight = new Parameter([width], constant(1));
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return this.within(x, () => rmsNorm(x, this.weight, this.epsilon));
  }
}
