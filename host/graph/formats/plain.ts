import type { Block } from "../../core/memory";
import { sizeOf } from "../shape";
import type { Format } from "./format";

/** Consecutive elements, as in a typed array. */
const plain = <N extends string, A extends Float32Array | Int32Array | Float64Array>(
  name: N, bytesPerElement: number, view: (block: Block, offset: number, length: number) => A, code?: number,
) =>
  ({
    name,
    code,
    bytes: (shape: readonly number[]) => sizeOf(shape) * bytesPerElement,
    write: (block: Block, offset: number, _shape: readonly number[], values: ArrayLike<number>, from: number) =>
      view(block, offset + from * bytesPerElement, values.length).set(values),
    read: (block: Block, offset: number, shape: readonly number[]) => view(block, offset, sizeOf(shape)).slice() as A,
  }) satisfies Format;

export const f32 = plain("f32", 4, (block, offset, length) => block.f32(offset, length), 0);
export const i32 = plain("i32", 4, (block, offset, length) => block.i32(offset, length));
export const f64 = plain("f64", 8, (block, offset, length) => block.f64(offset, length));
