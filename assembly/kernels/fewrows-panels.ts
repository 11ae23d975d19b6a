/**
 * c = start + A·Bᵀ for a few rows of A, with B in the format `panels`: B is read once, front to back, and needs no shuffles.
 *
 * Every sum is taken in the order in which `tile.ts` takes it, so its bits are those of the same weight in f32.
 */
import { PANEL_ROWS } from "../formats/panels";
import { madd } from "../simd";
import { element } from "./element";
import { KC, LONG } from "./tile";

/** Rows of A that are multiplied by a panel while it is in L1. */
const ROWS: usize = 12;
/** Bytes of a row of sums. A single row takes two panels at once: eight independent chains of additions, and two far streams. */
const ROW: usize = <usize>PANEL_ROWS << 2;

/**
 * c[i, j] = start[i, j] + Σ_k a[i, k]·b[j, k].
 * @param c      f32 [M, N], rows `ldc` apart
 * @param start  f32 [M, N], rows `ldStart` apart (0: one row for all, as a bias); may be c (to accumulate) or absent (0: zero)
 * @param a      f32 [M, K], rows `aRow` apart
 * @param b      f32 [ceil(N / 16), K, 16]
 * @param M      1 … ROWS
 * @param sums   2·ROWS·ROW bytes of scratch, aligned to 16
 */
export function fewRowsPanels(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, b: usize, M: i32, N: i32, K: i32, sums: usize,
): void {
  assert(<usize>M <= ROWS, "fewRowsPanels: too many rows");
  const panel = <usize>K * ROW;
  const apart = M == 1 ? N / (2 * PANEL_ROWS) * PANEL_ROWS : 0;
  for (let j = 0, columns = 0; j < N; j += j + columns == apart ? columns + apart : columns) {
    columns = min(N - j, PANEL_ROWS);
    const at = b + <usize>(j / PANEL_ROWS) * panel;
    const isPair = j < apart;
    readStart(sums, start ? element(start, j) : 0, ldStart, M, columns);
    if (isPair) readStart(sums + ROW, start ? element(start, j + apart) : 0, ldStart, 1, columns);
    sumPanel(sums, a, aRow, at, isPair ? at + <usize>(apart / PANEL_ROWS) * panel : 0, M, K);
    for (let i = 0; i < M; i++) copy(element(c, i * ldc + j), sums + <usize>i * ROW, columns);
    if (isPair) copy(element(c, j + apart), sums + ROW, columns);
  }
}

function readStart(sums: usize, start: usize, ldStart: i32, M: i32, columns: i32): void {
  for (let i = 0; i < M; i++, sums += ROW) {
    if (start) copy(sums, element(start, i * ldStart), columns);
    else clear(sums, PANEL_ROWS);
  }
}

// sums += A·Bᵀ for one panel, or for one row and two, `next` being the other. More than two rows share each block while it is in L1.
function sumPanel(sums: usize, a: usize, aRow: i32, b: usize, next: usize, M: i32, K: i32): void {
  const isLong = K > LONG;
  const parts = isLong ? sums + ROWS * ROW : sums;
  const bytes: usize = <usize>(next ? 2 : M) * ROW;
  const block = isLong || M > 2 ? KC : K;
  for (let k = 0; k < K; k += block) {
    const kc = min(block, K - k);
    const offset = <usize>k * ROW;
    if (isLong) clear(parts, <i32>(bytes >> 2));
    if (next) oneRowTwoPanels(parts, element(a, k), b + offset, next + offset, kc);
    else addProducts(parts, element(a, k), aRow, b + offset, M, kc);
    if (isLong) for (let at: usize = 0; at < bytes; at += 16) v128.store(sums + at, f32x4.add(v128.load(sums + at), v128.load(parts + at)));
  }
}

function addProducts(sums: usize, a: usize, aRow: i32, b: usize, M: i32, K: i32): void {
  let i = 0;
  for (; i + 2 <= M; i += 2) twoRows(sums + <usize>i * ROW, element(a, i * aRow), element(a, (i + 1) * aRow), b, K);
  if (i < M) oneRow(sums + <usize>i * ROW, element(a, i * aRow), b, K);
}

// Four k a turn, where instructions, not loads, are the limit; the rest of K is left to `oneRow`.
function oneRowTwoPanels(sums: usize, a: usize, b: usize, next: usize, K: i32): void {
  const fours = K & -4;
  let s0 = v128.load(sums), s1 = v128.load(sums, 16), s2 = v128.load(sums, 32), s3 = v128.load(sums, 48);
  let s4 = v128.load(sums, 64), s5 = v128.load(sums, 80), s6 = v128.load(sums, 96), s7 = v128.load(sums, 112);
  for (const end = element(a, fours); a < end; a += 16, b += 4 * ROW, next += 4 * ROW) {
    const va0 = v128.load32_splat(a);
    s0 = madd(va0, v128.load(b), s0), s1 = madd(va0, v128.load(b, 16), s1);
    s2 = madd(va0, v128.load(b, 32), s2), s3 = madd(va0, v128.load(b, 48), s3);
    s4 = madd(va0, v128.load(next), s4), s5 = madd(va0, v128.load(next, 16), s5);
    s6 = madd(va0, v128.load(next, 32), s6), s7 = madd(va0, v128.load(next, 48), s7);
    const va1 = v128.load32_splat(a, 4);
    s0 = madd(va1, v128.load(b, 64), s0), s1 = madd(va1, v128.load(b, 80), s1);
    s2 = madd(va1, v128.load(b, 96), s2), s3 = madd(va1, v128.load(b, 112), s3);
    s4 = madd(va1, v128.load(next, 64), s4), s5 = madd(va1, v128.load(next, 80), s5);
    s6 = madd(va1, v128.load(next, 96), s6), s7 = madd(va1, v128.load(next, 112), s7);
    const va2 = v128.load32_splat(a, 8);
    s0 = madd(va2, v128.load(b, 128), s0), s1 = madd(va2, v128.load(b, 144), s1);
    s2 = madd(va2, v128.load(b, 160), s2), s3 = madd(va2, v128.load(b, 176), s3);
    s4 = madd(va2, v128.load(next, 128), s4), s5 = madd(va2, v128.load(next, 144), s5);
    s6 = madd(va2, v128.load(next, 160), s6), s7 = madd(va2, v128.load(next, 176), s7);
    const va3 = v128.load32_splat(a, 12);
    s0 = madd(va3, v128.load(b, 192), s0), s1 = madd(va3, v128.load(b, 208), s1);
    s2 = madd(va3, v128.load(b, 224), s2), s3 = madd(va3, v128.load(b, 240), s3);
    s4 = madd(va3, v128.load(next, 192), s4), s5 = madd(va3, v128.load(next, 208), s5);
    s6 = madd(va3, v128.load(next, 224), s6), s7 = madd(va3, v128.load(next, 240), s7);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16), v128.store(sums, s2, 32), v128.store(sums, s3, 48);
  v128.store(sums, s4, 64), v128.store(sums, s5, 80), v128.store(sums, s6, 96), v128.store(sums, s7, 112);
  if (fours < K) oneRow(sums, a, b, K - fours), oneRow(sums + ROW, a, next, K - fours);
}

function oneRow(sums: usize, a: usize, b: usize, K: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16), s2 = v128.load(sums, 32), s3 = v128.load(sums, 48);
  for (const end = element(a, K); a < end; a += 4, b += ROW) {
    const va = v128.load32_splat(a);
    s0 = madd(va, v128.load(b), s0), s1 = madd(va, v128.load(b, 16), s1);
    s2 = madd(va, v128.load(b, 32), s2), s3 = madd(va, v128.load(b, 48), s3);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16), v128.store(sums, s2, 32), v128.store(sums, s3, 48);
}

function twoRows(sums: usize, a0: usize, a1: usize, b: usize, K: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16), s2 = v128.load(sums, 32), s3 = v128.load(sums, 48);
  let t0 = v128.load(sums, 64), t1 = v128.load(sums, 80), t2 = v128.load(sums, 96), t3 = v128.load(sums, 112);
  for (const end = element(a0, K); a0 < end; a0 += 4, a1 += 4, b += ROW) {
    const va0 = v128.load32_splat(a0), va1 = v128.load32_splat(a1);
    const vb0 = v128.load(b), vb1 = v128.load(b, 16), vb2 = v128.load(b, 32), vb3 = v128.load(b, 48);
    s0 = madd(va0, vb0, s0), s1 = madd(va0, vb1, s1), s2 = madd(va0, vb2, s2), s3 = madd(va0, vb3, s3);
    t0 = madd(va1, vb0, t0), t1 = madd(va1, vb1, t1), t2 = madd(va1, vb2, t2), t3 = madd(va1, vb3, t3);
  }
  v128.store(sums, s0), v128.store(sums, s1, 16), v128.store(sums, s2, 32), v128.store(sums, s3, 48);
  v128.store(sums, t0, 64), v128.store(sums, t1, 80), v128.store(sums, t2, 96), v128.store(sums, t3, 112);
}

// At least `n` elements, up to the next multiple of four.
function clear(at: usize, n: i32): void {
  for (; n > 0; n -= 4, at += 16) v128.store(at, f32x4.splat(0));
}

function copy(to: usize, from: usize, n: i32): void {
  for (; n >= 4; n -= 4, to += 16, from += 16) v128.store(to, v128.load(from));
  for (; n > 0; n--, to += 4, from += 4) store<f32>(to, load<f32>(from));
}
