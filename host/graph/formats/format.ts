import type { Block } from "../../core/memory";

/**
 * How an array is stored in memory. A format owns its physical layout; files, `weights.read()` and the host see rows of f32.
 * There is one file per format, here and in assembly/formats/.
 */
export interface Format {
  readonly name: string;
  /** The member of `Format` in assembly/layouts.ts, for formats that matmuls and embedding lookups can decode. */
  readonly code?: number;
  /** Rows that are stored side by side, if more than one: a part of an array starts at a multiple of it. */
  readonly rows?: number;
  /** Whether a row is written as a whole. */
  readonly wholeRows?: boolean;
  /** The size in bytes of an array of this shape. */
  bytes(shape: readonly number[]): number;
  /**
   * Writes `values`, row by row, to the array at `offset` of `block`, starting at element `from`.
   * @throws RangeError, naming the array `what`, if the format does not have a value
   */
  write(block: Block, offset: number, shape: readonly number[], values: ArrayLike<number>, from: number, what: string): void;
  /** The array's elements, row by row. */
  read(block: Block, offset: number, shape: readonly number[]): Float32Array | Int32Array | Float64Array;
}
