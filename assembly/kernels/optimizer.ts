/**
 * Weight updates: the global gradient norm, clipping, AdamW and SGD.
 *
 * Gradients are sums over tokens. `clipGradient` writes the factor that turns them into a clipped mean to `Cell.GradientScale`.
 * If it writes NaN (because the loss or the norm is not finite, or there were no tokens), the steps change nothing.
 */
import { Count, In, InOut, MaybeInOut, Out, Scalar } from "../operands";
import { Cell, Reduction } from "../layouts";
import { LINE, sliceStart, sliceEnd } from "../parallel";

/**
 * Sums of squares, one partial sum per chunk of the tensor: partials[i] = Σ x[j]² for j in chunk i.
 * @param partials  f64 [ceil(n / Reduction.Chunk)]
 * @param x         f32 [n]
 */
export function squareSum(partials: Out<f64>, x: In<f32>, n: Count, thread: i32, threads: i32): void {
  const chunks = (n + Reduction.Chunk - 1) / Reduction.Chunk;
  const end = sliceEnd(chunks, 1, thread, threads);
  for (let chunk = sliceStart(chunks, 1, thread, threads); chunk < end; chunk++) {
    const first = chunk * Reduction.Chunk;
    const sum = chunkSquareSum(x + (<usize>first << 2), min(n - first, Reduction.Chunk));
    store<f64>(partials + (<usize>chunk << 3), sum);
  }
}

function chunkSquareSum(x: usize, n: i32): f64 {
  let vacc0 = f64x2.splat(0);
  let vacc1 = f64x2.splat(0);
  let vacc2 = f64x2.splat(0);
  let vacc3 = f64x2.splat(0);
  for (; n >= 8; n -= 8, x += 32) {
    const vx0 = f64x2.promote_low_f32x4(v128.load64_zero(x));
    const vx1 = f64x2.promote_low_f32x4(v128.load64_zero(x, 8));
    const vx2 = f64x2.promote_low_f32x4(v128.load64_zero(x, 16));
    const vx3 = f64x2.promote_low_f32x4(v128.load64_zero(x, 24));
    vacc0 = f64x2.add(vacc0, f64x2.mul(vx0, vx0));
    vacc1 = f64x2.add(vacc1, f64x2.mul(vx1, vx1));
    vacc2 = f64x2.add(vacc2, f64x2.mul(vx2, vx2));
    vacc3 = f64x2.add(vacc3, f64x2.mul(vx3, vx3));
  }
  const vacc = f64x2.add(f64x2.add(vacc0, vacc1), f64x2.add(vacc2, vacc3));
  let sum = f64x2.extract_lane(vacc, 0) + f64x2.extract_lane(vacc, 1);
  for (; n > 0; n--, x += 4) sum += <f64>load<f32>(x) * <f64>load<f32>(x);
  return sum;
}

/**
 * Clipping by global norm (Pascanu et al. 2013):
 * norm = √(Σ partials) / TokenCount and scale = min(1, maxNorm / norm) / TokenCount.
 * Writes Cell.GradientNorm and Cell.GradientScale. The scale is NaN if the loss or the norm is not finite, or if there were no tokens.
 * @param cells     see Cell
 * @param partials  f64 [count], from `squareSum`, over all parameters
 * @param maxNorm   0: no clipping
 */
export function clipGradient(cells: InOut<f32>, partials: In<f64>, count: Count, maxNorm: Scalar, thread: i32, threads: i32): void {
  if (thread != 0) return;
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += load<f64>(partials + (<usize>i << 3));
  const tokens = load<f64>(cells, Cell.TokenCount);
  const norm = Math.sqrt(sum) / tokens; // not finite if there are no tokens
  const clip = maxNorm > 0 ? min<f64>(1, <f64>maxNorm / norm) : 1;
  const valid = isFinite(norm) && isFinite(load<f64>(cells, Cell.LossSum));
  store<f64>(cells, norm, Cell.GradientNorm);
  store<f32>(cells, valid ? <f32>(clip / tokens) : f32.NaN, Cell.GradientScale);
}

/**
 * AdamW (Loshchilov & Hutter 2019, algorithm 2), with g = gradient · GradientScale and t = Step:
 *
 *     m = beta1·m + (1 − beta1)·g             m̂ = m / (1 − beta1^t)
 *     v = beta2·v + (1 − beta2)·g²            v̂ = v / (1 − beta2^t)
 *     weight −= LearningRate·(m̂ / (√v̂ + epsilon) + decay·weight)
 *
 * @param weight    f32 [n], updated
 * @param gradient  f32 [n]
 * @param m         f32 [n], updated
 * @param v         f32 [n], updated
 * @param cells     see Cell; a NaN GradientScale skips the step
 */
export function adamwStep(
  weight: InOut<f32>, gradient: In<f32>, m: InOut<f32>, v: InOut<f32>, cells: In<f32>,
  n: Count, beta1: Scalar, beta2: Scalar, epsilon: Scalar, decay: Scalar,
  thread: i32, threads: i32,
): void {
  const gradientScale = load<f32>(cells, Cell.GradientScale);
  if (isNaN(gradientScale)) return;
  const rate = <f64>load<f32>(cells, Cell.LearningRate);
  const step = load<i32>(cells, Cell.Step);
  assert(step > 0, "adamwStep: steps count from 1");
  // √v̂ = √v · root. The learning rate and the weight decay are folded into one factor each.
  const rest1 = <f32>(1 - <f64>beta1);
  const rest2 = <f32>(1 - <f64>beta2);
  const root = <f32>(1 / Math.sqrt(1 - power(beta2, step)));
  const rateM = <f32>(rate / (1 - power(beta1, step)));
  const keep = <f32>(1 - rate * <f64>decay);

  const end = sliceEnd(n, LINE, thread, threads);
  let i = sliceStart(n, LINE, thread, threads);
  for (; i + 4 <= end; i += 4) {
    const at = <usize>i << 2;
    const vg = f32x4.mul(f32x4.splat(gradientScale), v128.load(gradient + at));
    const vm = f32x4.add(f32x4.mul(f32x4.splat(beta1), v128.load(m + at)), f32x4.mul(f32x4.splat(rest1), vg));
    const vv = f32x4.add(f32x4.mul(f32x4.splat(beta2), v128.load(v + at)), f32x4.mul(f32x4.splat(rest2), f32x4.mul(vg, vg)));
    const vdown = f32x4.add(f32x4.mul(f32x4.sqrt(vv), f32x4.splat(root)), f32x4.splat(epsilon));
    const vkept = f32x4.mul(f32x4.splat(keep), v128.load(weight + at));
    v128.store(m + at, vm);
    v128.store(v + at, vv);
    v128.store(weight + at, f32x4.sub(vkept, f32x4.div(f32x4.mul(f32x4.splat(rateM), vm), vdown)));
  }
  for (; i < end; i++) {
    const at = <usize>i << 2;
    const g = gradientScale * load<f32>(gradient + at);
    const m1 = beta1 * load<f32>(m + at) + rest1 * g;
    const v1 = beta2 * load<f32>(v + at) + rest2 * (g * g);
    store<f32>(m + at, m1);
    store<f32>(v + at, v1);
    store<f32>(weight + at, keep * load<f32>(weight + at) - (rateM * m1) / (Mathf.sqrt(v1) * root + epsilon));
  }
}

/**
 * Stochastic gradient descent with momentum, with g = gradient · GradientScale:
 *
 *     velocity = momentum·velocity + g + decay·weight
 *     weight −= LearningRate·velocity
 *
 * @param weight    f32 [n], updated
 * @param gradient  f32 [n]
 * @param velocity  f32 [n], updated; may be 0 (absent) only if momentum is 0
 * @param cells     see Cell; a NaN GradientScale skips the step
 */
export function sgdStep(
  weight: InOut<f32>, gradient: In<f32>, velocity: MaybeInOut<f32>, cells: In<f32>,
  n: Count, momentum: Scalar, decay: Scalar,
  thread: i32, threads: i32,
): void {
  const gradientScale = load<f32>(cells, Cell.GradientScale);
  if (isNaN(gradientScale)) return;
  assert(velocity != 0 || momentum == 0, "sgdStep: momentum needs a velocity");
  const rate = load<f32>(cells, Cell.LearningRate);

  const end = sliceEnd(n, LINE, thread, threads);
  let i = sliceStart(n, LINE, thread, threads);
  for (; i + 4 <= end; i += 4) {
    const at = <usize>i << 2;
    const vold = v128.load(weight + at);
    let vdown = f32x4.mul(f32x4.splat(gradientScale), v128.load(gradient + at));
    vdown = f32x4.add(vdown, f32x4.mul(f32x4.splat(decay), vold));
    if (velocity != 0) {
      vdown = f32x4.add(f32x4.mul(f32x4.splat(momentum), v128.load(velocity + at)), vdown);
      v128.store(velocity + at, vdown);
    }
    v128.store(weight + at, f32x4.sub(vold, f32x4.mul(f32x4.splat(rate), vdown)));
  }
  for (; i < end; i++) {
    const at = <usize>i << 2;
    const old = load<f32>(weight + at);
    let down = gradientScale * load<f32>(gradient + at) + decay * old;
    if (velocity != 0) {
      down = momentum * load<f32>(velocity + at) + down;
      store<f32>(velocity + at, down);
    }
    store<f32>(weight + at, old - rate * down);
  }
}

// base^exponent for exponent ≥ 0, by repeated squaring.
function power(base: f64, exponent: i32): f64 {
  let result: f64 = 1;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if (exponent & 1) result *= base;
  }
  return result;
}
