import type { DType, Storage, Tensor } from "./tensor";

interface Range {
  readonly below: number;
  readonly ignored: number | undefined;
}

/** The values that ops accept in a tensor of indices. */
const accepted = new WeakMap<Storage, Range>();
/** The exclusive upper bound of indices that a program computes. */
const computed = new WeakMap<Storage, number>();

/** Records that an op computes indices in [0, below), or −1 for logits that are NaN. */
export function noteIndices({ storage }: Tensor<DType>, below: number): void {
  computed.set(storage, below);
}

/**
 * Records that an op uses the values of `tensor` as indices in [0, below), or `ignored`. For any other value the core would access
 * memory out of bounds, so `Program.write` rejects it.
 * @throws RangeError if the values are computed by an op whose indices may be larger
 */
export function expectIndices(op: string, { storage }: Tensor<DType>, below: number, ignored?: number): void {
  const end = computed.get(storage);
  if (end !== undefined && end > below) {
    throw new RangeError(`${op}: expected indices in [0, ${below}), but the program computes them in [0, ${end})`);
  }
  const before = accepted.get(storage) ?? { below, ignored };
  accepted.set(storage, { below: Math.min(below, before.below), ignored: ignored === before.ignored ? ignored : undefined });
}

/** @throws RangeError naming the first value that an op reading the tensor cannot accept */
export function checkIndices({ storage }: Tensor<DType>, values: ArrayLike<number>): void {
  const range = accepted.get(storage);
  if (!range) return;
  const { below, ignored } = range;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value !== ignored && !(Number.isInteger(value) && value >= 0 && value < below)) {
      const expected = `indices in [0, ${below})${ignored === undefined ? "" : ` or ${ignored}`}`;
      throw new RangeError(`write: expected ${expected}, got ${value} at position ${i}`);
    }
  }
}
