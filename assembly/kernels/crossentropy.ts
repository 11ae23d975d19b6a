/** Cross-entropy with label smoothing, and its sum over a batch. */
import { Count, Flag, In, InOut, MaybeOut, Out, Scalar } from "../operands";
import { sliceStart, sliceEnd } from "../parallel";
import { logScalar } from "../math";
import { Cell } from "../layouts";
import { exponentials, rowMaximum, rowSum } from "./rows";

/**
 * With p = softmax(logits[r, :]) and q = (1 − smoothing)·onehot(target) + smoothing/V:
 *
 *     loss[r] = −factor·Σ_v q_v·log p_v          dLogits[r, v] = factor·(p_v − q_v)
 *
 * A row whose target is `ignored` yields a loss and gradients of 0; any other target outside [0, V) yields NaN. Sources: Szegedy et al.
 * 2016, section 7; Vaswani et al. 2017, section 5.4.
 * @param loss     f32 [R]
 * @param dLogits  f32 [R, V], the gradient of the sum of all losses; may alias logits; 0: not computed
 * @param logits   f32 [R, V]
 * @param targets  i32 [R]
 * For V up to 10⁶ and factor 1, the absolute error of the loss is < 4e-6 + 2e-7·(max_r − logits[r, target]). The relative error of p is
 * that of softmaxForward. A NaN or +Infinity logit makes the loss NaN. A −Infinity logit has probability 0; if its q is not 0, the loss
 * is Infinity.
 */
export function crossEntropy(
  loss: Out<f32>, dLogits: MaybeOut<f32>, logits: In<f32>, targets: In<i32>,
  R: Count, V: Count, factor: Scalar, smoothing: Scalar, ignored: Count,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const target = load<i32>(targets + (<usize>r << 2));
    const row = (<usize>r * V) << 2;
    if (target == ignored) {
      store<f32>(loss + (<usize>r << 2), 0);
      if (dLogits != 0) memory.fill(dLogits + row, 0, <usize>V << 2);
      continue;
    }
    if (<u32>target >= <u32>V) {
      store<f32>(loss + (<usize>r << 2), NaN);
      for (let v = 0; dLogits != 0 && v < V; v++) store<f32>(dLogits + row + (<usize>v << 2), NaN);
      continue;
    }
    const x = logits + row;
    const largest = rowMaximum(x, V);
    const correct = load<f32>(x + (<usize>target << 2)) - largest; // read before dLogits may overwrite it
    // log p = x − largest − log total, and q sums to 1
    let expected = correct;
    if (smoothing > 0) expected = (1 - smoothing) * correct + smoothing * (rowSum(x, largest, V) / <f32>V);
    const total = exponentials(dLogits != 0 ? dLogits + row : 0, x, largest, V);
    store<f32>(loss + (<usize>r << 2), factor * (logScalar(total) - expected));
    if (dLogits == 0) continue;
    scaleAndShift(dLogits + row, factor / total, factor * (smoothing / <f32>V), V);
    const dTarget = dLogits + row + (<usize>target << 2);
    store<f32>(dTarget, load<f32>(dTarget) - factor * (1 - smoothing));
  }
}

// x[v] = factor·x[v] − shift
function scaleAndShift(x: usize, factor: f32, shift: f32, V: i32): void {
  const vfactor = f32x4.splat(factor);
  const vshift = f32x4.splat(shift);
  for (; V >= 4; V -= 4, x += 16) v128.store(x, f32x4.sub(f32x4.mul(vfactor, v128.load(x)), vshift));
  for (; V > 0; V--, x += 4) store<f32>(x, factor * load<f32>(x) - shift);
}

/**
 * Adds a batch to the training cells: LossSum += Σ_r loss[r], and TokenCount += the number of targets that are not `ignored`.
 * @param cells    see Cell
 * @param loss     f32 [R], 0 where ignored
 * @param targets  i32 [R]
 * @param counted  0: leave TokenCount unchanged, for a second loss over the same tokens
 * Thread 0 sums alone, in f64 and in row order.
 */
export function lossSum(
  cells: InOut<f32>, loss: In<f32>, targets: In<i32>, R: Count, ignored: Count, counted: Flag,
  thread: i32, threads: i32,
): void {
  if (thread != 0) return;
  let total = load<f64>(cells, Cell.LossSum);
  let tokens = load<f64>(cells, Cell.TokenCount);
  for (let r = 0; r < R; r++) {
    total += <f64>load<f32>(loss + (<usize>r << 2));
    if (counted && load<i32>(targets + (<usize>r << 2)) != ignored) tokens += 1;
  }
  store<f64>(cells, total, Cell.LossSum);
  store<f64>(cells, tokens, Cell.TokenCount);
}
