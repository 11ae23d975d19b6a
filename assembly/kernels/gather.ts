/** Rows picked by an index, one of each matrix in a batch, and their gradient. */
import { Count, In, InOut, Out } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { element } from "./element";
import { addScaledRow } from "./rows";

/**
 * out[b, :] = x[b, index[b], :].
 * @param out    f32 [B, C]
 * @param x      f32 [B, T, C]
 * @param index  i32 [B], each in [0, T)
 */
export function gatherRows(out: Out<f32>, x: In<f32>, index: In<i32>, B: Count, T: Count, C: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(B, 1, thread, threads);
  for (let b = sliceStart(B, 1, thread, threads); b < end; b++) {
    const t = load<i32>(element(index, b));
    assert(t >= 0 && t < T, "gatherRows: index out of range");
    memory.copy(element(out, b * C), element(x, (b * T + t) * C), <usize>C << 2);
  }
}

/**
 * dX[b, index[b], :] += dOut[b, :].
 * @param dX     f32 [B, T, C], added to
 * @param dOut   f32 [B, C]
 * @param index  i32 [B], each in [0, T)
 */
export function gatherRowsBackward(
  dX: InOut<f32>, dOut: In<f32>, index: In<i32>, B: Count, T: Count, C: Count,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(B, 1, thread, threads);
  for (let b = sliceStart(B, 1, thread, threads); b < end; b++) {
    const t = load<i32>(element(index, b));
    assert(t >= 0 && t < T, "gatherRowsBackward: index out of range");
    addScaledRow(element(dX, (b * T + t) * C), 1, element(dOut, b * C), C);
  }
}
