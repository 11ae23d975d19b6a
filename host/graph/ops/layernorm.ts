import { Op } from "../../../assembly/opcodes";
import type { Parameter } from "../parameter";
import type { Tensor } from "../tensor";
import { expectEpsilon, expectShape, graphOf, needsGradient } from "./shared";

/**
 * (x − mean)/√(variance + ε)·weight + bias over the last axis (Ba et al. 2016, arXiv:1607.06450).
 * @param x       f32 [..., C]
 * @param weight  f32 [C]
 * @param bias    f32 [C], or null
 *
 * @example
 * layerNorm(graph.input([2, 10, 64]), graph.input([64]), graph.input([64])).shape; // [2, 10, 64]
 */
export function layerNorm(x: Tensor, weight: Tensor | Parameter, bias: Tensor | Parameter | null = null, epsilon = 1e-5): Tensor {
  const graph = graphOf("layerNorm", x);
  const w = graph.use(weight);
  const b = bias && graph.use(bias);
  const [R, C] = [x.rows, x.columns];
  expectShape("layerNorm", "a weight", w, [C]);
  if (b) expectShape("layerNorm", "a bias", b, [C]);
  expectEpsilon("layerNorm", epsilon);
  const out = graph.tensor(x.shape, { needsGradient: needsGradient(x, w, b) });
  const mean = graph.tensor([R]);
  const rstd = graph.tensor([R]);
  graph.emit(Op.LayerNormForward, { out, mean, rstd, x, weight: w, bias: b, R, C, epsilon }, { flops: 8 * x.size });
  graph.differentiate(out, (dOut) => {
    if (x.needsGradient) {
      const { d, accumulate } = graph.accumulate(x);
      graph.emit(Op.LayerNormBackward, { dX: d, dOut, x, mean, rstd, weight: w, R, C, accumulate }, { flops: 10 * x.size });
    }
    if (w.needsGradient) {
      const dWeight = graph.cleared(w);
      const dBias = b?.needsGradient ? graph.cleared(b) : null;
      graph.emit(Op.LayerNormBackwardParameters, { dWeight, dBias, dOut, x, mean, rstd, R, C }, { flops: 5 * x.size });
    } else if (b?.needsGradient) {
      graph.emit(Op.ColumnSum, { out: graph.cleared(b), x: dOut, R, C }, { flops: x.size });
    }
  });
  return out;
}
