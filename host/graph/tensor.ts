import type { Block } from "../core/memory";
import { type ArrayOf, type DType, expectFormat, expectNumbers, formats } from "./formats";
import type { Format } from "./formats/format";
import type { Graph } from "./graph";
import { expectAxes, sizeOf } from "./shape";

export type { DType };

/**
 * Memory that a graph's instructions read and write. It is placed in the arena by the planner, or is part of a block that outlives the
 * program (weights, states).
 */
export interface Storage {
  readonly bytes: number;
  /** Set for storage outside the arena, together with the offset in bytes. */
  readonly block?: Block;
  readonly offset?: number;
  /** Set for working memory, whose contents do not outlive an instruction. */
  readonly isScratch?: boolean;
}

/**
 * A symbolic array, which layers pass to each other while they record a program.
 * It holds no values; they are written and read through the compiled `Program`.
 *
 * @example
 * const x = graph.input([2, 10, 64]);
 * [x.size, x.rows, x.columns]; // [1280, 20, 64]
 */
export class Tensor<D extends DType = "f32"> {
  constructor(
    readonly graph: Graph,
    readonly shape: readonly number[],
    readonly dtype: D,
    readonly storage: Storage,
    /** Whether the backward pass computes its gradient. */
    readonly needsGradient: boolean,
  ) {}

  /** The number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** The length of the last axis. */
  get columns(): number {
    return this.shape.at(-1) ?? 1;
  }

  /** The product of all axes but the last. */
  get rows(): number {
    return this.size / this.columns;
  }
}

/** The part of a tensor that starts at element `offset`. */
export class Slice<D extends DType = "f32"> {
  constructor(
    readonly tensor: Tensor<D>,
    readonly offset: number,
    /** The number of elements that the instruction accesses; as many as the whole tensor has by default. */
    readonly size = tensor.size,
  ) {}
}

/** An array operand of an instruction: a tensor or a part of one. */
export type Address<D extends DType = DType> = Tensor<D> | Slice<D>;

export const tensorOf = <D extends DType>(address: Address<D>): Tensor<D> => (address instanceof Slice ? address.tensor : address);

/** The member of `Format` in assembly/layouts.ts that tells kernels how to decode a weight. */
export const formatCode = ({ dtype }: Tensor<DType>): number => formats[dtype].code!;

/** The byte offset of an element from the tensor's start. Formats that pack elements have offsets only for some. */
export function byteOffset(tensor: Tensor<DType>, element: number): number {
  return element === 0 ? 0 : formats[tensor.dtype].bytes([element]);
}

/**
 * An array that outlives a run. It belongs to a session or a trainer, and any graph of its runtime may `use` it.
 *
 * @example
 * const block = runtime.memory.allocate(64, "example", "positions");
 * const past = new State(block, [4], "i32");
 * past.write([3, 0, 0, 0]);
 * graph.use(past).shape; // [4]
 */
export class State<D extends DType = "f32"> {
  /** @throws RangeError if the shape is invalid or does not fit in the block; TypeError for an unknown dtype or a freed block */
  constructor(
    readonly block: Block,
    readonly shape: readonly number[],
    readonly dtype: D = "f32" as D,
    /** In bytes, from the block's start. */
    readonly offset = 0,
  ) {
    expectAxes("State", shape);
    expectFormat("State", dtype);
    block.expectRange(offset, formats[dtype].bytes(shape));
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Returns a copy of the elements. @throws TypeError if the owner was disposed */
  read(): ArrayOf<D> {
    return formats[this.dtype].read(this.block, this.offset, this.shape) as ArrayOf<D>;
  }

  /**
   * Writes elements, starting at element `from`. Formats of integers are written in whole rows.
   * @param what  the name in errors; the block's by default
   * @throws TypeError if the owner was disposed, or a value is not a number; RangeError if the values extend beyond the end, are not whole
   *   rows although the format requires it, or are not finite and the format stores integers
   */
  write(values: ArrayLike<number>, from = 0, what = this.block.name): void {
    if (!(Number.isInteger(from) && from >= 0 && from + values.length <= this.size)) {
      throw new RangeError(`${what}: expected at most ${this.size - from} values from element ${from}, got ${values.length}`);
    }
    const format: Format = formats[this.dtype];
    const row = sizeOf(this.shape.slice(1));
    if (format.wholeRows && (from % row !== 0 || values.length % row !== 0)) {
      throw new RangeError(`${what}: ${this.dtype} is written in rows of ${row} elements, got ${values.length} from element ${from}`);
    }
    expectNumbers(what, this.dtype, values);
    format.write(this.block, this.offset, this.shape, values, from, what);
  }

  /**
   * A state of the same memory that consists of `count` rows (along the first axis), starting at row `first`.
   * @throws RangeError if the format has no such part
   */
  rowsFrom(first: number, count: number): State<D> {
    const { rows = 1 }: Format = formats[this.dtype];
    if (first % rows !== 0) throw new RangeError(`${this.block.name}: rows of ${this.dtype} start at multiples of ${rows}, got ${first}`);
    const row = this.shape.slice(1);
    return new State(this.block, [count, ...row], this.dtype, this.offset + formats[this.dtype].bytes([first, ...row]));
  }
}
