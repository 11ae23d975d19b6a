/** An array with a shape: the values of one of a program's inputs. */
export interface BatchTensor {
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: Int32Array | Float32Array;
}

/** A program's inputs by name: token ids, targets, lengths, features. */
export type Batch = Readonly<Record<string, BatchTensor>>;
