/**
 * The micro-kernel that every matrix product is made of: an MR x NR tile of C, held in registers over the whole of K.
 *
 * A is read where it lies, by two strides (so it may be transposed); B is packed by `pack.ts` into panels of NR columns.
 * What V8 needs to keep the tile in its 15 registers: a top-tested loop, accumulators loaded before it and nothing but stores after it.
 * Every element is summed in the order of k, whatever the tile, the block or the thread that computes it.
 *
 * Tiles: Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication".
 */

/** Rows of a tile. Without fused multiply-add 2x16 has the fewest instructions of those that never spill, on any V8 from Node 20 on. */
export const MR: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 2;
/** Columns of a tile, and of a packed panel. */
export const NR: i32 = ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
/** Bytes that `multiplyPanels` needs for a tile that overhangs the last column: as many for either build. */
export const EDGE_BYTES: i32 = 256;

/**
 * C = start + A·B for one tile of `rows` x NR.
 * @param c      f32 [rows, NR], rows `ldc` apart
 * @param start  f32 [rows, NR], rows `ldStart` apart (0: one row for all, as a bias); may be c (to accumulate) or absent (0: zero)
 * @param a      f32 [rows, K]: element (i, k) at a + 4(i·aRow + k·aStep)
 * @param b      f32 [K, NR], a packed panel, aligned to 16
 * @param rows   1 … MR: pointers past the last row repeat it, so that the loop needs no other form
 */
// @ts-ignore: decorator
@inline
export function tile(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, K: i32, rows: i32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) tile6x8(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
  else tile2x16(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
}

function tile2x16(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, K: i32, rows: i32,
): void {
  const last = rows - 1;
  const step = <usize>aStep << 2;
  const end = element(b, K * NR);
  // These masks change nothing, but show V8 11 that the pointers' upper halves are zero: two instructions of 31 fewer, 47 → 56 GFLOP/s.
  b &= ~15;
  let a0 = a & ~3;
  let a1 = element(a, last * aRow);
  let c00 = f32x4.splat(0), c01 = c00, c02 = c00, c03 = c00;
  let c10 = c00, c11 = c00, c12 = c00, c13 = c00;
  if (start) {
    c00 = v128.load(start), c01 = v128.load(start, 16), c02 = v128.load(start, 32), c03 = v128.load(start, 48);
    start = element(start, last * ldStart);
    c10 = v128.load(start), c11 = v128.load(start, 16), c12 = v128.load(start, 32), c13 = v128.load(start, 48);
  }

  while (b < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    const va0 = v128.load32_splat(a0);
    c00 = f32x4.add(c00, f32x4.mul(va0, b0));
    c01 = f32x4.add(c01, f32x4.mul(va0, b1));
    c02 = f32x4.add(c02, f32x4.mul(va0, b2));
    c03 = f32x4.add(c03, f32x4.mul(va0, b3));
    const va1 = v128.load32_splat(a1);
    c10 = f32x4.add(c10, f32x4.mul(va1, b0));
    c11 = f32x4.add(c11, f32x4.mul(va1, b1));
    c12 = f32x4.add(c12, f32x4.mul(va1, b2));
    c13 = f32x4.add(c13, f32x4.mul(va1, b3));
    a0 += step;
    a1 += step;
    b += 64;
  }

  v128.store(c, c00), v128.store(c, c01, 16), v128.store(c, c02, 32), v128.store(c, c03, 48);
  c = element(c, last * ldc);
  v128.store(c, c10), v128.store(c, c11, 16), v128.store(c, c12, 32), v128.store(c, c13, 48);
}

function tile6x8(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, K: i32, rows: i32,
): void {
  const last = rows - 1;
  const step = <usize>aStep << 2;
  const end = element(b, K * NR);
  const aPitch = <usize>aRow << 2;
  let a0 = a;
  let a1 = last >= 1 ? a0 + aPitch : a0;
  let a2 = last >= 2 ? a1 + aPitch : a1;
  let a3 = last >= 3 ? a2 + aPitch : a2;
  let a4 = last >= 4 ? a3 + aPitch : a3;
  let a5 = last >= 5 ? a4 + aPitch : a4;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  if (start) {
    const pitch = <usize>ldStart << 2;
    c00 = v128.load(start), c01 = v128.load(start, 16);
    if (last >= 1) start += pitch;
    c10 = v128.load(start), c11 = v128.load(start, 16);
    if (last >= 2) start += pitch;
    c20 = v128.load(start), c21 = v128.load(start, 16);
    if (last >= 3) start += pitch;
    c30 = v128.load(start), c31 = v128.load(start, 16);
    if (last >= 4) start += pitch;
    c40 = v128.load(start), c41 = v128.load(start, 16);
    if (last >= 5) start += pitch;
    c50 = v128.load(start), c51 = v128.load(start, 16);
  }

  while (b < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let va = v128.load32_splat(a0);
    c00 = f32x4.relaxed_madd(va, b0, c00), c01 = f32x4.relaxed_madd(va, b1, c01);
    va = v128.load32_splat(a1);
    c10 = f32x4.relaxed_madd(va, b0, c10), c11 = f32x4.relaxed_madd(va, b1, c11);
    va = v128.load32_splat(a2);
    c20 = f32x4.relaxed_madd(va, b0, c20), c21 = f32x4.relaxed_madd(va, b1, c21);
    va = v128.load32_splat(a3);
    c30 = f32x4.relaxed_madd(va, b0, c30), c31 = f32x4.relaxed_madd(va, b1, c31);
    va = v128.load32_splat(a4);
    c40 = f32x4.relaxed_madd(va, b0, c40), c41 = f32x4.relaxed_madd(va, b1, c41);
    va = v128.load32_splat(a5);
    c50 = f32x4.relaxed_madd(va, b0, c50), c51 = f32x4.relaxed_madd(va, b1, c51);
    a0 += step, a1 += step, a2 += step, a3 += step, a4 += step, a5 += step;
    b += 32;
  }

  const pitch = <usize>ldc << 2;
  v128.store(c, c00), v128.store(c, c01, 16);
  if (last >= 1) c += pitch;
  v128.store(c, c10), v128.store(c, c11, 16);
  if (last >= 2) c += pitch;
  v128.store(c, c20), v128.store(c, c21, 16);
  if (last >= 3) c += pitch;
  v128.store(c, c30), v128.store(c, c31, 16);
  if (last >= 4) c += pitch;
  v128.store(c, c40), v128.store(c, c41, 16);
  if (last >= 5) c += pitch;
  v128.store(c, c50), v128.store(c, c51, 16);
}

/**
 * C = start + A·B for any M and N, B packed: panel by panel, each hot in L1 while the rows of A pass by.
 * @param c       f32 [M, N], rows `ldc` apart
 * @param start   f32 [M, N], rows `ldStart` apart (0: one row for all, as a bias); may be c (to accumulate) or absent (0: zero)
 * @param a       f32 [M, K]: element (i, k) at a + 4(i·aRow + k·aStep)
 * @param panels  f32 [ceil(N / NR), K, NR], from `packColumns` or `packRows`
 * @param edge    EDGE_BYTES of scratch, aligned to 16
 */
export function multiplyPanels(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, panels: usize, M: i32, N: i32, K: i32, edge: usize,
): void {
  for (let j = 0; j < N; j += NR) {
    const panel = element(panels, j * K);
    const columns = N - j;
    for (let i = 0; i < M; i += MR) {
      const rows = min(MR, M - i);
      const cTile = element(c, i * ldc + j);
      const startTile = start ? element(start, i * ldStart + j) : 0;
      const aTile = element(a, i * aRow);
      if (columns >= NR) {
        tile(cTile, ldc, startTile, ldStart, aTile, aRow, aStep, panel, K, rows);
      } else {
        if (start) copyTile(edge, NR, startTile, ldStart, rows, columns);
        tile(edge, NR, start ? edge : 0, NR, aTile, aRow, aStep, panel, K, rows);
        copyTile(cTile, ldc, edge, NR, rows, columns);
      }
    }
  }
}

function copyTile(to: usize, ldTo: i32, from: usize, ldFrom: i32, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) store<f32>(element(to, i * ldTo + j), load<f32>(element(from, i * ldFrom + j)));
  }
}

/** Address of an f32 by its index. */
// @ts-ignore: decorator
@inline
export function element(base: usize, index: i32): usize {
  return base + (<usize>index << 2);
}
