/** Embedding lookup: rows of a table selected by id, and their gradients. */
import { decodeRows } from "../formats/format";
import { EmbeddingScratch, Format } from "../layouts";
import { Count, Flag, In, InFormat, InOut, Out, Scalar, Scratch } from "../operands";
import { LINE, sliceStart, sliceEnd } from "../parallel";
import { madd } from "../simd";
import { element } from "./element";
import { addScaledRow } from "./rows";

/**
 * out[n, :] = scale · weight[ids[n], :], or NaN if ids[n] is not in [0, V), such as the −1 of `argmax` and `sample`.
 * @param out     f32 [N, C]
 * @param ids     i32 [N]
 * @param weight  [V, C] in `format`
 * @param scale   1, or √C as in Vaswani et al. 2017, section 3.4
 * @param format  a `Format`
 */
export function embeddingForward(
  out: Out<f32>, ids: In<i32>, weight: InFormat, N: Count, V: Count, C: Count, scale: Scalar, format: Flag,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(N, 1, thread, threads);
  for (let n = sliceStart(N, 1, thread, threads); n < end; n++) {
    const id = load<i32>(element(ids, n));
    const row = element(out, n * C);
    if (<u32>id >= <u32>V) {
      for (let c = 0; c < C; c++) store<f32>(element(row, c), NaN);
    } else if (format == Format.F32) {
      scaleRow(row, element(weight, id * C), C, scale);
    } else {
      decodeRows(row, C, format, weight, V, C, id, 0, 1, C);
      scaleRow(row, row, C, scale);
    }
  }
}

// out[c] = scale·x[c]
function scaleRow(out: usize, x: usize, C: i32, scale: f32): void {
  const vscale = f32x4.splat(scale);
  for (; C >= 4; C -= 4, out += 16, x += 16) v128.store(out, f32x4.mul(vscale, v128.load(x)));
  for (; C > 0; C--, out += 4, x += 4) store<f32>(out, scale * load<f32>(x));
}

/**
 * dWeight[ids[n], :] += scale · dOut[n, :] for n in order. Ids outside [0, V) are skipped.
 * @param dWeight  f32 [V, C], added to
 * @param dOut     f32 [N, C]
 * @param ids      i32 [N]
 * @param scratch  see `EmbeddingScratch` for its size
 * Threads divide the columns among themselves, so an id may occur more than once.
 *
 * The first 1024 tokens of an id are added to its row directly. Later ones are summed in scratch with compensated summation (Kahan
 * 1965), and that sum is added at the end. The error is therefore at most 1027·2⁻²⁴·(|dWeight| + Σ|scale·dOut|) to first order, for
 * any number of tokens. An infinite gradient among the later tokens gives NaN.
 */
export function embeddingBackward(
  dWeight: InOut<f32>, dOut: In<f32>, ids: In<i32>, scratch: Scratch, N: Count, V: Count, C: Count, scale: Scalar,
  thread: i32, threads: i32,
): void {
  const start = sliceStart(C, LINE, thread, threads);
  const columns = sliceEnd(C, LINE, thread, threads) - start;
  const most = N / EmbeddingScratch.Direct; // the most ids that can have more than Direct tokens
  const rowBytes = <usize>(EmbeddingScratch.PerRow + EmbeddingScratch.PerColumn * C);
  scratch += <usize>thread * ((<usize>V << 2) + <usize>most * rowBytes + EmbeddingScratch.Base);
  const counts = scratch; // i32 [V]: the number of tokens of each id so far, or −1 − the id's row in `sums`
  const sums = scratch + ((<usize>V << 2) + 15 & ~15); // [most]: an id, then its sum and compensation, f32 [2, columns]
  let rows = 0;
  if (most > 0) memory.fill(counts, 0, <usize>V << 2);
  for (let n = 0; n < N; n++) {
    const id = load<i32>(element(ids, n));
    if (<u32>id >= <u32>V) continue;
    const x = element(dOut, n * C + start);
    let count = most > 0 ? load<i32>(element(counts, id)) : 0;
    if (count >= 0 && count < EmbeddingScratch.Direct) {
      if (most > 0) store<i32>(element(counts, id), count + 1);
      addScaledRow(element(dWeight, id * C + start), scale, x, columns);
      continue;
    }
    if (count >= 0) {
      count = -1 - rows;
      const row = sums + <usize>rows * rowBytes;
      rows++;
      store<i32>(element(counts, id), count);
      store<i32>(row, id);
      memory.fill(row + EmbeddingScratch.PerRow, 0, <usize>columns << 3);
    }
    addCompensated(sums + <usize>(-1 - count) * rowBytes + EmbeddingScratch.PerRow, scale, x, columns);
  }
  for (let r = 0; r < rows; r++) {
    const row = sums + <usize>r * rowBytes;
    addScaledRow(element(dWeight, load<i32>(row) * C + start), 1, row + EmbeddingScratch.PerRow, columns);
  }
}

// sum[c] += factor·x[c], where sum is f32 [2, n] and its second row holds the rounding error of the first.
function addCompensated(sum: usize, factor: f32, x: usize, n: i32): void {
  const vfactor = f32x4.splat(factor);
  const rest = element(sum, n);
  const tail = n & 3;
  let at: usize = 0;
  for (const end = <usize>(n & -4) << 2; at < end; at += 16) {
    const before = v128.load(sum + at);
    const term = madd(vfactor, v128.load(x + at), v128.load(rest + at));
    const after = f32x4.add(before, term);
    v128.store(sum + at, after);
    v128.store(rest + at, f32x4.sub(term, f32x4.sub(after, before)));
  }
  for (const end = at + (<usize>tail << 2); at < end; at += 4) {
    const before = v128.load32_zero(sum + at);
    const term = madd(vfactor, v128.load32_zero(x + at), v128.load32_zero(rest + at));
    const after = f32x4.add(before, term);
    v128.store32_lane(sum + at, after, 0);
    v128.store32_lane(rest + at, f32x4.sub(term, f32x4.sub(after, before)), 0);
  }
}
