/** The gradient of `gatherRows`. */
import { Count, In, InOut } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, storeTail } from "../simd";

/**
 * dX[b, index[b], :] += dOut[b, :], where index[b] is in [0, T).
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
    const t = load<i32>(index + (<usize>b << 2));
    if (<u32>t < <u32>T) addTo(dX + (((<usize>b * <usize>T + <usize>t) * <usize>C) << 2), dOut + ((<usize>b * <usize>C) << 2), C);
  }
}

// out[i] += x[i]
function addTo(out: usize, x: usize, n: i32): void {
  const tail = n & 3;
  const body = <usize>(n - tail) << 2;
  for (let i: usize = 0; i < body; i += 16) v128.store(out + i, f32x4.add(v128.load(out + i), v128.load(x + i)));
  if (tail) storeTail(out + body, f32x4.add(loadTail(out + body, tail), loadTail(x + body, tail)), tail);
}
