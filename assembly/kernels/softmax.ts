/** Row-wise softmax, forward and backward. */
import { Count, Flag, In, InOut, Out } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, maximum, maxNumber, storeTail } from "../simd";
import { exponentials, rowDot } from "./rows";

/**
 * Row-wise softmax: out[r, c] = exp(x[r, c] − max_r) / Σ_c exp(x[r, c] − max_r).
 * @param out  f32 [R, C], may alias x
 * @param x    f32 [R, C]
 * A row of only −Infinity yields zeros; a row with a NaN or +Infinity yields NaN.
 * The relative error is < 4e-6 + 6e-8·(max_r − x) for C up to 10⁶. The second term comes from rounding the difference.
 */
export function softmaxForward(out: Out<f32>, x: In<f32>, R: Count, C: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const row = <usize>r * <usize>C << 2;
    softmaxRow(out + row, x + row, C);
  }
}

function softmaxRow(out: usize, x: usize, C: i32): void {
  const tail = C & 3;
  const body = <usize>(C - tail) << 2;

  // 1. the maximum; NaN is ignored here, but makes the sum NaN
  let m0 = f32x4.splat(-Infinity);
  let m1 = m0;
  let c: usize = 0;
  for (; c + 32 <= body; c += 32) {
    m0 = maxNumber(m0, v128.load(x + c));
    m1 = maxNumber(m1, v128.load(x + c, 16));
  }
  let largest = maximum(maxNumber(m0, m1));
  for (; c < <usize>C << 2; c += 4) {
    const v = load<f32>(x + c);
    if (v > largest) largest = v;
  }

  // 2. out = exp(x − max) and its sum. If all x are −Infinity, any finite shift gives zeros. (If all are NaN, it gives NaN.)
  const total = exponentials(out, x, largest == -Infinity ? 0 : largest, C);
  const factor = f32x4.splat(total == 0 ? 0 : 1 / total);

  // 3. out /= sum
  for (let c: usize = 0; c < body; c += 16) v128.store(out + c, f32x4.mul(v128.load(out + c), factor));
  if (tail) storeTail(out + body, f32x4.mul(loadTail(out + body, tail), factor), tail);
}

/**
 * Backward of softmax: dX[r, c] (+)= out[r, c]·(dOut[r, c] − Σ_k dOut[r, k]·out[r, k]).
 * @param dX          f32 [R, C], may alias dOut or out; added to if `accumulate`
 * @param dOut        f32 [R, C]
 * @param out         f32 [R, C], the result of the forward pass
 * A row of zeros yields zeros. The error of the sum is < 5e-6·Σ |dOut·out| for rows of any length.
 */
export function softmaxBackward(
  dX: InOut<f32>, dOut: In<f32>, out: In<f32>, R: Count, C: Count, accumulate: Flag,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const row = <usize>r * <usize>C << 2;
    softmaxBackwardRow(dX + row, dOut + row, out + row, C, accumulate);
  }
}

function softmaxBackwardRow(dX: usize, dOut: usize, out: usize, C: i32, accumulate: i32): void {
  const tail = C & 3;
  const body = <usize>(C - tail) << 2;

  // 1. the dot product of dOut and out
  const mean = f32x4.splat(rowDot(dOut, out, C));

  // 2. dX (+)= out·(dOut − dot)
  for (let c: usize = 0; c < body; c += 16) {
    const d = f32x4.mul(v128.load(out + c), f32x4.sub(v128.load(dOut + c), mean));
    v128.store(dX + c, accumulate ? f32x4.add(v128.load(dX + c), d) : d);
  }
  if (tail) {
    const d = f32x4.mul(loadTail(out + body, tail), f32x4.sub(loadTail(dOut + body, tail), mean));
    storeTail(dX + body, accumulate ? f32x4.add(loadTail(dX + body, tail), d) : d, tail);
  }
}
