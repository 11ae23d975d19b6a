/** Beam search: the most probable extensions of a group of sequences. */
import { Count, In, MaybeIn, Out, Scalar, Scratch } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { exp64, log64 } from "../math64";
import { logScalar } from "../math";
import { Sampling, SampleScratch } from "../layouts";
import { adjustRow, adjusts } from "./adjust";
import { element } from "./element";
import { exponentials, rowMaximum } from "./rows";

/**
 * For each group of W rows, the N largest of score[w] + log softmax(logits[w])[v], in descending order; of equal ones, those of lower
 * rows and lower tokens first. As in Hugging Face, the row's settings adjust its log-probabilities (adjust.ts), and a forced token has
 * log-probability 0.
 * @param scores    f32 [G, N]; −Infinity past the last extension. The first is NaN if a row contains NaN or +Infinity, or only −Infinity
 * @param tokens    i32 [G, N]: v; −1 past the last extension
 * @param parents   i32 [G, N]: w
 * @param logits    f32 [G·W, V]
 * @param before    f32 [G·W]: the rows' scores; a row at −Infinity is not extended
 * @param settings  Sampling.Bytes bytes per row, or absent
 * @param history   i32 [G·W, L], past i32 [G·W] and bias: as in `sample`
 * @param scratch   SampleScratch.Base + SampleScratch.PerToken·V bytes per thread
 */
export function extendBeams(
  scores: Out<f32>, tokens: Out<i32>, parents: Out<i32>, logits: In<f32>, before: In<f32>,
  settings: MaybeIn<i32>, history: MaybeIn<i32>, past: MaybeIn<i32>, bias: MaybeIn<f32>, scratch: Scratch,
  G: Count, W: Count, N: Count, V: Count, L: Count, thread: i32, threads: i32,
): void {
  scratch += <usize>thread * (SampleScratch.Base + SampleScratch.PerToken * V);
  const end = sliceEnd(G, 1, thread, threads);
  for (let g = sliceStart(G, 1, thread, threads); g < end; g++) {
    const best = element(scores, g * N);
    const bestTokens = element(tokens, g * N);
    const bestParents = element(parents, g * N);
    for (let i = 0; i < N; i++) {
      store<f32>(element(best, i), -Infinity);
      store<i32>(element(bestTokens, i), -1);
      store<i32>(element(bestParents, i), 0);
    }
    for (let w = 0; w < W; w++) {
      const r = g * W + w;
      const score = load<f32>(element(before, r));
      if (score == -Infinity) continue;
      if (!logSoftmax(scratch, element(logits, r * V), V)) {
        store<f32>(best, NaN);
        store<i32>(bestTokens, -1);
        break;
      }
      const own: usize = settings == 0 ? 0 : settings + <usize>r * Sampling.Bytes;
      if (history != 0 && own != 0 && adjusts(own)) {
        adjustRow(scratch, own, element(history, r * L), load<i32>(element(past, r)) + 1, bias, element(scratch, 2 * V), V);
      }
      const forced = own == 0 ? 0 : load<i32>(own, Sampling.Forced);
      if (forced != 0) insert(best, bestTokens, bestParents, N, score, forced - 1, w);
      else keepBest(best, bestTokens, bestParents, N, scratch, score, w, V);
    }
  }
}

// out[v] = x[v] − log Σ exp(x). Returns false if the row contains NaN or +Infinity, or only −Infinity.
function logSoftmax(out: usize, x: usize, V: i32): bool {
  const largest = rowMaximum(x, V);
  if (!isFinite(largest)) return false;
  const logTotal = logScalar(exponentials(0, x, largest, V));
  const vlargest = f32x4.splat(largest);
  const vlogTotal = f32x4.splat(logTotal);
  let v = 0;
  for (; v + 4 <= V; v += 4) v128.store(element(out, v), f32x4.sub(f32x4.sub(v128.load(element(x, v)), vlargest), vlogTotal));
  for (; v < V; v++) store<f32>(element(out, v), load<f32>(element(x, v)) - largest - logTotal);
  return true;
}

function keepBest(best: usize, tokens: usize, parents: usize, N: i32, x: usize, score: f32, w: i32, V: i32): void {
  const vscore = f32x4.splat(score);
  const worst = element(best, N - 1);
  let v = 0;
  while (v < V) {
    if (v + 4 <= V && !v128.any_true(f32x4.gt(f32x4.add(v128.load(element(x, v)), vscore), v128.load32_splat(worst)))) {
      v += 4;
      continue;
    }
    const value = load<f32>(element(x, v)) + score;
    if (value > load<f32>(worst)) insert(best, tokens, parents, N, value, v, w);
    v++;
  }
}

// Inserts an extension after all that are at least as good. The last one drops out.
function insert(best: usize, tokens: usize, parents: usize, N: i32, value: f32, v: i32, w: i32): void {
  let i = N - 1;
  for (; i > 0 && load<f32>(element(best, i - 1)) < value; i--) {
    store<f32>(element(best, i), load<f32>(element(best, i - 1)));
    store<i32>(element(tokens, i), load<i32>(element(tokens, i - 1)));
    store<i32>(element(parents, i), load<i32>(element(parents, i - 1)));
  }
  store<f32>(element(best, i), value);
  store<i32>(element(tokens, i), v);
  store<i32>(element(parents, i), w);
}

/**
 * out[n] = ((offset + n) / (offset + 1))^alpha: by what a sequence of n tokens divides its score. With offset 5, the penalty of Wu et al.
 * 2016 (arXiv:1609.08144, section 7); with offset 0, n^alpha.
 * @param out  f32 [N], for n = 0 … N − 1
 */
export function lengthPenalties(out: Out<f32>, N: Count, offset: Scalar, alpha: Scalar, thread: i32, threads: i32): void {
  const end = sliceEnd(N, 16, thread, threads);
  for (let n = sliceStart(N, 16, thread, threads); n < end; n++) {
    const ratio = (<f64>offset + <f64>n) / (<f64>offset + 1);
    store<f32>(element(out, n), ratio == 0 ? (alpha == 0 ? 1 : alpha > 0 ? 0 : Infinity) : <f32>exp64(<f64>alpha * log64(ratio)));
  }
}
