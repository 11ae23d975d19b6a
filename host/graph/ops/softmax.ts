import { Op } from "../../../assembly/opcodes";
import type { Tensor } from "../tensor";
import { graphOf } from "./shared";

/**
 * out[..., c] = exp(x[..., c] − max) / Σ_c exp(x[..., c] − max), over the last axis. A row of only −Infinity yields zeros.
 *
 * @example
 * softmax(graph.input([2, 3])).shape; // [2, 3]
 */
export function softmax(x: Tensor): Tensor {
  const graph = graphOf("softmax", x);
  const dims = { R: x.rows, C: x.columns };
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit(Op.SoftmaxForward, { out, x, ...dims }, { flops: 4 * x.size });
  graph.differentiate(out, (dOut) => {
    const { d, accumulate } = graph.accumulate(x);
    graph.emit(Op.SoftmaxBackward, { dX: d, dOut, out, ...dims, accumulate }, { flops: 4 * x.size });
  });
  return out;
}
