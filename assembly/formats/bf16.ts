/** bfloat16: the upper half of an f32, stored as dense u16 [R, C]. Decoding is exact. */
import { element } from "../kernels/element";

/** to[r, c] = x[row + r, column + c] for [rows, columns]. Operands as in `decodeRows`. */
export function decodeBf16(to: usize, ldTo: i32, x: usize, C: i32, row: i32, column: i32, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    let at = element(to, r * ldTo);
    let from = x + ((<usize>(row + r) * C + column) << 1);
    const end = element(at, columns);
    const vectorEnd = element(at, columns & -8);
    for (; at < vectorEnd; at += 32, from += 16) {
      v128.store(at, i32x4.shl(v128.load_ext<u16>(from), 16));
      v128.store(at, i32x4.shl(v128.load_ext<u16>(from, 8), 16), 16);
    }
    for (; at < end; at += 4, from += 2) store<u32>(at, <u32>load<u16>(from) << 16);
  }
}
