import { Activation } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import type { Tensor } from "../tensor";
import { graphOf } from "./shared";

export { Activation };

/**
 * out = activation(x), elementwise.
 * @throws TypeError if `activation` is not a member of `Activation`
 *
 * @example
 * activate(graph.input([2, 3]), Activation.Silu).shape; // [2, 3]
 */
export function activate(x: Tensor, activation: Activation): Tensor {
  expectActivation("activate", activation);
  const graph = graphOf("activate", x);
  const n = x.size;
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit(Op.ActivationForward, { out, x, n, activation }, { flops: n });
  graph.differentiate(out, (dOut) => {
    const dX = graph.tensor(x.shape);
    graph.emit(Op.ActivationBackward, { dX, dOut, x, n, activation }, { flops: n });
    graph.addGradient(x, dX);
  });
  return out;
}

/** max(x, 0) */
export const relu = (x: Tensor): Tensor => activate(x, Activation.Relu);
/** x·Φ(x), where Φ is the CDF of the standard normal distribution (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
export const gelu = (x: Tensor): Tensor => activate(x, Activation.Gelu);
/** GELU's tanh approximation, used by GPT-2. */
export const geluTanh = (x: Tensor): Tensor => activate(x, Activation.GeluTanh);
/** x·sigmoid(x) */
export const silu = (x: Tensor): Tensor => activate(x, Activation.Silu);

export const isActivation = (value: unknown): value is Activation =>
  Number.isInteger(value) && (value as number) >= Activation.None && (value as number) <= Activation.Silu;

/** @throws TypeError if `activation` is not a member of `Activation` */
export function expectActivation(op: string, activation: unknown): void {
  if (!isActivation(activation)) throw new TypeError(`${op}: expected a member of Activation, got ${String(activation)}`);
}
