import type { DType, Storage, Tensor } from "./tensor";

interface Range {
  readonly below: number;
  readonly ignored: number | undefined;
}

/** What ops accept of a tensor's numbers. */
const accepted = new WeakMap<Storage, Range>();
/** Where the numbers that a program computes end. */
const computed = new WeakMap<Storage, number>();

/** Records that an op computes indices in [0, below), or −1 from logits that are not numbers. */
export function noteIndices({ storage }: Tensor<DType>, below: number): void {
  computed.set(storage, below);
}

/**
 * Records that an op takes the numbers of `tensor` for indices in [0, below), or `ignored`: the core would read and write elsewhere
 * for others, so `Program.write` refuses them.
 * @throws RangeError when they are computed by an op whose indices go further
 */
export function expectIndices(op: string, { storage }: Tensor<DType>, below: number, ignored?: number): void {
  const end = computed.get(storage);
  if (end !== undefined && end > below) throw new RangeError(`${op}: expected indices in [0, ${below}), but the program computes them in [0, ${end})`);
  const before = accepted.get(storage) ?? { below, ignored };
  accepted.set(storage, { below: Math.min(below, before.below), ignored: ignored === before.ignored ? ignored : undefined });
}

/** @throws RangeError naming the first value that no op of the tensor can take */
export function checkIndices({ storage }: Tensor<DType>, values: ArrayLike<number>): void {
  const range = accepted.get(storage);
  if (!range) return;
  const { below, ignored } = range;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value !== ignored && !(Number.isInteger(value) && value >= 0 && value < below)) {
      throw new RangeError(`write: expected indices in [0, ${below})${ignored === undefined ? "" : ` or ${ignored}`}, got ${value} at position ${i}`);
    }
  }
}
