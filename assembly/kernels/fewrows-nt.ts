/**
 * c = start + A·Bᵀ for a few rows of A, as in decoding. B is read once, in place.
 *
 * A row of the product must not depend on the number of rows, so every sum is computed in the same order as in `tile.ts`.
 * For three or more rows, the tiles are used with the roles of A and B swapped: a vector holds the sums of four rows of A. For one or
 * two rows, four k of four rows of B are transposed in registers, and a vector holds the sums of four columns.
 */
import { highHalves, interleaveHigh, interleaveLow, lowHalves, madd } from "../simd";
import { element } from "./element";
import { transposeRows } from "./pack";
import { KC, LONG } from "./tile";
import { tile4x8, tile8x4 } from "./tile4x8";

/**
 * The largest matrix, in elements, that may be in a cache (16 MB). From memory, reading eight rows at a time is faster; from a cache,
 * sixteen.
 */
const IN_CACHE: i64 = 1 << 22;
/** The number of elements in a memory page. Rows that are a multiple of it apart map to one set of L1, which holds eight lines. */
const PAGE: i32 = 1024;
/** The size in bytes of a group of sums: [columns, lanes], at most 32 elements. */
const SUMS: usize = 128;
/** The size in bytes of a panel of eight rows of A. */
const PANEL: usize = (<usize>LONG * 8) << 2;

/**
 * c[i, j] = start[i, j] + Σ_k a[i, k]·b[j, k]. Operands as in `multiplyPanels`, except that B is not packed: its rows are `ldb` apart.
 *
 * Rows of B that are read together are far apart, so that each is a sequential stream that the processor prefetches. Their distance is
 * odd, so that as few of them as possible map to the same set of L1.
 * @param scratch  2·SUMS + 2·PANEL bytes, aligned to 16
 */
export function fewRowsNT(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, b: usize, ldb: i32, M: i32, N: i32, K: i32, scratch: usize,
): void {
  const panels = scratch + 2 * SUMS;
  const width = M > 8 ? 8 : M > 4 ? 4 : M > 2 || <i64>N * K > IN_CACHE || ldb % PAGE == 0 ? 8 : 16;
  const spread = N < width ? 0 : (N / width - 1) | 1;
  for (let k = 0; k == 0 || k < K; k += LONG) {
    const kc = min(LONG, K - k);
    for (let i = 0; M > 2 && i < M; i += 8) {
      transposeRows(panels + (i ? PANEL : 0), M - i > 4 ? 8 : 4, element(a, i * aRow + k), aRow, min(8, M - i), kc);
    }
    if (k > 0) start = c, ldStart = ldc;
    const block = K > LONG ? KC : 0;
    for (let j = 0; j < spread; j++) {
      columnGroup(c, ldc, start, ldStart, element(a, k), aRow, panels, element(b, k), ldb, M, j, width, spread, kc, block, scratch);
    }
    for (let j = spread * width; j < N; j += width) {
      columnGroup(c, ldc, start, ldStart, element(a, k), aRow, panels, element(b, k), ldb, M, j, min(width, N - j), 1, kc, block, scratch);
    }
  }
}

// Computes the columns j, j + apart, … of all rows.
function columnGroup(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, panels: usize, b: usize, ldb: i32,
  M: i32, j: i32, columns: i32, apart: i32, K: i32, block: i32, scratch: usize,
): void {
  for (let i = 0, rows = 0; i < M; i += rows) {
    const lanes = M < 3 ? 1 : M - i > 4 ? 8 : 4;
    const most = M < 3 ? 16 : 32 / lanes;
    rows = min(lanes, M - i);
    for (let column = 0; column < columns; column += most) {
      const at = j + column * apart;
      sumGroup(
        element(c, i * ldc + at), ldc, start ? element(start, i * ldStart + at) : 0, ldStart,
        lanes == 1 ? element(a, i * aRow) : panels + (i ? PANEL : 0), element(b, at * ldb), apart * ldb,
        rows, lanes, min(most, columns - column), apart, K, block, scratch,
      );
    }
  }
}

// Computes `rows` by `columns` sums in scratch, as [columns, lanes]. If `block` is not 0, every block of k is summed from zero, then added.
function sumGroup(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, b: usize, bRow: i32,
  rows: i32, lanes: i32, columns: i32, apart: i32, K: i32, block: i32, scratch: usize,
): void {
  clear(scratch);
  for (let j = 0; start && j < columns; j++) {
    for (let i = 0; i < rows; i++) store<f32>(element(scratch, j * lanes + i), load<f32>(element(start, i * ldStart + j * apart)));
  }
  if (block) {
    const sums = scratch + SUMS;
    for (let k = 0; k < K; k += block) {
      clear(sums);
      addProducts(sums, element(a, k * lanes), lanes, element(b, k), bRow, columns, min(block, K - k));
      for (let at = scratch; at < sums; at += 16) v128.store(at, f32x4.add(v128.load(at), v128.load(at + SUMS)));
    }
  } else {
    addProducts(scratch, a, lanes, b, bRow, columns, K);
  }
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) store<f32>(element(c, i * ldc + j * apart), load<f32>(element(scratch, j * lanes + i)));
  }
}

// Eight stores are faster than a call of memory.fill.
function clear(sums: usize): void {
  for (let at = sums; at < sums + SUMS; at += 16) v128.store(at, f32x4.splat(0));
}

function addProducts(sums: usize, a: usize, lanes: i32, b: usize, bRow: i32, columns: i32, K: i32): void {
  if (lanes == 8) return tile4x8(sums, 8, sums, 8, b, bRow, 1, a, K, columns);
  if (lanes == 4) return tile8x4(sums, 4, sums, 4, b, bRow, 1, a, K, columns);
  const fours = columns == 16 || columns == 8 ? K & -4 : 0;
  if (columns == 16) dots16(sums, a, b, <usize>bRow << 2, fours);
  else if (columns == 8) dots8(sums, a, b, <usize>bRow << 2, fours);
  dots(sums, element(a, fours), element(b, fours), <usize>bRow << 2, columns, K - fours);
}

// Handles any number of columns and any K, one k at a time.
function dots(sums: usize, a: usize, b: usize, pitch: usize, columns: i32, K: i32): void {
  const end = element(a, K);
  for (; columns > 0; columns -= 4, sums += 16, b += 4 * pitch) {
    let b0 = b, b1 = columns > 1 ? b0 + pitch : b0, b2 = columns > 2 ? b1 + pitch : b1, b3 = columns > 3 ? b2 + pitch : b2;
    let s = v128.load(sums);
    for (let at = a; at < end; at += 4, b0 += 4, b1 += 4, b2 += 4, b3 += 4) {
      const vb = v128.load32_lane(b3, v128.load32_lane(b2, v128.load32_lane(b1, v128.load32_zero(b0), 1), 2), 3);
      s = madd(v128.load32_splat(at), vb, s);
    }
    v128.store(sums, s);
  }
}

// Sixteen columns, four k per iteration. It has no tail: on Node 20, sums that are updated after the loop are spilled inside it.
function dots16(sums: usize, a: usize, b: usize, pitch: usize, K: i32): void {
  const pitch2 = pitch + pitch, pitch3 = pitch2 + pitch, pitch4 = pitch2 + pitch2;
  let b4 = b + pitch4, b8 = b4 + pitch4, b12 = b8 + pitch4;
  let s0 = v128.load(sums), s1 = v128.load(sums, 16), s2 = v128.load(sums, 32), s3 = v128.load(sums, 48);
  const end = element(a, K);
  while (a < end) {
    const va0 = v128.load32_splat(a), va1 = v128.load32_splat(a, 4), va2 = v128.load32_splat(a, 8), va3 = v128.load32_splat(a, 12);
    s0 = addFour(s0, va0, va1, va2, va3, b, b + pitch, b + pitch2, b + pitch3);
    s1 = addFour(s1, va0, va1, va2, va3, b4, b4 + pitch, b4 + pitch2, b4 + pitch3);
    s2 = addFour(s2, va0, va1, va2, va3, b8, b8 + pitch, b8 + pitch2, b8 + pitch3);
    s3 = addFour(s3, va0, va1, va2, va3, b12, b12 + pitch, b12 + pitch2, b12 + pitch3);
    a += 16, b += 16, b4 += 16, b8 += 16, b12 += 16;
  }
  v128.store(sums, s0), v128.store(sums, s1, 16), v128.store(sums, s2, 32), v128.store(sums, s3, 48);
}

function dots8(sums: usize, a: usize, b: usize, pitch: usize, K: i32): void {
  const pitch2 = pitch + pitch, pitch3 = pitch2 + pitch;
  let b4 = b + pitch2 + pitch2;
  let s0 = v128.load(sums), s1 = v128.load(sums, 16);
  const end = element(a, K);
  while (a < end) {
    const va0 = v128.load32_splat(a), va1 = v128.load32_splat(a, 4), va2 = v128.load32_splat(a, 8), va3 = v128.load32_splat(a, 12);
    s0 = addFour(s0, va0, va1, va2, va3, b, b + pitch, b + pitch2, b + pitch3);
    s1 = addFour(s1, va0, va1, va2, va3, b4, b4 + pitch, b4 + pitch2, b4 + pitch3);
    a += 16, b += 16, b4 += 16;
  }
  v128.store(sums, s0), v128.store(sums, s1, 16);
}

// The sums of four columns after four more k: s + Σ a_k·b[j, k].
// @ts-ignore: decorator
@inline
function addFour(s: v128, va0: v128, va1: v128, va2: v128, va3: v128, b0: usize, b1: usize, b2: usize, b3: usize): v128 {
  const row0 = v128.load(b0), row1 = v128.load(b1), row2 = v128.load(b2), row3 = v128.load(b3);
  const low01 = interleaveLow(row0, row1), low23 = interleaveLow(row2, row3);
  const high01 = interleaveHigh(row0, row1), high23 = interleaveHigh(row2, row3);
  s = madd(va0, lowHalves(low01, low23), s);
  s = madd(va1, highHalves(low01, low23), s);
  s = madd(va2, lowHalves(high01, high23), s);
  return madd(va3, highHalves(high01, high23), s);
}
