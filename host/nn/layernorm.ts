import { layerNorm } from "../graph/ops/layernorm";
import { constant, Parameter, type Tensor } from "../graph/tensor";
import { Layer } from "./layer";

/**
 * Layer normalisation over the last axis: (x − mean)/√(variance + ε)·weight + bias (Ba et al. 2016, arXiv:1607.06450).
 * Shapes: weight [width], bias [width]. Starts from 1 and 0.
 *
 * @example
 * [...new LayerNorm(64).parameters().keys()]; // ["weight", "bias"]
 */
export class LayerNorm extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(width: number, { bias = true }: { bias?: boolean } = {}) {
    super();
    this.weight = new Parameter([width], constant(1));
    this.bias = bias ? new Parameter([width], constant(0)) : null;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias);
  }
}
