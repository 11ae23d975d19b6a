import type { DType, Storage, Tensor } from "./tensor";

interface Range {
  readonly below: number;
  readonly ignored: number | undefined;
}

const ranges = new WeakMap<Storage, Range>();

/**
 * Notes that an op takes the numbers of `tensor` for indices in [0, below), or `ignored`: the core would read and write elsewhere
 * for others, so `Program.write` refuses them.
 */
export function expectIndices({ storage }: Tensor<DType>, below: number, ignored?: number): void {
  const before = ranges.get(storage) ?? { below, ignored };
  ranges.set(storage, { below: Math.min(below, before.below), ignored: ignored === before.ignored ? ignored : undefined });
}

/** @throws RangeError naming the first value that no op of the tensor can take */
export function checkIndices({ storage }: Tensor<DType>, values: ArrayLike<number>): void {
  const range = ranges.get(storage);
  if (!range) return;
  const { below, ignored } = range;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value !== ignored && !(Number.isInteger(value) && value >= 0 && value < below)) {
      throw new RangeError(`write: expected indices in [0, ${below})${ignored === undefined ? "" : ` or ${ignored}`}, got ${value} at position ${i}`);
    }
  }
}
