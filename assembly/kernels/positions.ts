/** Where a token stands: a table with a row for each position, added to the embeddings; learned or sinusoidal. */
import { Count, In, InOut, Out } from "../operands";
import { cos64, exp64, sin64 } from "../math64";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, storeTail } from "../simd";

const GRAIN = 16; // elements in a cache line

/**
 * out[b, t, c] = x[b, t, c] + table[t, c].
 * @param out    f32 [B, T, C], may alias x
 * @param x      f32 [B, T, C]
 * @param table  f32 [≥ T, C]
 */
export function positionsForward(out: Out<f32>, x: In<f32>, table: In<f32>, B: Count, T: Count, C: Count, thread: i32, threads: i32): void {
  const n = T * C;
  const start = sliceStart(n, GRAIN, thread, threads);
  const count = sliceEnd(n, GRAIN, thread, threads) - start;
  const tail = count & 3;
  const body = <usize>(count - tail) << 2;
  table += <usize>start << 2;
  for (let b = 0; b < B; b++) {
    const at = (<usize>b * <usize>n + <usize>start) << 2;
    const xRow = x + at;
    const outRow = out + at;
    for (let c: usize = 0; c < body; c += 16) v128.store(outRow + c, f32x4.add(v128.load(xRow + c), v128.load(table + c)));
    if (tail) storeTail(outRow + body, f32x4.add(loadTail(xRow + body, tail), loadTail(table + body, tail)), tail);
  }
}

/**
 * dTable[t, c] += Σ_b dOut[b, t, c], summed from b = 0 up and then added.
 * @param dTable  f32 [≥ T, C]; rows from T on stay
 * @param dOut    f32 [B, T, C]
 */
export function positionsBackward(dTable: InOut<f32>, dOut: In<f32>, B: Count, T: Count, C: Count, thread: i32, threads: i32): void {
  const n = T * C;
  const start = sliceStart(n, GRAIN, thread, threads);
  const count = sliceEnd(n, GRAIN, thread, threads) - start;
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
 * out[t, 2i] = sin(t/10000^(2i/C)), out[t, 2i + 1] = cos(t/10000^(2i/C)).
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
