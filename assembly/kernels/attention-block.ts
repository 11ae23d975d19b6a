/**
 * One block of attention: up to BLOCK queries by BLOCK keys, whose scores never leave the scratch.
 *
 * Scores stand transposed, f32 [keys, queries] with rows BLOCK apart: a vector holds one key's score for four queries, so the
 * softmax needs no sums across lanes, and the tile reads the weights of either product where they lie.
 * What a query may see is one number: query i of the block sees key j of the block iff j <= i + shift.
 */
import { AttentionScratch } from "../layouts";
import { dropThreshold, keepBits } from "../random";
import { loadTail, storeTail } from "../simd";
import { MR, NR, tile } from "./tile";

/** Queries, and keys, in a block. */
export const BLOCK: i32 = AttentionScratch.Block;
/** Bytes from one key's scores to the next key's. */
export const ROW: i32 = 4 * BLOCK;
/** The shift of a block that hides nothing. */
export const SEES_ALL: i32 = 1 << 30;

/** How many of the block's `keys` query i sees. */
// @ts-ignore: decorator
@inline
export function visible(i: i32, keys: i32, shift: i32): i32 {
  return max(0, min(keys, i + shift + 1));
}

/** Where the keys end whose weight for the four queries from i is read: a tile that holds one of them may reach MR − 1 queries on. */
// @ts-ignore: decorator
@inline
export function reach(i: i32, keys: i32, shift: i32): i32 {
  return visible(i + 3 + MR - 1, keys, shift);
}

/**
 * s[j, i] = Σ_d k[j, d]·q[i, d], but for tiles that no query sees.
 * @param s       f32 [keys, BLOCK]
 * @param k       f32 [keys, D], rows `ldk` apart
 * @param panels  q [queries, D], by `packRows`
 */
export function scores(s: usize, k: usize, ldk: i32, panels: usize, keys: i32, queries: i32, D: i32, shift: i32): void {
  for (let i = 0; i < queries; i += NR) {
    const panel = panels + (<usize>(i * D) << 2);
    const end = visible(i + NR - 1, keys, shift);
    for (let j = 0; j < end; j += MR) {
      tile(s + (<usize>(j * BLOCK + i) << 2), BLOCK, 0, 0, k + (<usize>(j * ldk) << 2), ldk, 1, panel, D, min(MR, keys - j));
    }
  }
}

/**
 * c[i, d] = start + Σ_j w[j, i]·x[j, d] over the keys j that query i sees.
 * @param c       f32 [queries, D], rows `ldc` apart
 * @param fresh   start is zero, or else c
 * @param w       f32 [keys, BLOCK], zero where a query does not see the key
 * @param panels  x [keys, D], by `packColumns`
 * @param exact   a hidden key's weight, though zero, is not even multiplied: its x may be NaN or Infinity
 * @param edge    EDGE_BYTES of scratch
 */
export function sumOverKeys(
  c: usize, ldc: i32, fresh: bool, w: usize, panels: usize, queries: i32, keys: i32, D: i32, shift: i32, exact: bool, edge: usize,
): void {
  const step = exact ? 1 : MR;
  for (let d = 0; d < D; d += NR) {
    const panel = panels + (<usize>(d * keys) << 2);
    for (let i = 0; i < queries; i += step) {
      const rows = min(step, queries - i);
      const cTile = c + (<usize>(i * ldc + d) << 2);
      edgeTile(cTile, ldc, fresh, w + (<usize>i << 2), 1, BLOCK, panel, visible(i + rows - 1, keys, shift), rows, D - d, edge);
    }
  }
}

/**
 * c[j, d] = start + Σ_i w[j, i]·x[i, d] over the queries i that see key j.
 * @param c       f32 [keys, D], rows `ldc` apart
 * @param panels  x [queries, D], by `packColumns`
 * The others are `sumOverKeys`'s.
 */
export function sumOverQueries(
  c: usize, ldc: i32, fresh: bool, w: usize, panels: usize, keys: i32, queries: i32, D: i32, shift: i32, exact: bool, edge: usize,
): void {
  const step = exact ? 1 : MR;
  for (let d = 0; d < D; d += NR) {
    const panel = panels + (<usize>(d * queries) << 2);
    for (let j = 0; j < keys; j += step) {
      const first = max(0, min(queries, j - shift));
      const cTile = c + (<usize>(j * ldc + d) << 2);
      const wTile = w + (<usize>(j * BLOCK + first) << 2);
      edgeTile(cTile, ldc, fresh, wTile, BLOCK, 1, panel + (<usize>(first * NR) << 2), queries - first, min(step, keys - j), D - d, edge);
    }
  }
}

/** A tile of which only `columns` may be written. */
// @ts-ignore: decorator
@inline
function edgeTile(
  c: usize, ldc: i32, fresh: bool, a: usize, aRow: i32, aStep: i32, panel: usize, K: i32, rows: i32, columns: i32, edge: usize,
): void {
  if (columns >= NR) {
    tile(c, ldc, fresh ? 0 : c, ldc, a, aRow, aStep, panel, K, rows);
  } else {
    tile(edge, NR, 0, 0, a, aRow, aStep, panel, K, rows);
    for (let r = 0; r < rows; r++) addRow(c + (<usize>(r * ldc) << 2), edge + (<usize>(r * NR) << 2), columns, fresh);
  }
}

/** Writes x to a row of D floats, or adds it. */
function addRow(row: usize, x: usize, D: i32, fresh: bool): void {
  for (; D > 3; D -= 4) {
    v128.store(row, fresh ? v128.load(x) : f32x4.add(v128.load(row), v128.load(x)));
    row += 16;
    x += 16;
  }
  if (D > 0) storeTail(row, fresh ? v128.load(x) : f32x4.add(loadTail(row, D), v128.load(x)), D);
}

/** Sets `column` [from … to), the scores of the four queries from i, to `value` where the query does not see the key. */
export function hide(column: usize, i: i32, from: i32, to: i32, shift: i32, value: f32): void {
  const last = i32x4.add(i32x4.splat(i + shift), i32x4(0, 1, 2, 3)); // the last key that each query sees
  const vvalue = f32x4.splat(value);
  for (let j = from; j < to; j++) {
    const at = column + j * ROW;
    v128.store(at, v128.bitselect(vvalue, v128.load(at), i32x4.lt_s(last, i32x4.splat(j))));
  }
}

/** Whether all of x [K, D], packed by `packColumns`, is finite: by the exponents, of which 0xff means NaN or Infinity. */
export function allFinite(panels: usize, K: i32, D: i32): bool {
  let largest0 = i32x4.splat(0), largest1 = largest0;
  const end = panels + (<usize>(((D + NR - 1) & -NR) * K) << 2);
  while (panels < end) {
    largest0 = i32x4.max_u(largest0, i32x4.shl(v128.load(panels), 1));
    largest1 = i32x4.max_u(largest1, i32x4.shl(v128.load(panels, 16), 1));
    panels += 32;
  }
  return i32x4.all_true(i32x4.lt_u(i32x4.max_u(largest0, largest1), i32x4.splat(0xff000000)));
}

/**
 * Draws dropout's mask for what a block's queries see: bit j & 31 of bits[j / 32, i] says whether query i keeps key j.
 * @param bits   u32 [BLOCK / 32, BLOCK]
 * @param row    of the block's first query among all: (b·H + h)·Tq + i
 * @param first  of the block's keys among all Tk: a multiple of 32
 */
export function drawMask(
  bits: usize, rng: usize, stream: i32, dropout: f32, row: i32, queries: i32, first: i32, keys: i32, Tk: i32, shift: i32,
): void {
  const threshold = dropThreshold(dropout);
  const perRow = (Tk + 7) >> 3;
  for (let i = 0; i < queries; i++) {
    const end = visible(i, keys, shift);
    for (let j = 0; j < end; j += 32) {
      const block = (row + i) * perRow + ((first + j) >> 3);
      store<u32>(bits + (<usize>((j >> 5) * BLOCK + i) << 2), keepBits(rng, stream, block, threshold));
    }
  }
}

/** column [0 … end) of the four queries from i: what the mask keeps times `keepScale`, zero elsewhere. */
export function dropColumn(column: usize, bits: usize, i: i32, end: i32, keepScale: f32): void {
  const vscale = f32x4.splat(keepScale);
  for (let j = 0; j < end; j++) {
    const words = v128.load(bits + (<usize>((j >> 5) * BLOCK + i) << 2));
    const bit = i32x4.splat(1 << (j & 31));
    const at = column + j * ROW;
    v128.store(at, v128.and(f32x4.mul(v128.load(at), vscale), i32x4.eq(v128.and(words, bit), bit)));
  }
}
