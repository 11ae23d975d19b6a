import { Count, In, MaybeIn, Out, Scalar } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { endOfKeys, firstPosition, keyCount } from "./attention-visibility";
import { element } from "./element";
import { exponentials, rowDot, rowMaximum } from "./rows";

/**
 * The weights of attention, for inspection: P_i = softmax_j(s_ij) of `attentionForward`, without dropout, whose operands these are.
 * @param out  f32 [B, H, Tq, Tk], 0 for keys that the query does not attend to
 */
export function attentionWeights(
  out: Out<f32>, q: In<f32>, k: In<f32>, bias: MaybeIn<f32>, past: MaybeIn<i32>, lengths: MaybeIn<i32>,
  B: Count, H: Count, Hkv: Count, Tq: Count, Tk: Count, D: Count, ldq: Count, tokenK: Count, headK: Count,
  biasBatch: Count, biasHead: Count, biasRow: Count, left: Count, right: Count, scale: Scalar,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(B * H * Tq, 1, thread, threads);
  for (let row = sliceStart(B * H * Tq, 1, thread, threads); row < end; row++) {
    const head = row / Tq;
    const i = row - head * Tq;
    const b = head / H;
    const h = head - b * H;
    const position = firstPosition(past, b, Tq, Tk) + i;
    const length = keyCount(lengths, b, Tk);
    const first = max(0, min(length, position - left));
    const last = endOfKeys(position, right, length);
    const query = element(q, (b * Tq + i) * ldq + h * D);
    const keys = element(k, b * Tk * tokenK + (h / (H / Hkv)) * headK);
    const weights = out + ((<usize>row * Tk) << 2);
    memory.fill(weights, 0, <usize>Tk << 2);
    for (let j = first; j < last; j++) {
      const added: f32 = bias ? load<f32>(element(bias, b * biasBatch + h * biasHead + i * biasRow + j)) : 0;
      store<f32>(element(weights, j), scale * rowDot(query, element(keys, j * tokenK), D) + added);
    }
    const seen = element(weights, first);
    const largest = rowMaximum(seen, last - first);
    if (largest == -Infinity) { // no keys, or none that the bias admits
      memory.fill(weights, 0, <usize>Tk << 2);
      continue;
    }
    const total = exponentials(seen, seen, largest, last - first);
    for (let j = first; j < last; j++) store<f32>(element(weights, j), load<f32>(element(weights, j)) / total);
  }
}
