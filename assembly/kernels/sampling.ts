/** From logits to tokens: the most likely token, or one sampled with temperature and top-k. */
import { Count, In, InOut, Out, Scratch } from "../operands";
import { sliceStart, sliceEnd } from "../parallel";
import { exp, expScalar } from "../math";
import { philox4x32 } from "../random";
import { Sampling, SampleScratch } from "../layouts";
import { rowMaximum } from "./rows";

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

// The lowest v with x[v] == value, or −1 if there is none.
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
 * Samples one token per row from softmax(logits / temperature) over the top k logits (Fan et al. 2018, section 5.1), with the row's own
 * settings. Temperature 0 chooses the largest logit, as argmax does.
 * The uniform random number is word 0 of the Philox block with key Seed and counter (0, 0, Step, 0), so it does not depend on r. The
 * token is the first, in vocabulary order, at which the cumulative probability exceeds that number. If several logits equal the k-th
 * largest, those with the lowest indices are kept.
 * @param out       i32 [R]; −1 for a row with a NaN or +Infinity, or only −Infinity
 * @param logits    f32 [R, V]
 * @param settings  Sampling.Bytes bytes per row; Step is increased by 1
 * @param scratch   SampleScratch.Base + SampleScratch.PerToken·V bytes per thread
 */
export function sample(
  out: Out<i32>, logits: In<f32>, settings: InOut<i32>, scratch: Scratch, R: Count, V: Count,
  thread: i32, threads: i32,
): void {
  scratch += <usize>thread * (SampleScratch.Base + SampleScratch.PerToken * V);
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const own = settings + <usize>r * Sampling.Bytes;
    store<i32>(out + (<usize>r << 2), sampleRow(scratch, logits + ((<usize>r * V) << 2), own, V));
    store<i32>(own, load<i32>(own, Sampling.Step) + 1, Sampling.Step);
  }
}

function sampleRow(scratch: usize, x: usize, settings: usize, V: i32): i32 {
  const temperature = load<f32>(settings, Sampling.Temperature);
  const k = load<i32>(settings, Sampling.TopK);
  assert(temperature >= 0, "sample: temperature must be 0 or more");
  const largest = rowMaximum(x, V);
  if (!isFinite(largest)) return -1;
  if (temperature == 0) return firstEqual(x, largest, V);
  const last = k > 0 && k < V ? kthLargest(scratch, x, k, V) : -1;
  const total = last >= 0
    ? weigh(scratch, x, largest, temperature, load<f32>(x + (<usize>last << 2)), last, V)
    : weigh(scratch, x, largest, temperature, -f32.POSITIVE_INFINITY, V, V);
  const seedLow = load<u32>(settings, Sampling.SeedLow);
  const seedHigh = load<u32>(settings, Sampling.SeedHigh);
  const word = <u32>i32x4.extract_lane(philox4x32(seedLow, seedHigh, 0, 0, load<u32>(settings, Sampling.Step), 0), 0);
  return pick(scratch, (<f64>word / 4294967296.0) * total, V);
}

// The index of the k-th largest x[v], where a lower index wins ties. Keeps a min-heap of the k best indices so far.
function kthLargest(heap: usize, x: usize, k: i32, V: i32): i32 {
  for (let v = 0; v < k; v++) store<i32>(heap + (<usize>v << 2), v);
  for (let node = k / 2 - 1; node >= 0; node--) sink(heap, x, k, node, load<i32>(heap + (<usize>node << 2)));
  let threshold = load<f32>(x + (<usize>load<i32>(heap) << 2));
  let v = k;
  while (v < V) {
    if (v + 4 <= V && !v128.any_true(f32x4.gt(v128.load(x + (<usize>v << 2)), f32x4.splat(threshold)))) {
      v += 4;
      continue;
    }
    if (load<f32>(x + (<usize>v << 2)) > threshold) {
      sink(heap, x, k, 0, v);
      threshold = load<f32>(x + (<usize>load<i32>(heap) << 2));
    }
    v++;
  }
  return load<i32>(heap);
}

// Puts index v into the heap at `node` or below. A parent is worse than its children.
function sink(heap: usize, x: usize, k: i32, node: i32, v: i32): void {
  while (true) {
    let child = 2 * node + 1;
    if (child >= k) break;
    let index = load<i32>(heap + (<usize>child << 2));
    if (child + 1 < k && worse(x, load<i32>(heap + (<usize>child << 2), 4), index)) {
      child++;
      index = load<i32>(heap + (<usize>child << 2));
    }
    if (!worse(x, index, v)) break;
    store<i32>(heap + (<usize>node << 2), index);
    node = child;
  }
  store<i32>(heap + (<usize>node << 2), v);
}

// @ts-ignore: decorator
@inline
function worse(x: usize, a: i32, b: i32): bool {
  const xa = load<f32>(x + (<usize>a << 2));
  const xb = load<f32>(x + (<usize>b << 2));
  return xa < xb || (xa == xb && a > b);
}

// weights[v] = exp((x[v] − largest) / temperature) if x[v] > threshold, or if they are equal and v <= last; else 0. Returns their sum.
function weigh(weights: usize, x: usize, largest: f32, temperature: f32, threshold: f32, last: i32, V: i32): f64 {
  const vlast = i32x4.splat(last);
  const vthreshold = f32x4.splat(threshold);
  let vtotal = f64x2.splat(0);
  let vindex = i32x4(0, 1, 2, 3);
  let v = 0;
  for (; v + 4 <= V; v += 4) {
    const at = <usize>v << 2;
    const vx = v128.load(x + at);
    const vtie = v128.and(f32x4.eq(vx, vthreshold), i32x4.le_s(vindex, vlast));
    const vkept = v128.or(f32x4.gt(vx, vthreshold), vtie);
    vindex = i32x4.add(vindex, i32x4.splat(4));
    let ve = f32x4.splat(0);
    if (v128.any_true(vkept)) {
      ve = v128.and(vkept, exp(f32x4.div(f32x4.sub(vx, f32x4.splat(largest)), f32x4.splat(temperature))));
      vtotal = f64x2.add(vtotal, f64x2.promote_low_f32x4(ve));
      vtotal = f64x2.add(vtotal, f64x2.promote_low_f32x4(v128.shuffle<f64>(ve, ve, 1, 0)));
    }
    v128.store(weights + at, ve);
  }
  let total = f64x2.extract_lane(vtotal, 0) + f64x2.extract_lane(vtotal, 1);
  for (; v < V; v++) {
    const at = <usize>v << 2;
    const value = load<f32>(x + at);
    const kept = value > threshold || (value == threshold && v <= last);
    const e: f32 = kept ? expScalar((value - largest) / temperature) : 0;
    total += <f64>e;
    store<f32>(weights + at, e);
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
