/**
 * The products of one block of attention: up to BLOCK queries by BLOCK keys, whose scores stay in the scratch memory.
 *
 * Scores are transposed, f32 [keys, queries] with rows BLOCK apart. A vector holds one key's scores for four queries, so the softmax
 * needs no sums across lanes, and the tile reads the weights of both products in place.
 * `low` and `high` say which keys of the block a query attends to (attention-visibility.ts).
 */
import { loadTail, madd, storeTail } from "../simd";
import { BLOCK, ROW, endSeen, firstSeen } from "./attention-visibility";
import { element } from "./element";
import { transposeRows } from "./pack";
import { MR, NR, tile } from "./tile";

/**
 * s[j, i] = Σ_d k[j, d]·q[i, d], summed in the order of d. Tiles in which no query attends to a key are skipped.
 * @param s       f32 [keys, BLOCK]
 * @param k       f32 [keys, D]: element (j, d) at k + 4(j·token + d·dim)
 * @param panels  q [queries, D], packed by `packRows`
 */
export function scores(
  s: usize, k: usize, token: i32, dim: i32, panels: usize, keys: i32, queries: i32, D: i32, low: i32, high: i32,
): void {
  for (let i = 0; i < queries; i += NR) {
    const panel = element(panels, i * D);
    const end = endSeen(i + NR - 1, keys, high);
    for (let j = firstSeen(i, keys, low); j < end; j += MR) {
      tile(element(s, j * BLOCK + i), BLOCK, 0, 0, element(k, j * token), token, dim, panel, D, min(MR, keys - j));
    }
  }
}

/**
 * s[j, i] = scale·s[j, i] + bias[i, j].
 * @param bias        f32 [queries, keys], rows `ld` apart (0: one row for all queries)
 * @param transposed  f32 [keys, BLOCK], scratch
 */
export function addBias(s: usize, bias: usize, ld: i32, transposed: usize, keys: i32, queries: i32, scale: f32): void {
  transposeRows(transposed, BLOCK, bias, ld, queries, keys);
  const vscale = f32x4.splat(scale);
  const apart = transposed - s;
  const width = <usize>((queries + 3) & -4) << 2;
  for (const end = s + keys * ROW; s < end; s += ROW) {
    for (let at = s, stop = s + width; at < stop; at += 16) v128.store(at, madd(v128.load(at), vscale, v128.load(at + apart)));
  }
}

/**
 * c[i, d] = start + Σ_j w[j, i]·x[j, d] over the keys j that query i attends to, in order.
 * @param c       f32 [queries, D], rows `ldc` apart
 * @param fresh   start is zero; otherwise, start is c
 * @param w       f32 [keys, BLOCK], zero where the query does not attend to the key
 * @param panels  x [keys, D], packed by `packColumns`
 * @param exact   skip masked keys instead of multiplying them by zero, because their x may be NaN or Infinity
 * @param edge    EDGE_BYTES of scratch
 */
export function sumOverKeys(
  c: usize, ldc: i32, fresh: bool, w: usize, panels: usize, queries: i32, keys: i32, D: i32, low: i32, high: i32,
  exact: bool, edge: usize,
): void {
  const step = exact ? 1 : MR;
  for (let d = 0; d < D; d += NR) {
    const panel = element(panels, d * keys);
    for (let i = 0; i < queries; i += step) {
      const rows = min(step, queries - i);
      const first = firstSeen(i, keys, low);
      const seen = endSeen(i + rows - 1, keys, high) - first;
      const wTile = element(w, first * BLOCK + i);
      edgeTile(element(c, i * ldc + d), ldc, fresh, wTile, 1, BLOCK, element(panel, first * NR), seen, rows, D - d, edge);
    }
  }
}

/**
 * c[j, d] = start + Σ_i w[j, i]·x[i, d] over the queries i that attend to key j, in order.
 * @param c       f32 [keys, D], rows `ldc` apart
 * @param panels  x [queries, D], packed by `packColumns`
 * The other operands are as in `sumOverKeys`.
 */
export function sumOverQueries(
  c: usize, ldc: i32, fresh: bool, w: usize, panels: usize, keys: i32, queries: i32, D: i32, low: i32, high: i32,
  exact: bool, edge: usize,
): void {
  const step = exact ? 1 : MR;
  for (let d = 0; d < D; d += NR) {
    const panel = element(panels, d * queries);
    for (let j = 0; j < keys; j += step) {
      const rows = min(step, keys - j);
      const first = max(0, min(queries, j - high));
      const see = min(queries, j + rows - low) - first;
      const wTile = element(w, j * BLOCK + first);
      edgeTile(element(c, j * ldc + d), ldc, fresh, wTile, BLOCK, 1, element(panel, first * NR), see, rows, D - d, edge);
    }
  }
}

/** A tile that writes only its first `columns` columns. */
// @ts-ignore: decorator
@inline
function edgeTile(
  c: usize, ldc: i32, fresh: bool, a: usize, aRow: i32, aStep: i32, panel: usize, K: i32, rows: i32, columns: i32, edge: usize,
): void {
  if (columns >= NR) {
    tile(c, ldc, fresh ? 0 : c, ldc, a, aRow, aStep, panel, K, rows);
  } else {
    tile(edge, NR, 0, 0, a, aRow, aStep, panel, K, rows);
    for (let r = 0; r < rows; r++) addRow(element(c, r * ldc), element(edge, r * NR), columns, fresh);
  }
}

/** Writes x to a row of D floats, or adds it unless `fresh`. */
function addRow(row: usize, x: usize, D: i32, fresh: bool): void {
  for (; D > 3; D -= 4) {
    v128.store(row, fresh ? v128.load(x) : f32x4.add(v128.load(row), v128.load(x)));
    row += 16;
    x += 16;
  }
  if (D > 0) storeTail(row, fresh ? v128.load(x) : f32x4.add(loadTail(row, D), v128.load(x)), D);
}

/** Whether every element of x [K, D], packed by `packColumns`, is finite. An exponent of 0xff means NaN or Infinity. */
export function allFinite(panels: usize, K: i32, D: i32): bool {
  let largest0 = i32x4.splat(0), largest1 = largest0;
  const end = element(panels, ((D + NR - 1) & -NR) * K);
  while (panels < end) {
    largest0 = i32x4.max_u(largest0, i32x4.shl(v128.load(panels), 1));
    largest1 = i32x4.max_u(largest1, i32x4.shl(v128.load(panels, 16), 1));
    panels += 32;
  }
  return i32x4.all_true(i32x4.lt_u(i32x4.max_u(largest0, largest1), i32x4.splat(0xff000000)));
}
