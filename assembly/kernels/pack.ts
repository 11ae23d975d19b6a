/**
 * Packing: rearranges B into panels of NR columns, [ceil(N / NR), K, NR], so that a tile reads it sequentially.
 *
 * Columns past N hold arbitrary values (zeros, repeated columns or stale data) that never reach an output.
 */
import { storeTransposed } from "../simd";
import { element } from "./element";
import { NR } from "./tile";

/**
 * Packs B: panels[j / NR, k, j % NR] = b[k, j].
 * @param panels  f32 [ceil(N / NR), K, NR], aligned to 16
 * @param b       f32 [K, N], rows `ldb` apart
 */
export function packColumns(panels: usize, b: usize, ldb: i32, N: i32, K: i32): void {
  // Four rows at a time, each read from start to end: whole cache lines are used, and the processor prefetches them.
  for (let k = 0; k < K; k += 4) packFourRows(element(panels, k * NR), K, element(b, k * ldb), ldb, N, min(4, K - k));
}

/**
 * Packs up to four rows of B.
 * @param panels  where the first of them belongs, in panels of K rows
 * @param b       f32 [rows, N], rows `ldb` apart
 */
export function packFourRows(panels: usize, K: i32, b: usize, ldb: i32, N: i32, rows: i32): void {
  for (let j = 0; j < N; j += NR) {
    const to = element(panels, j * K);
    if (rows == 4 && j + NR <= N) copyFourRows(to, element(b, j), <usize>ldb << 2);
    else copyRows(to, element(b, j), ldb, rows, min(NR, N - j));
  }
}

// @ts-ignore: decorator
@inline
function copyFourRows(to: usize, from: usize, pitch: usize): void {
  for (let r = 0; r < 4; r++) {
    v128.store(to, v128.load(from)), v128.store(to, v128.load(from, 16), 16);
    if (NR > 8) v128.store(to, v128.load(from, 32), 32), v128.store(to, v128.load(from, 48), 48);
    to += NR << 2;
    from += pitch;
  }
}

function copyRows(to: usize, from: usize, ld: i32, R: i32, C: i32): void {
  for (let r = 0; r < R; r++) {
    for (let c = 0; c < NR; c++) store<f32>(element(to, r * NR + c), c < C ? load<f32>(element(from, r * ld + c)) : 0);
  }
}

/**
 * Packs the transpose of b: panels[j / NR, k, j % NR] = b[j, k].
 * @param panels  f32 [ceil(N / NR), K, NR], aligned to 16
 * @param b       f32 [N, K], rows `ldb` apart
 */
export function packRows(panels: usize, b: usize, ldb: i32, N: i32, K: i32): void {
  for (let j = 0; j < N; j += NR) {
    transposeRows(panels, NR, element(b, j * ldb), ldb, min(NR, N - j), K);
    panels += <usize>(K * NR) << 2;
  }
}

/**
 * Transposes: to[c, r] = x[r, c]. R is rounded up to a multiple of 4, and the additional r repeat the last row of x.
 * @param to  f32 [C, R], rows `ldTo` apart
 * @param x   f32 [R, C], rows `ld` apart
 */
export function transposeRows(to: usize, ldTo: i32, x: usize, ld: i32, R: i32, C: i32): void {
  const last = R - 1;
  for (let r = 0; r < R; r += 4) {
    transposeFourRows(
      element(to, r), <usize>ldTo << 2,
      element(x, r * ld), element(x, min(r + 1, last) * ld), element(x, min(r + 2, last) * ld), element(x, min(r + 3, last) * ld), C,
    );
  }
}

function transposeFourRows(to: usize, pitch: usize, x0: usize, x1: usize, x2: usize, x3: usize, C: i32): void {
  const end = x0 + (<usize>C << 2);
  const vectorEnd = x0 + (<usize>(C & -4) << 2);
  while (x0 < vectorEnd) {
    storeTransposed(to, pitch, v128.load(x0), v128.load(x1), v128.load(x2), v128.load(x3));
    x0 += 16, x1 += 16, x2 += 16, x3 += 16;
    to += 4 * pitch;
  }
  while (x0 < end) {
    store<f32>(to, load<f32>(x0));
    store<f32>(to, load<f32>(x1), 4);
    store<f32>(to, load<f32>(x2), 8);
    store<f32>(to, load<f32>(x3), 12);
    x0 += 4, x1 += 4, x2 += 4, x3 += 4;
    to += pitch;
  }
}
