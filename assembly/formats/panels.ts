/**
 * f32 in panels of 16 rows, [ceil(R / 16), C, 16]: element (r, c) at ((r / 16)·C + c)·16 + r % 16. Rows past R are zero.
 *
 * A product of a few rows reads such a weight front to back, without shuffles: `fewrows-panels.ts`.
 */
import { element } from "../kernels/element";
import { NR } from "../kernels/tile";
import { storeTransposed } from "../simd";

/** Rows of a panel. */
export const PANEL_ROWS: i32 = 16;
/** Bytes of a column of a panel. */
const PITCH: usize = <usize>PANEL_ROWS << 2;

/** to[r, c] = x[row + r, column + c] for [rows, columns], as `decodeRows` has its operands. */
export function decodePanels(to: usize, ldTo: i32, x: usize, C: i32, row: i32, column: i32, rows: i32, columns: i32): void {
  let r = 0;
  for (; r + 4 <= rows; r += 4) decodeFourRows(element(to, r * ldTo), <usize>ldTo << 2, placeOf(x, C, row + r, column), columns);
  for (; r < rows; r++) {
    let at = element(to, r * ldTo);
    let from = placeOf(x, C, row + r, column);
    for (const end = element(at, columns); at < end; at += 4, from += PITCH) store<f32>(at, load<f32>(from));
  }
}

/**
 * Packs the [N, K] block at (row, column) for a product with the transpose of x: to[j / NR, k, j % NR] = x[row + j, column + k].
 * @param row  a multiple of NR
 */
export function packPanels(to: usize, x: usize, C: i32, row: i32, column: i32, N: i32, K: i32): void {
  for (let j = 0; j < N; j += NR, to += <usize>(K * NR) << 2) {
    const from = placeOf(x, C, row + j, column);
    if (NR == PANEL_ROWS) memory.copy(to, from, <usize>(K * NR) << 2);
    else copyHalves(to, from, K);
  }
}

function copyHalves(to: usize, from: usize, K: i32): void {
  for (const end = to + (<usize>K << 5); to < end; to += 32, from += PITCH) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
  }
}

// @ts-ignore: decorator
@inline
function placeOf(x: usize, C: i32, row: i32, column: i32): usize {
  return x + (<usize>(row / PANEL_ROWS) * C + column) * PITCH + (<usize>(row % PANEL_ROWS) << 2);
}

function decodeFourRows(to: usize, pitch: usize, from: usize, columns: i32): void {
  for (; columns >= 4; columns -= 4, to += 16, from += 4 * PITCH) {
    storeTransposed(to, pitch, v128.load(from), v128.load(from, 64), v128.load(from, 128), v128.load(from, 192));
  }
  for (; columns > 0; columns--, to += 4, from += PITCH) {
    const x = v128.load(from);
    v128.store32_lane(to, x, 0);
    v128.store32_lane(to + pitch, x, 1);
    v128.store32_lane(to + 2 * pitch, x, 2);
    v128.store32_lane(to + 3 * pitch, x, 3);
  }
}
