/** An integer tensor of the host: what a program's input cell is filled with. */
export interface IntTensor {
  shape: number[];
  /** Row-major. */
  data: Int32Array;
}

/** A program's inputs by name. */
export type Batch = Record<string, IntTensor>;

/** An integer tensor of one value everywhere. */
export function filled(shape: number[], value = 0): IntTensor {
  return { shape, data: new Int32Array(shape.reduce((size, dim) => size * dim, 1)).fill(value) };
}

/** @throws RangeError unless `value` is an integer ≥ 1; `name` says whose and which */
export function checkPositive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} must be an integer of at least 1, got ${value}`);
}
