/** From logits to tokens: the most likely token, or one drawn from the adjusted and truncated distribution. */
import { Count, In, InOut, MaybeIn, MaybeInOut, Out, Scratch } from "../operands";
import { sliceStart, sliceEnd } from "../parallel";
import { exp, expScalar } from "../math";
import { philox4x32 } from "../random";
import { Sampling, SampleScratch } from "../layouts";
import { adjustRow, adjusts } from "./adjust";
import { element } from "./element";
import { rowMaximum } from "./rows";
import { keepAtLeast, keepNucleus, keepTypical, kthLargest } from "./truncate";

/**
 * The index of the largest logit of each row. Ties go to the lowest index.
 * @param out     i32 [R]; −1 for a row with a NaN
 * @param logits  f32 [R, V]
 */
export function argmax(out: Out<i32>, logits: In<f32>, R: Count, V: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const x = logits + ((<usize>r * V) << 2);
    store<i32>(out + (<usize>r << 2), firstEqual(x, rowMaximum(x, V), V));
  }
}

// The lowest v with x[v] == value, or −1 if no element is equal.
function firstEqual(x: usize, value: f32, V: i32): i32 {
  const vvalue = f32x4.splat(value);
  let v = 0;
  for (; v + 4 <= V; v += 4) {
    const equal = i32x4.bitmask(f32x4.eq(v128.load(x + (<usize>v << 2)), vvalue));
    if (equal != 0) return v + ctz(equal);
  }
  for (; v < V; v++) {
    if (load<f32>(x + (<usize>v << 2)) == value) return v;
  }
  return -1;
}

/**
 * Chooses one token per row, with the row's own settings: adjusts the logits (adjust.ts), then takes the largest if Temperature is 0, or
 * else draws from softmax(logits / Temperature), truncated by TopK, TopP, MinP and TypicalP in this order (truncate.ts).
 * The uniform random number is word 0 of the Philox block with key Seed and counter (0, 0, Step, 0), so it does not depend on r. The
 * token is the first, in vocabulary order, at which the cumulative probability exceeds that number.
 * @param out       i32 [R]; −1 for a row with a NaN or +Infinity, or only −Infinity
 * @param logits    f32 [R, V]
 * @param settings  Sampling.Bytes bytes per row; Step is increased by 1
 * @param history   i32 [R, L]: each row's tokens, of which past[r] + 1 are given; the chosen one is added. If absent, no row may adjust
 * @param past      i32 [R]
 * @param bias      f32 [rows, V]: the table that Sampling.Bias refers to
 * @param scratch   SampleScratch.Base + SampleScratch.PerToken·V bytes per thread
 */
export function sample(
  out: Out<i32>, logits: In<f32>, settings: InOut<i32>, history: MaybeInOut<i32>, past: MaybeIn<i32>, bias: MaybeIn<f32>, scratch: Scratch,
  R: Count, V: Count, L: Count, thread: i32, threads: i32,
): void {
  scratch += <usize>thread * (SampleScratch.Base + SampleScratch.PerToken * V);
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const own = settings + <usize>r * Sampling.Bytes;
    let x = logits + ((<usize>r * V) << 2);
    let tokens: usize = 0;
    let count = 0;
    if (history != 0) {
      tokens = element(history, r * L);
      count = load<i32>(element(past, r)) + 1;
      if (adjusts(own) && load<i32>(own, Sampling.Forced) == 0) {
        memory.copy(scratch, x, <usize>V << 2);
        x = scratch;
        adjustRow(x, own, tokens, count, bias, element(scratch, 2 * V), V);
      }
    }
    const chosen = sampleRow(x, scratch, own, V);
    if (history != 0 && count < L) store<i32>(element(tokens, count), chosen);
    store<i32>(element(out, r), chosen);
    store<i32>(own, load<i32>(own, Sampling.Step) + 1, Sampling.Step);
  }
}

// x may be the first array of the scratch.
function sampleRow(x: usize, scratch: usize, settings: usize, V: i32): i32 {
  const temperature = load<f32>(settings, Sampling.Temperature);
  assert(temperature >= 0, "sample: temperature must be 0 or more");
  const largest = rowMaximum(x, V);
  if (!isFinite(largest)) return -1;
  const forced = load<i32>(settings, Sampling.Forced);
  if (forced != 0) return forced - 1;
  if (temperature == 0) return firstEqual(x, largest, V);

  const keys = scratch; // x is no longer needed once the weights exist
  const weights = element(scratch, V);
  const heap = element(scratch, 2 * V);
  const k = load<i32>(settings, Sampling.TopK);
  const threshold = k > 0 && k < V ? kthLargest(heap, x, k, V) : -f32.POSITIVE_INFINITY;
  let total = weigh(weights, x, largest, temperature, threshold, V);
  const topP = load<f32>(settings, Sampling.TopP);
  if (topP > 0 && topP < 1) total = keepNucleus(weights, total, topP, heap, keys, V);
  const minP = load<f32>(settings, Sampling.MinP);
  if (minP > 0) total = keepAtLeast(weights, minP, V);
  const typicalP = load<f32>(settings, Sampling.TypicalP);
  if (typicalP > 0 && typicalP < 1) total = keepTypical(weights, total, typicalP, heap, keys, V);

  const seedLow = load<u32>(settings, Sampling.SeedLow);
  const seedHigh = load<u32>(settings, Sampling.SeedHigh);
  const word = <u32>i32x4.extract_lane(philox4x32(seedLow, seedHigh, 0, 0, load<u32>(settings, Sampling.Step), 0), 0);
  return pick(weights, (<f64>word / 4294967296.0) * total, V);
}

// weights[v] = exp((x[v] − largest) / temperature) if x[v] >= threshold; else 0. Returns their sum.
function weigh(weights: usize, x: usize, largest: f32, temperature: f32, threshold: f32, V: i32): f64 {
  const vthreshold = f32x4.splat(threshold);
  let vtotal = f64x2.splat(0);
  let v = 0;
  for (; v + 4 <= V; v += 4) {
    const vx = v128.load(element(x, v));
    const vkept = f32x4.ge(vx, vthreshold);
    let ve = f32x4.splat(0);
    if (v128.any_true(vkept)) {
      ve = v128.and(vkept, exp(f32x4.div(f32x4.sub(vx, f32x4.splat(largest)), f32x4.splat(temperature))));
      vtotal = f64x2.add(vtotal, f64x2.promote_low_f32x4(ve));
      vtotal = f64x2.add(vtotal, f64x2.promote_low_f32x4(v128.shuffle<f64>(ve, ve, 1, 0)));
    }
    v128.store(element(weights, v), ve);
  }
  let total = f64x2.extract_lane(vtotal, 0) + f64x2.extract_lane(vtotal, 1);
  for (; v < V; v++) {
    const value = load<f32>(element(x, v));
    const e: f32 = value >= threshold ? expScalar((value - largest) / temperature) : 0;
    total += <f64>e;
    store<f32>(element(weights, v), e);
  }
  return total;
}

// The first v at which the running sum of weights exceeds target; if rounding prevents that, the last v with a nonzero weight.
function pick(weights: usize, target: f64, V: i32): i32 {
  let running: f64 = 0;
  let picked = -1;
  let v = 0;
  while (v < V) {
    if (v + 4 <= V && !v128.any_true(v128.load(weights + (<usize>v << 2)))) {
      v += 4;
      continue;
    }
    const weight = load<f32>(weights + (<usize>v << 2));
    if (weight > 0) picked = v;
    running += <f64>weight;
    if (running > target) break;
    v++;
  }
  return picked;
}
