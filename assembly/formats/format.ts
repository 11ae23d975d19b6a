/**
 * Formats of weights. Whatever reads a weight decodes the rows that it needs to f32, so that a format is one file and works in every
 * product and in the embedding. Each but f32 is dense and decides on its layout, which may depend on R and C.
 */
import { element } from "../kernels/element";
import { Format } from "../layouts";
import { decodeBf16 } from "./bf16";
import { decodePanels } from "./panels";

/**
 * to[r, c] = x[row + r, column + c] as f32, for [rows, columns].
 *
 * Callers guarantee that `column` is a multiple of 32, and `columns` too unless they end at C; that either `rows` is 1, or `row` is a
 * multiple of 8, and `rows` too unless they end at R. So a format may keep groups of 32 elements in a row, or eight rows side by side.
 * @param to  f32 [rows, columns], rows `ldTo` apart
 * @param x   an array [R, C] in `format`
 */
export function decodeRows(
  to: usize, ldTo: i32, format: i32, x: usize, R: i32, C: i32, row: i32, column: i32, rows: i32, columns: i32,
): void {
  assert((column & 31) == 0 && ((columns & 31) == 0 || column + columns == C), "decodeRows: columns are not groups of 32");
  assert(rows == 1 || ((row & 7) == 0 && ((rows & 7) == 0 || row + rows == R)), "decodeRows: rows are not groups of 8");
  assert(row >= 0 && row + rows <= R && column >= 0 && column + columns <= C, "decodeRows: out of range");
  if (format == Format.BF16) {
    decodeBf16(to, ldTo, x, C, row, column, rows, columns);
    return;
  }
  if (format == Format.Panels) {
    decodePanels(to, ldTo, x, C, row, column, rows, columns);
    return;
  }
  assert(format == Format.F32, "decodeRows: unknown format");
  for (let r = 0; r < rows; r++) memory.copy(element(to, r * ldTo), element(x, (row + r) * C + column), <usize>columns << 2);
}
