import { checkConfig, type Fields, flag, optional } from "../fields";
import { linear } from "../graph/ops/linear";
import { Activation } from "../graph/ops/activation";
import { constant, type Initializer, Parameter, xavierUniform } from "../graph/parameter";
import { expectAxes } from "../graph/shape";
import type { Tensor } from "../graph/tensor";
import { initializer } from "./fields";
import { Layer } from "./layer";

/** Options of a `Linear` layer. */
export interface LinearOptions {
  bias?: boolean;
  initializer?: Initializer;
}

const fields: Fields<LinearOptions> = { bias: optional(flag), initializer };

/**
 * A linear map with an optional bias: y = x·Wᵀ + b.
 * Shapes: weight [outputs, inputs], bias [outputs]; x [..., inputs] → [..., outputs].
 * By default, the weight is initialized from Glorot's uniform distribution. The bias is initialized to 0.
 *
 * @example
 * new Linear(64, 256).weight.shape; // [256, 64]
 */
export class Linear extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  /** @throws RangeError unless both widths are positive integers; TypeError for unknown options */
  constructor(inputs: number, outputs: number, options: LinearOptions = {}) {
    super();
    expectAxes("Linear(inputs, outputs)", [inputs, outputs]);
    checkConfig("Linear", options, fields);
    const { bias = true, initializer = xavierUniform(inputs, outputs) } = options;
    this.weight = new Parameter([outputs, inputs], initializer, "all");
    this.bias = bias ? new Parameter([outputs], constant(0)) : null;
  }

  forward(x: Tensor, activation = Activation.None): Tensor {
    return this.within(x, () => linear(x, this.weight, this.bias, activation));
  }
}
