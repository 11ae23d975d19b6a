/** The number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((length, i) => length === b[i]);

/** Formats a shape: `[2,3]`. */
export const formatShape = (shape: readonly number[]): string => `[${shape.map(String).join(",")}]`;

/** @throws RangeError unless every axis is a positive integer */
export function expectAxes(what: string, shape: readonly number[]): void {
  if (!Array.isArray(shape) || shape.some((length) => !Number.isSafeInteger(length) || length < 1)) {
    const got = Array.isArray(shape) ? formatShape(shape) : String(shape);
    throw new RangeError(`${what}: every axis must be a positive integer, got ${got}`);
  }
}
