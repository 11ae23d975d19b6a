/** Absolute positions: a table, learned or sinusoidal, with a row per position, which is added to the embeddings. */
import { Count, In, InOut, MaybeIn, Out } from "../operands";
import { cos64, exp64, sin64 } from "../math64";
import { LINE, sliceEnd, sliceStart } from "../parallel";
import { loadTail, storeTail } from "../simd";

/**
 * out[b, t, c] = x[b, t, c] + table[past[b] + t, c], or NaN if past[b] + t is outside the table.
 * @param out    f32 [B, T, C], may alias x
 * @param x      f32 [B, T, C]
 * @param table  f32 [L, C]
 * @param past   i32 [B], the number of tokens before the first one of each row; absent: 0 for all rows
 */
export function positionsForward(
  out: Out<f32>, x: In<f32>, table: In<f32>, past: MaybeIn<i32>, B: Count, T: Count, C: Count, L: Count,
  thread: i32, threads: i32,
): void {
  const start = sliceStart(T * C, LINE, thread, threads);
  const count = sliceEnd(T * C, LINE, thread, threads) - start;
  for (let b = 0; b < B; b++) {
    const first = past != 0 ? load<i32>(past + (<usize>b << 2)) : 0;
    const rows = first >= 0 && first < L ? min(T, L - first) : 0;
    const known = max(0, min(count, rows * C - start)); // elements of the slice whose position is in the table
    const at = (<usize>b * <usize>(T * C) + <usize>start) << 2;
    addRow(out + at, x + at, table + ((<usize>first * <usize>C + <usize>start) << 2), known);
    for (let i = known; i < count; i++) store<f32>(out + at + (<usize>i << 2), f32.NaN);
  }
}

// out[i] = a[i] + b[i]
function addRow(out: usize, a: usize, b: usize, n: i32): void {
  const tail = n & 3;
  const body = <usize>(n - tail) << 2;
  for (let i: usize = 0; i < body; i += 16) v128.store(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
  if (tail) storeTail(out + body, f32x4.add(loadTail(a + body, tail), loadTail(b + body, tail)), tail);
}

/**
 * dTable[t, c] += Σ_b dOut[b, t, c]. The sum is computed in the order of b, then added.
 * @param dTable  f32 [≥ T, C], added to; rows from T on are not touched
 * @param dOut    f32 [B, T, C]
 */
export function positionsBackward(dTable: InOut<f32>, dOut: In<f32>, B: Count, T: Count, C: Count, thread: i32, threads: i32): void {
  const n = T * C;
  const start = sliceStart(n, LINE, thread, threads);
  const count = sliceEnd(n, LINE, thread, threads) - start;
  const tail = count & 3;
  const body = <usize>(count - tail) << 2;
  const stride = <usize>n << 2;
  dTable += <usize>start << 2;
  dOut += <usize>start << 2;
  const end = dOut + stride * <usize>B;
  for (let c: usize = 0; c < body; c += 16) {
    let total = f32x4.splat(0);
    for (let row = dOut; row < end; row += stride) total = f32x4.add(total, v128.load(row + c));
    v128.store(dTable + c, f32x4.add(v128.load(dTable + c), total));
  }
  if (tail) {
    let total = f32x4.splat(0);
    for (let row = dOut; row < end; row += stride) total = f32x4.add(total, loadTail(row + body, tail));
    storeTail(dTable + body, f32x4.add(loadTail(dTable + body, tail), total), tail);
  }
}

/**
 * out[t, 2i] = sin(t/10000^(2i/C)) and out[t, 2i + 1] = cos(t/10000^(2i/C)).
 * @param out  f32 [T, C]; computed in f64 and rounded once: absolute error < 1e-7 for T ≤ 2²⁰
 * Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
 */
export function sinusoidalPositions(out: Out<f32>, T: Count, C: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(T, 1, thread, threads);
  for (let t = sliceStart(T, 1, thread, threads); t < end; t++) {
    const row = out + (<usize>t * <usize>C << 2);
    for (let c = 0; c < C; c += 2) {
      const angle = <f64>t * exp64((-9.210340371976184 * <f64>c) / <f64>C); // −ln 10000
      store<f32>(row + (<usize>c << 2), <f32>sin64(angle));
      if (c + 1 < C) store<f32>(row + (<usize>c << 2), <f32>cos64(angle), 4);
    }
  }
}

/**
 * past[b] += counts[b], the number of tokens that a decoding step has appended to each row.
 * @param past    i32 [B]
 * @param counts  i32 [B]; absent: one token per row
 */
export function advance(past: InOut<i32>, counts: MaybeIn<i32>, B: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(B, LINE, thread, threads);
  for (let b = sliceStart(B, LINE, thread, threads); b < end; b++) {
    const at = <usize>b << 2;
    store<i32>(past + at, load<i32>(past + at) + (counts != 0 ? load<i32>(counts + at) : 1));
  }
}
