/**
 * Integers of 8 or 4 bits with a scale for each group of columns, in panels of eight rows: [ceil(R / 8), ceil(C / group)] blocks, each as
 * `IntegerBlock` describes. Element (r, c) is integer·scale. Rows past R and columns past C are zero.
 *
 * int8: in a block, the integer of row r % 8 and column c is byte ((c / 4)·8 + r % 8)·4 + c % 4.
 * int4: integers plus 8, in half as many bytes. Rows r and r + 4 share a byte; of four columns, the two in the middle are swapped, so that
 * 16 bits hold columns 0 and 2 of two rows in their first and third quarter: the plain build unpacks them with shifts.
 */
import { IntegerBlock } from "../layouts";
import { element } from "../kernels/element";
import { weightBytes } from "../kernels/integers";

/** to[r, c] = x[row + r, column + c] for [rows, columns]. Operands as in `decodeRows`; `group` columns have one scale. */
export function decodeInt8(to: usize, ldTo: i32, x: usize, C: i32, group: i32, row: i32, column: i32, rows: i32, columns: i32): void {
  const step = weightBytes(group, false);
  const panel = <usize>((C + group - 1) / group) * step;
  for (let r = row; r < row + rows; r++, to += <usize>ldTo << 2) {
    const lane = <usize>(r & 7);
    for (let c = 0; c < columns; c += IntegerBlock.Group) {
      const g = (column + c) / group;
      const block = x + <usize>(r >> 3) * panel + <usize>g * step;
      const scale = load<f32>(block + (lane << 2));
      const from = block + IntegerBlock.Int8 + (<usize>(column + c - g * group) << 3) + (lane << 2);
      const n = min(IntegerBlock.Group, columns - c);
      for (let k = 0; k < n; k++) store<f32>(element(to, c + k), <f32>load<i8>(from + (<usize>(k >> 2) << 5) + (k & 3)) * scale);
    }
  }
}

/** The same for int4. */
export function decodeInt4(to: usize, ldTo: i32, x: usize, C: i32, row: i32, column: i32, rows: i32, columns: i32): void {
  const step = weightBytes(IntegerBlock.Group, true);
  const panel = <usize>((C + IntegerBlock.Group - 1) / IntegerBlock.Group) * step;
  for (let r = row; r < row + rows; r++, to += <usize>ldTo << 2) {
    const lane = <usize>(r & 7);
    const shift = (r & 4);
    for (let c = 0; c < columns; c += IntegerBlock.Group) {
      const block = x + <usize>(r >> 3) * panel + <usize>((column + c) / IntegerBlock.Group) * step;
      const scale = load<f32>(block + (lane << 2));
      const from = block + IntegerBlock.Int4 + ((lane & 3) << 2);
      const n = min(IntegerBlock.Group, columns - c);
      for (let k = 0; k < n; k++) {
        const byte = <i32>load<u8>(from + (<usize>(k >> 2) << 4) + swapMiddle(k & 3));
        store<f32>(element(to, c + k), <f32>(((byte >> shift) & 15) - 8) * scale);
      }
    }
  }
}

/** 0, 2, 1, 3 */
// @ts-ignore: decorator
@inline
function swapMiddle(k: i32): usize {
  return <usize>(((k & 1) << 1) | (k >> 1));
}
