import { formatShape, sameShape, type Tensor } from "../tensor";

/** Whether an op's output carries a gradient to any of its inputs. */
export const needsGradient = (...inputs: (Tensor | null | undefined)[]): boolean => inputs.some((input) => input?.needsGradient);

/** @throws RangeError naming the op and both shapes */
export function expectShape(op: string, name: string, tensor: Tensor, shape: readonly number[]): void {
  if (!sameShape(tensor.shape, shape)) throw new RangeError(`${op}: expected ${name} of shape ${formatShape(shape)}, got ${formatShape(tensor.shape)}`);
}
