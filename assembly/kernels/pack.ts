/**
 * Packing: B rearranged into panels of NR columns, [ceil(N / NR), K, NR], so that a tile reads it front to back.
 *
 * Columns past N are filled with something finite or repeated, and never reach an output.
 */
import { NR } from "./tile";

/**
 * Packs B as it lies: panels[j / NR, k, j % NR] = b[k, j].
 * @param panels  f32 [ceil(N / NR), K, NR], aligned to 16
 * @param b       f32 [K, N], rows `ldb` apart
 */
export function packColumns(panels: usize, b: usize, ldb: i32, N: i32, K: i32): void {
  const pitch = <usize>ldb << 2;
  for (let j = 0; j < N; j += NR) {
    let row = b + (<usize>j << 2);
    const end = panels + (<usize>(K * NR) << 2);
    const columns = N - j;
    if (columns >= NR) {
      while (panels < end) {
        v128.store(panels, v128.load(row)), v128.store(panels, v128.load(row, 16), 16);
        if (NR > 8) v128.store(panels, v128.load(row, 32), 32), v128.store(panels, v128.load(row, 48), 48);
        row += pitch;
        panels += NR << 2;
      }
    } else {
      while (panels < end) {
        for (let i = 0; i < NR; i++) store<f32>(panels + (<usize>i << 2), i < columns ? load<f32>(row + (<usize>i << 2)) : 0);
        row += pitch;
        panels += NR << 2;
      }
    }
  }
}

/**
 * Packs the transpose: panels[j / NR, k, j % NR] = b[j, k].
 * @param panels  f32 [ceil(N / NR), K, NR], aligned to 16
 * @param b       f32 [N, K], rows `ldb` apart
 */
export function packRows(panels: usize, b: usize, ldb: i32, N: i32, K: i32): void {
  const padded = (N + NR - 1) & -NR;
  for (let j = 0; j < padded; j += 4) {
    // Four rows become a column of 4-wide blocks; rows past the last repeat it.
    const last = N - 1;
    const b0 = b + (<usize>(min(j, last) * ldb) << 2);
    const b1 = b + (<usize>(min(j + 1, last) * ldb) << 2);
    const b2 = b + (<usize>(min(j + 2, last) * ldb) << 2);
    const b3 = b + (<usize>(min(j + 3, last) * ldb) << 2);
    packFourRows(panels + (<usize>((j & -NR) * K + (j & (NR - 1))) << 2), b0, b1, b2, b3, K);
  }
}

function packFourRows(to: usize, b0: usize, b1: usize, b2: usize, b3: usize, K: i32): void {
  let k = K;
  while (k >= 4) {
    const r0 = v128.load(b0), r1 = v128.load(b1), r2 = v128.load(b2), r3 = v128.load(b3);
    const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
    const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
    v128.store(to, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), NR << 2);
    v128.store(to, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), NR << 3);
    v128.store(to, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), (NR << 2) * 3);
    b0 += 16, b1 += 16, b2 += 16, b3 += 16;
    to += NR << 4;
    k -= 4;
  }
  while (k > 0) {
    store<f32>(to, load<f32>(b0));
    store<f32>(to, load<f32>(b1), 4);
    store<f32>(to, load<f32>(b2), 8);
    store<f32>(to, load<f32>(b3), 12);
    b0 += 4, b1 += 4, b2 += 4, b3 += 4;
    to += NR << 2;
    k--;
  }
}

/** Copies R rows of C elements, `ldTo` and `ld` apart: a block of a transposed A, brought together. */
export function copyRows(to: usize, ldTo: i32, from: usize, ld: i32, R: i32, C: i32): void {
  for (let r = 0; r < R; r++) {
    const shift = from - to;
    const end = to + (<usize>C << 2);
    const vectorEnd = to + (<usize>(C & -4) << 2);
    let at = to;
    while (at < vectorEnd) {
      v128.store(at, v128.load(at + shift));
      at += 16;
    }
    while (at < end) {
      store<f32>(at, load<f32>(at + shift));
      at += 4;
    }
    to += <usize>ldTo << 2;
    from += <usize>ld << 2;
  }
}
