/**
 * The micro-kernel of every matrix product: computes an MR x NR tile of C, which stays in registers over all of K.
 *
 * A is read in place with two strides, so it may be transposed. B is packed by `pack.ts` into panels of NR columns.
 * V8 keeps the tile in its 15 registers only if the loop tests its condition at the top, all accumulators are loaded before it, and only
 * stores follow it.
 *
 * Every element is summed in the same order, regardless of the tile, the number of rows, the slice or the thread that computes it. The
 * sum starts with the bias, with the element that is added to, or with zero. Up to LONG products are added one by one, in the order of
 * k. More products are summed in blocks of KC, each from zero and in the order of k, and the block sums are added one after another.
 *
 * Tiles: Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication".
 */
import { element } from "./element";
import { tile2x16 } from "./tile2x16";
import { tile4x8 } from "./tile4x8";
import { tile6x8 } from "./tile6x8";
import { tile4x16, tile6x16 } from "./tile6x16";

/** Whether this is the turbo build (see asconfig.json), for engines that merge two neighbouring operations into one of 256 bits. */
const TURBO: bool = isDefined(HEED_TURBO);

/** The number of rows of a tile. */
export const MR: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 2;
/** The number of columns of a tile and of a packed panel. */
export const NR: i32 = ASC_FEATURE_RELAXED_SIMD && !TURBO ? 8 : 16;
/** The number of products in a block. That many rows of a panel of B stay in L1. */
export const KC: i32 = 128;
/** Sums of more products than this are computed in blocks. */
export const LONG: i32 = 1024;
/**
 * The number of rows whose block sums `addPanels` computes before it adds them. With fewer rows, calls cost more; with more rows, the
 * columns of c miss L1.
 */
const STRIP: i32 = 12;
/** The bytes of scratch that `multiplyPanels` needs for a tile that extends past the last column. The same for all builds. */
export const EDGE_BYTES: i32 = 384;

/**
 * C = start + A·B for one tile of `rows` x NR.
 * @param c      f32 [rows, NR], rows `ldc` apart
 * @param start  f32 [rows, NR], rows `ldStart` apart (0: one row for all, like a bias); may be c (to accumulate) or absent (0: zero)
 * @param a      f32 [rows, K]: element (i, k) at a + 4(i·aRow + k·aStep)
 * @param b      f32 [K, NR], a packed panel, aligned to 16
 * @param rows   1 … MR. Pointers past the last row repeat it, so that one loop handles any number of rows
 */
// @ts-ignore: decorator
@inline
export function tile(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, K: i32, rows: i32,
): void {
  if (!ASC_FEATURE_RELAXED_SIMD) tile2x16(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
  else if (TURBO && rows > 4) tile6x16(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
  else if (TURBO) tile4x16(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
  else if (rows > 4) tile6x8(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
  else tile4x8(c, ldc, start, ldStart, a, aRow, aStep, b, K, rows);
}

/** The number of rows of the next tile. Eight remaining rows are split into four and four rather than six and two. */
// @ts-ignore: decorator
@inline
export function tileRows(left: i32): i32 {
  return MR == 6 && (left == 7 || left == 8) ? 4 : min(MR, left);
}

/**
 * C = start + A·B for any M and N, with B packed. Each panel stays in L1 while the rows of A are streamed past it.
 * @param c       f32 [M, N], rows `ldc` apart
 * @param start   f32 [M, N], rows `ldStart` apart (0: one row for all, like a bias); may be c (to accumulate) or absent (0: zero)
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
    for (let i = 0, rows = 0; i < M; i += rows) {
      rows = tileRows(M - i);
      const cTile = element(c, i * ldc + j);
      const startTile = start ? element(start, i * ldStart + j) : 0;
      const aTile = element(a, i * aRow);
      const inside = columns >= NR;
      if (!inside && start) copyTile(edge, NR, startTile, ldStart, rows, columns);
      tile(
        inside ? cTile : edge, inside ? ldc : NR, !inside && start ? edge : startTile, inside ? ldStart : NR,
        aTile, aRow, aStep, panel, K, rows,
      );
      if (!inside) copyTile(cTile, ldc, edge, NR, rows, columns);
    }
  }
}

/**
 * C = start + A·B like `multiplyPanels`, except that A·B is summed from zero and then added.
 * @param sums  f32 [STRIP, NR], aligned to 16
 */
export function addPanels(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, panels: usize, M: i32, N: i32, K: i32, sums: usize,
): void {
  if (!start) {
    for (let i = 0; i < M; i++) memory.fill(element(c, i * ldc), 0, <usize>N << 2);
    start = c, ldStart = ldc;
  }
  for (let j = 0; j < N; j += NR) {
    for (let i = 0; i < M; i += STRIP) {
      const rows = min(STRIP, M - i);
      multiplyPanels(sums, NR, 0, 0, element(a, i * aRow), aRow, aStep, element(panels, j * K), rows, NR, K, 0);
      addSums(element(c, i * ldc + j), ldc, element(start, i * ldStart + j), ldStart, sums, rows, min(NR, N - j));
    }
  }
}

// A separate pass: on Node 20, arithmetic on a tile's sums after its loop makes them spill inside the loop.
function addSums(c: usize, ldc: i32, start: usize, ldStart: i32, sums: usize, M: i32, columns: i32): void {
  const pitch = <usize>ldc << 2;
  const pitchStart = <usize>ldStart << 2;
  const end = sums + (<usize>(M * NR) << 2);
  if (columns < NR) {
    for (; sums < end; sums += NR << 2, c += pitch, start += pitchStart) {
      for (let j = 0; j < columns; j++) store<f32>(element(c, j), load<f32>(element(start, j)) + load<f32>(element(sums, j)));
    }
    return;
  }
  while (sums < end) {
    v128.store(c, f32x4.add(v128.load(start), v128.load(sums)));
    v128.store(c, f32x4.add(v128.load(start, 16), v128.load(sums, 16)), 16);
    if (NR > 8) {
      v128.store(c, f32x4.add(v128.load(start, 32), v128.load(sums, 32)), 32);
      v128.store(c, f32x4.add(v128.load(start, 48), v128.load(sums, 48)), 48);
    }
    c += pitch, start += pitchStart, sums += NR << 2;
  }
}

function copyTile(to: usize, ldTo: i32, from: usize, ldFrom: i32, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) store<f32>(element(to, i * ldTo + j), load<f32>(element(from, i * ldFrom + j)));
  }
}
