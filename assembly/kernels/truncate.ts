/**
 * Truncation of a row's distribution before sampling: top-k, nucleus (top-p), min-p and typical sampling, as Hugging Face defines them.
 * Each keeps at least one token; tokens that tie with the last one kept are kept too.
 *
 * A distribution is a row of weights f32 [V], unnormalized probabilities that are 0 for excluded tokens, and their sum.
 */
import { logScalar } from "../math";
import { element } from "./element";

/** The k-th largest x[v] (Fan et al. 2018, arXiv:1805.04833, section 5.1). @param heap  i32 [k] of scratch */
export function kthLargest(heap: usize, x: usize, k: i32, V: i32): f32 {
  for (let v = 0; v < k; v++) store<i32>(element(heap, v), v);
  heapify(heap, x, k);
  let threshold = load<f32>(element(x, load<i32>(heap)));
  let v = k;
  while (v < V) {
    if (v + 4 <= V && !v128.any_true(f32x4.gt(v128.load(element(x, v)), f32x4.splat(threshold)))) {
      v += 4;
      continue;
    }
    if (load<f32>(element(x, v)) > threshold) {
      sink(heap, x, k, 0, v);
      threshold = load<f32>(element(x, load<i32>(heap)));
    }
    v++;
  }
  return threshold;
}

/**
 * Holtzman et al. 2020 (arXiv:1904.09751), section 3.1: keeps the most likely tokens, up to the one at which their probability reaches p.
 * @param heap  i32 [V] and `keys` f32 [V]: scratch
 * @returns the sum of the weights kept
 */
export function keepNucleus(weights: usize, total: f64, p: f32, heap: usize, keys: usize, V: i32): f64 {
  // Tokens below this weight together have less than 1 − p, so the nucleus ends before them.
  const least = ((1 - <f64>p) * total) / <f64>V;
  let size = 0;
  for (let v = 0; v < V; v++) {
    const weight = load<f32>(element(weights, v));
    if (!(weight > 0 && <f64>weight >= least)) continue;
    store<f32>(element(keys, v), -weight);
    store<i32>(element(heap, size++), v);
  }
  return keepAtLeast(weights, -popUntil(<f64>p * total, heap, keys, size, weights), V);
}

/**
 * Meister et al. 2023 (arXiv:2202.00666), section 3: keeps the tokens whose information, −log p, is closest to the entropy, up to the one
 * at which their probability reaches `mass`. Scratch and result as in `keepNucleus`.
 */
export function keepTypical(weights: usize, total: f64, mass: f32, heap: usize, keys: usize, V: i32): f64 {
  const logTotal = logScalar(<f32>total);
  let expected: f64 = 0; // Σ weight·log weight
  let size = 0;
  for (let v = 0; v < V; v++) {
    const weight = load<f32>(element(weights, v));
    if (!(weight > 0)) continue;
    const logWeight = logScalar(weight);
    expected += <f64>weight * <f64>logWeight;
    store<f32>(element(keys, v), logWeight);
    store<i32>(element(heap, size++), v);
  }
  const entropy = logTotal - <f32>(expected / total);
  for (let i = 0; i < size; i++) {
    const key = element(keys, load<i32>(element(heap, i)));
    store<f32>(key, abs(logTotal - load<f32>(key) - entropy));
  }
  const threshold = popUntil(<f64>mass * total, heap, keys, size, weights);
  let kept: f64 = 0;
  for (let v = 0; v < V; v++) {
    const weight = load<f32>(element(weights, v));
    if (weight > 0 && load<f32>(element(keys, v)) <= threshold) kept += <f64>weight;
    else store<f32>(element(weights, v), 0);
  }
  return kept;
}

/** Keeps the weights that are at least `least` (min-p: Nguyen et al. 2024, arXiv:2407.01082, where the largest is 1). @returns their sum */
export function keepAtLeast(weights: usize, least: f32, V: i32): f64 {
  let total: f64 = 0;
  for (let v = 0; v < V; v++) {
    const weight = load<f32>(element(weights, v));
    if (weight >= least) total += <f64>weight;
    else store<f32>(element(weights, v), 0);
  }
  return total;
}

// Removes indices in the order of their keys until their weights reach `enough`. Returns the last key.
function popUntil(enough: f64, heap: usize, keys: usize, size: i32, weights: usize): f32 {
  heapify(heap, keys, size);
  let running: f64 = 0;
  let key: f32 = 0;
  while (size > 0) {
    const v = load<i32>(heap);
    key = load<f32>(element(keys, v));
    running += <f64>load<f32>(element(weights, v));
    if (running >= enough) break;
    size--;
    sink(heap, keys, size, 0, load<i32>(element(heap, size)));
  }
  return key;
}

// Makes a heap of indices whose keys do not decrease from a parent to its children.
function heapify(heap: usize, keys: usize, size: i32): void {
  for (let node = size / 2 - 1; node >= 0; node--) sink(heap, keys, size, node, load<i32>(element(heap, node)));
}

// Puts index v into the heap at `node` or below.
function sink(heap: usize, keys: usize, size: i32, node: i32, v: i32): void {
  const key = load<f32>(element(keys, v));
  while (true) {
    let child = 2 * node + 1;
    if (child >= size) break;
    let index = load<i32>(element(heap, child));
    if (child + 1 < size) {
      const other = load<i32>(element(heap, child + 1));
      if (load<f32>(element(keys, other)) < load<f32>(element(keys, index))) child++, index = other;
    }
    if (load<f32>(element(keys, index)) >= key) break;
    store<i32>(element(heap, node), index);
    node = child;
  }
  store<i32>(element(heap, node), v);
}
