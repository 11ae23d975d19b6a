import { Op } from "../../../assembly/opcodes";
import type { Parameter } from "../parameter";
import type { Tensor } from "../tensor";
import { expectEpsilon, expectShape, graphOf, needsGradient } from "./shared";

/**
 * x/√(mean(x²) + ε)·weight over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467).
 * @param x       f32 [..., C]
 * @param weight  f32 [C]
 * @throws RangeError if the weight's shape is not [C]
 *
 * @example
 * rmsNorm(graph.input([2, 10, 64]), graph.input([64])).shape; // [2, 10, 64]
 */
export function rmsNorm(x: Tensor, weight: Tensor | Parameter, epsilon = 1e-5): Tensor {
  const graph = graphOf("rmsNorm", x);
  const w = graph.use(weight);
  const [R, C] = [x.rows, x.columns];
  expectShape("rmsNorm", "a weight", w, [C]);
  expectEpsilon("rmsNorm", epsilon);
  const out = graph.tensor(x.shape, { needsGradient: needsGradient(x, w) });
  const rstd = graph.tensor([R]);
  graph.emit(Op.RmsNormForward, { out, rstd, x, weight: w, R, C, epsilon }, { flops: 4 * x.size });
  graph.differentiate(out, (dOut) => {
    if (x.needsGradient) {
      const { d, accumulate } = graph.accumulate(x);
      graph.emit(Op.RmsNormBackward, { dX: d, dOut, x, rstd, weight: w, R, C, accumulate }, { flops: 7 * x.size });
    }
    if (w.needsGradient) {
      graph.emit(Op.RmsNormBackwardParameters, { dWeight: graph.cleared(w), dOut, x, rstd, R, C }, { flops: 3 * x.size });
    }
  });
  return out;
}
