import { Op } from "../../../assembly/opcodes";
import type { Tensor } from "../tensor";
import { add } from "./elementwise";
import { expectProbability, expectShape, graphOf, needsGradient } from "./shared";

/**
 * Dropout (Srivastava et al. 2014): each element becomes 0 with probability `p`, and x/(1 − p) otherwise. Applied only in training.
 * The mask comes from Philox and is not stored but drawn again in the backward pass.
 * @param residual  added to the result in the same pass
 *
 * @example
 * dropout(graph.input([2, 3]), 0.1).shape; // [2, 3]
 */
export function dropout(x: Tensor, p: number, residual?: Tensor): Tensor {
  const graph = graphOf("dropout", x);
  expectProbability("dropout", "a probability", p);
  if (residual) expectShape("dropout", "the residual", residual, x.shape);
  if (p === 0 || !graph.training) return residual ? add(residual, x) : x;
  const shared = { rng: graph.random(), n: x.size, p, stream: graph.stream() };
  const out = graph.tensor(x.shape, { needsGradient: needsGradient(x, residual) });
  graph.emit(Op.Dropout, { out, x, residual: residual ?? null, ...shared }, { flops: 2 * x.size });
  graph.differentiate(out, (dOut) => {
    if (residual) graph.addGradient(residual, dOut);
    if (!x.needsGradient) return;
    const dX = graph.tensor(x.shape);
    graph.emit(Op.Dropout, { out: dX, x: dOut, residual: null, ...shared }, { flops: 2 * x.size });
    graph.addGradient(x, dX);
  });
  return out;
}
