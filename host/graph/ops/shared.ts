import { formatShape, sameShape } from "../shape";
import type { DType, Tensor } from "../tensor";

/** Whether an op's output carries a gradient to any of its inputs. */
export const needsGradient = (...inputs: (Tensor<DType> | null | undefined)[]): boolean => inputs.some((input) => input?.needsGradient);

/** @throws RangeError naming the op and both shapes */
export function expectShape(op: string, name: string, tensor: Tensor<DType>, shape: readonly number[]): void {
  if (!sameShape(tensor.shape, shape)) throw new RangeError(`${op}: expected ${name} of shape ${formatShape(shape)}, got ${formatShape(tensor.shape)}`);
}

/** @throws TypeError naming the op and both types */
export function expectDType(op: string, name: string, tensor: Tensor<DType>, dtype: DType): void {
  if (tensor.dtype !== dtype) throw new TypeError(`${op}: expected ${name}, got ${tensor.dtype}`);
}

/** @throws RangeError unless elements can be dropped with probability `p` */
export function expectProbability(op: string, name: string, p: number): void {
  if (!(p >= 0 && p < 1)) throw new RangeError(`${op}: expected ${name} in [0, 1), got ${p}`);
}
