import { sizeOf } from "../shape";
import type { Format } from "./format";

/** Rows of a panel, as in assembly/formats/panels.ts. */
const ROWS = 16;

/** f32 in panels of 16 rows, so that a few tokens are multiplied faster. Every bit is kept; rows are padded to a multiple of 16. */
export const panels = {
  name: "panels",
  code: 2,
  rows: ROWS,
  bytes: (shape) => paddedSize(shape) * 4,
  write(block, offset, shape, values, from) {
    const columns = sizeOf(shape.slice(1));
    const to = block.f32(offset, paddedSize(shape));
    for (let i = 0; i < values.length;) {
      const row = Math.floor((from + i) / columns);
      const first = (from + i) % columns;
      const count = Math.min(columns - first, values.length - i);
      for (let at = placeOf(row, first, columns), end = i + count; i < end; i++, at += ROWS) to[at] = values[i]!;
    }
    if (values.length > 0 && from + values.length === sizeOf(shape)) {
      for (let row = shape[0]!; row % ROWS !== 0; row++) {
        for (let column = 0; column < columns; column++) to[placeOf(row, column, columns)] = 0;
      }
    }
  },
  read(block, offset, shape) {
    const columns = sizeOf(shape.slice(1));
    const from = block.f32(offset, paddedSize(shape));
    const values = new Float32Array(sizeOf(shape));
    for (let i = 0, row = 0; i < values.length; row++) {
      for (let column = 0; column < columns; column++, i++) values[i] = from[placeOf(row, column, columns)]!;
    }
    return values;
  },
} as const satisfies Format;

const paddedSize = ([rows = 1, ...row]: readonly number[]): number => Math.ceil(rows / ROWS) * ROWS * sizeOf(row);

const placeOf = (row: number, column: number, columns: number): number => (Math.floor(row / ROWS) * columns + column) * ROWS + (row % ROWS);
