import { checkConfig, optional, positive } from "../fields";
import { rmsNorm } from "../graph/ops/rmsnorm";
import { constant, Parameter } from "../graph/parameter";
import { expectAxes } from "../graph/shape";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";

const fields = { epsilon: optional(positive) };

/**
 * Root-mean-square normalisation over the last axis: x/√(mean(x²) + ε)·weight (Zhang & Sennrich 2019, arXiv:1910.07467).
 * Shapes: weight [width]. Initialized to 1.
 *
 * @example
 * [...new RMSNorm(64).parameters().keys()]; // ["weight"]
 */
export class RMSNorm extends Layer {
  readonly weight: Parameter;
  private readonly epsilon: number;

  /** @throws RangeError unless the width is a positive integer and epsilon a positive number; TypeError for unknown options */
  constructor(width: number, options: { epsilon?: number } = {}) {
    super();
    expectAxes("RMSNorm(width)", [width]);
    checkConfig("RMSNorm", options, fields);
    const { epsilon = 1e-5 } = options;
    this.weight = new Parameter([width], constant(1));
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return this.within(x, () => rmsNorm(x, this.weight, this.epsilon));
  }
}
