import { Op } from "../../../assembly/opcodes";
import type { Tensor } from "../tensor";

/**
 * out[..., c] = exp(x[..., c] − max) / Σ_c exp(x[..., c] − max), over the last axis; a row of only −Infinity yields zeros.
 *
 * @example
 * softmax(graph.input([2, 3])).shape; // [2, 3]
 */
export function softmax(x: Tensor): Tensor {
  const graph = x.graph;
  const dims = [x.rows, x.columns];
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit({ name: "softmaxForward", op: Op.SoftmaxForward, outputs: [out], inputs: [x], numbers: dims, flops: 4 * x.size });
  graph.differentiate(out, (dOut) => {
    const { d, accumulate } = graph.accumulate(x);
    graph.emit({ name: "softmaxBackward", op: Op.SoftmaxBackward, outputs: [d], inputs: [dOut, out], numbers: [...dims, accumulate], flops: 4 * x.size });
  });
  return out;
}
