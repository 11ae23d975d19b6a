/** Selects one row, by index, from each matrix of a batch; and the gradient. */
import { Count, In, InOut, Out } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { element } from "./element";
import { addScaledRow } from "./rows";

/**
 * out[b, :] = x[b, index[b], :], or NaN if index[b] is not in [0, T).
 * @param out    f32 [B, C]
 * @param x      f32 [B, T, C]
 * @param index  i32 [B]
 */
export function gatherRows(out: Out<f32>, x: In<f32>, index: In<i32>, B: Count, T: Count, C: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(B, 1, thread, threads);
  for (let b = sliceStart(B, 1, thread, threads); b < end; b++) {
    const t = load<i32>(element(index, b));
    if (<u32>t < <u32>T) memory.copy(element(out, b * C), element(x, (b * T + t) * C), <usize>C << 2);
    else for (let c = 0; c < C; c++) store<f32>(element(out, b * C + c), NaN);
  }
}

/**
 * dX[b, index[b], :] += dOut[b, :] if index[b] is in [0, T).
 * @param dX     f32 [B, T, C], added to
 * @param dOut   f32 [B, C]
 * @param index  i32 [B]
 */
export function gatherRowsBackward(
  dX: InOut<f32>, dOut: In<f32>, index: In<i32>, B: Count, T: Count, C: Count,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(B, 1, thread, threads);
  for (let b = sliceStart(B, 1, thread, threads); b < end; b++) {
    const t = load<i32>(element(index, b));
    if (<u32>t < <u32>T) addScaledRow(element(dX, (b * T + t) * C), 1, element(dOut, b * C), C);
  }
}
