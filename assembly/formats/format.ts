/**
 * Weight formats. A kernel that reads weights decodes the rows it needs to f32. A format is therefore a single file, and works in every
 * matrix product and in the embedding. Every format except f32 is dense and defines its own layout, which may depend on R and C.
 */
import { element } from "../kernels/element";
import { Format, IntegerBlock } from "../layouts";
import { decodeBf16 } from "./bf16";
import { decodeInt4, decodeInt8 } from "./integers";
import { decodePanels } from "./panels";

/**
 * to[r, c] = x[row + r, column + c] as f32, for [rows, columns].
 *
 * Callers guarantee that `column` is a multiple of 32, and that `columns` is too, unless the range ends at C. They also guarantee that
 * `rows` is 1, or that `row` is a multiple of 8 and `rows` is too, unless the range ends at R. A format may therefore group 32
 * consecutive elements of a row, or interleave eight rows.
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
  if (format == Format.Int8 || format == Format.Int8Rows) {
    const group = format == Format.Int8 ? IntegerBlock.Group : (C + IntegerBlock.Group - 1) & -IntegerBlock.Group;
    decodeInt8(to, ldTo, x, C, group, row, column, rows, columns);
    return;
  }
  if (format == Format.Int4) {
    decodeInt4(to, ldTo, x, C, row, column, rows, columns);
    return;
  }
  assert(format == Format.F32, "decodeRows: unknown format");
  for (let r = 0; r < rows; r++) memory.copy(element(to, r * ldTo), element(x, (row + r) * C + column), <usize>columns << 2);
}
