/**
 * Which keys a query attends to: causal masks, sliding windows, sequence lengths, positions in a cache.
 *
 * Query i of a batch row is at position past + i. It sees (attends to) key j iff past + i − left <= j <= past + i + right and
 * j < length. Within a block of queries and keys, two numbers suffice: query i sees key j iff i + low <= j <= i + high and j < keys.
 */
import { AttentionScratch, Window } from "../layouts";
import { element } from "./element";
import { MR } from "./tile";

/** The number of queries, and of keys, in a block. */
export const BLOCK: i32 = AttentionScratch.Block;
/** The distance in bytes between the scores of consecutive keys. */
export const ROW: i32 = 4 * BLOCK;

/** The position of a batch row's first query among the keys. */
export function firstPosition(past: usize, b: i32, Tq: i32, Tk: i32): i32 {
  const position = past ? load<i32>(element(past, b)) : Tk - Tq;
  assert(abs(position) < Window.Unlimited / 2, "attention: past is out of range");
  return position;
}

/** The number of keys in a batch row. */
export function keyCount(lengths: usize, b: i32, Tk: i32): i32 {
  return lengths ? max(0, min(Tk, load<i32>(element(lengths, b)))) : Tk;
}

/** The first key of the first block that is seen by a query at `position` or later. */
export function startOfKeys(position: i32, left: i32, length: i32): i32 {
  return max(0, min(length, position - left)) & -BLOCK;
}

/** One past the last key that is seen by a query at `position` or earlier. */
export function endOfKeys(position: i32, right: i32, length: i32): i32 {
  return max(0, min(length, position + right + 1));
}

/** The first key of the block that query i sees. */
// @ts-ignore: decorator
@inline
export function firstSeen(i: i32, keys: i32, low: i32): i32 {
  return max(0, min(keys, i + low));
}

/** One past the last key of the block that query i sees. */
// @ts-ignore: decorator
@inline
export function endSeen(i: i32, keys: i32, high: i32): i32 {
  return max(0, min(keys, i + high + 1));
}

/** Whether some key of the block is hidden from some query of the block. */
// @ts-ignore: decorator
@inline
export function isPartial(queries: i32, keys: i32, low: i32, high: i32): bool {
  return firstSeen(queries - 1, keys, low) > 0 || endSeen(0, keys, high) < keys;
}

/**
 * The first key whose weight is read for the four queries starting at i. A tile of MR queries, or keys, reads every key that any of its
 * queries sees.
 */
// @ts-ignore: decorator
@inline
export function firstRead(i: i32, keys: i32, low: i32): i32 {
  return firstSeen(i + 1 - MR, keys, low);
}

/** One past the last key whose weight is read. */
// @ts-ignore: decorator
@inline
export function endRead(i: i32, keys: i32, high: i32): i32 {
  return endSeen(i + 2 + MR, keys, high);
}

/** Sets the scores or weights `column` [from … to) of the four queries starting at i to `value` if the query does not see the key. */
export function hide(column: usize, i: i32, from: i32, to: i32, keys: i32, low: i32, high: i32, value: f32): void {
  const first = min(to, firstSeen(i + 3, keys, low));
  const last = max(from, endSeen(i, keys, high));
  if (from < first) hideAll(column, i, from, first, keys, low, high, value);
  if (last < to) hideAll(column, i, last, to, keys, low, high, value);
}

function hideAll(column: usize, i: i32, from: i32, to: i32, keys: i32, low: i32, high: i32, value: f32): void {
  const lanes = i32x4(0, 1, 2, 3);
  const first = i32x4.add(i32x4.splat(i + low), lanes);
  const last = i32x4.min_s(i32x4.add(i32x4.splat(i + high), lanes), i32x4.splat(keys - 1));
  const vvalue = f32x4.splat(value);
  for (let j = from; j < to; j++) {
    const at = column + j * ROW;
    const key = i32x4.splat(j);
    v128.store(at, v128.bitselect(vvalue, v128.load(at), v128.or(i32x4.lt_s(key, first), i32x4.gt_s(key, last))));
  }
}

/**
 * The address of a batch row's keys or values starting at j0: in their page if there are pages, otherwise in the dense array.
 * @param j0  a multiple of BLOCK
 */
export function keyBlock(x: usize, pages: usize, P: i32, b: i32, j0: i32, Tk: i32, token: i32, page: i32): usize {
  return pages ? element(x, load<i32>(element(pages, b * P + j0 / BLOCK)) * page) : element(x, (b * Tk + j0) * token);
}
