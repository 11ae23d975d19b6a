import { Activation } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import type { Tensor } from "../tensor";

export { Activation };

const NAMES = ["none", "relu", "gelu", "geluTanh", "silu"] as const;

/**
 * out = activation(x), element by element.
 *
 * @example
 * activate(graph.input([2, 3]), Activation.Silu).shape; // [2, 3]
 */
export function activate(x: Tensor, activation: Activation): Tensor {
  const graph = x.graph;
  const n = x.size;
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit({ name: `${NAMES[activation]}Forward`, op: Op.ActivationForward, outputs: [out], inputs: [x], numbers: [n, activation], flops: n });
  graph.differentiate(out, (dOut) => {
    const dX = graph.tensor(x.shape);
    graph.emit({ name: `${NAMES[activation]}Backward`, op: Op.ActivationBackward, outputs: [dX], inputs: [dOut, x], numbers: [n, activation], flops: n });
    graph.addGradient(x, dX);
  });
  return out;
}

/** max(x, 0) */
export const relu = (x: Tensor): Tensor => activate(x, Activation.Relu);
/** x·Φ(x), Φ the normal distribution's CDF (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
export const gelu = (x: Tensor): Tensor => activate(x, Activation.Gelu);
/** GELU's tanh approximation, as GPT-2 uses. */
export const geluTanh = (x: Tensor): Tensor => activate(x, Activation.GeluTanh);
/** x·sigmoid(x) */
export const silu = (x: Tensor): Tensor => activate(x, Activation.Silu);
