import type { Graph } from "../graph";
import { formatShape, sameShape } from "../shape";
import { type DType, Tensor } from "../tensor";

/** Whether any of an op's inputs needs a gradient, so that its output does too. */
export const needsGradient = (...inputs: (Tensor<DType> | null | undefined)[]): boolean => inputs.some((input) => input?.needsGradient);

/** @throws TypeError if `tensor` is not a tensor; RangeError naming the op and both shapes if the shapes differ */
export function expectShape(op: string, name: string, tensor: Tensor<DType>, shape: readonly number[]): void {
  expectTensor(op, name, tensor);
  if (!sameShape(tensor.shape, shape)) {
    throw new RangeError(`${op}: expected ${name} of shape ${formatShape(shape)}, got ${formatShape(tensor.shape)}`);
  }
}

/** @throws TypeError naming the op and both dtypes if they differ */
export function expectDType(op: string, name: string, tensor: Tensor<DType>, dtype: DType): void {
  expectTensor(op, name, tensor);
  if (tensor.dtype !== dtype) throw new TypeError(`${op}: expected ${name}, got ${tensor.dtype}`);
}

/** The graph in which an op on `x` is recorded. @throws TypeError if `x` is not a tensor */
export function graphOf(op: string, x: Tensor<DType>): Graph {
  expectTensor(op, "a tensor", x);
  return x.graph;
}

/** @throws TypeError unless `value` is a tensor */
export function expectTensor(op: string, name: string, value: unknown): void {
  if (!(value instanceof Tensor)) throw new TypeError(`${op}: expected ${name}, got ${String(value)}`);
}

/** @throws RangeError unless `epsilon` is a positive number */
export function expectEpsilon(op: string, epsilon: number): void {
  if (!(Number.isFinite(epsilon) && epsilon > 0)) throw new RangeError(`${op}: epsilon must be a positive number, got ${epsilon}`);
}

/** @throws RangeError unless `p` is in [0, 1) */
export function expectProbability(op: string, name: string, p: number): void {
  if (!(Number.isFinite(p) && p >= 0 && p < 1)) throw new RangeError(`${op}: expected ${name} in [0, 1), got ${p}`);
}
