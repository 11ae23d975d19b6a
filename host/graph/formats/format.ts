import type { Block } from "../../core/memory";

/**
 * How an array lies in memory. A format owns its physical layout; files, `weights.read()` and the host see rows of f32.
 * One file per format, here and in assembly/formats/.
 */
export interface Format {
  readonly name: string;
  /** The member of `Format` in assembly/layouts.ts, for formats that products and lookups decode. */
  readonly code?: number;
  /** Rows that are stored side by side, if not one: a part of an array starts at a multiple of it. */
  readonly rows?: number;
  /** Bytes of an array of this shape. */
  bytes(shape: readonly number[]): number;
  /** Writes `values`, row by row, from element `from` of the array at `offset` of `block`. */
  write(block: Block, offset: number, shape: readonly number[], values: ArrayLike<number>, from: number): void;
  /** The array's elements, row by row. */
  read(block: Block, offset: number, shape: readonly number[]): Float32Array | Int32Array | Float64Array;
}
