import { checkConfig, flag, optional, positive } from "../fields";
import { layerNorm } from "../graph/ops/layernorm";
import { constant, Parameter } from "../graph/parameter";
import { expectAxes } from "../graph/shape";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";

const fields = { bias: optional(flag), epsilon: optional(positive) };

/**
 * Layer normalisation over the last axis: (x − mean)/√(variance + ε)·weight + bias (Ba et al. 2016, arXiv:1607.06450).
 * Shapes: weight [width], bias [width]. Initialized to 1 and 0.
 *
 * @example
 * [...new LayerNorm(64).parameters().keys()]; // ["weight", "bias"]
 */
export class LayerNorm extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  private readonly epsilon: number;

  /** @throws RangeError unless the width is a positive integer and epsilon a positive number; TypeError for unknown options */
  constructor(width: number, options: { bias?: boolean; epsilon?: number } = {}) {
    super();
    expectAxes("LayerNorm(width)", [width]);
    checkConfig("LayerNorm", options, fields);
    const { bias = true, epsilon = 1e-5 } = options;
    this.epsilon = epsilon;
    this.weight = new Parameter([width], constant(1));
    this.bias = bias ? new Parameter([width], constant(0)) : null;
  }

  forward(x: Tensor): Tensor {
    return this.within(x, () => layerNorm(x, this.weight, this.bias, this.epsilon));
  }
}
