/** Pointwise non-linearities, forward and backward: ReLU, GELU (with erf or its tanh approximation) and SiLU. */
import { Count, Flag, In, Out } from "../operands";
import { Activation } from "../layouts";
import { sliceEnd, sliceStart } from "../parallel";
import { clamp, erf, exp, sigmoid } from "../math";
import { loadTail, madd, storeTail } from "../simd";

const GRAIN = 16; // elements in a cache line

// prettier-ignore
const CONSTANTS: usize = memory.data<f32>(
  [
    3.4028235e38, 3.4028235e38, 3.4028235e38, 3.4028235e38, // the largest number, used instead of Infinity because 0·Infinity is NaN
    0.70710678, 0.70710678, 0.70710678, 0.70710678, // √½
    0.5, 0.5, 0.5, 0.5,
    0.39894228, 0.39894228, 0.39894228, 0.39894228, // 1/√(2π)
    1.5957691, 1.5957691, 1.5957691, 1.5957691, // 2√(2/π)
    0.071354816, 0.071354816, 0.071354816, 0.071354816, // 0.044715 · 2√(2/π)
    0.21406445, 0.21406445, 0.21406445, 0.21406445, // 3 · 0.044715 · 2√(2/π)
    10, 10, 10, 10, // geluTanh's sigmoid is 0 or 1 beyond ±10
    1, 1, 1, 1,
    -3.4028235e38, -3.4028235e38, -3.4028235e38, -3.4028235e38, // the lowest number
  ],
  16,
);

/**
 * out = f(x), where `activation` selects f:
 *
 *     Relu       max(x, 0)
 *     Gelu       x·Φ(x) = ½x·(1 + erf(x/√2))                                absolute error < 1e-6·max(1, |x|)
 *     GeluTanh   ½x·(1 + tanh u) = x·sigmoid(2u), u = √(2/π)(x + 0.044715x³)    relative error < 2e-5
 *     Silu       x·sigmoid(x)                                               relative error < 5e-7 on [−87, ∞)
 *
 * @param out  f32 [n], may alias x
 * @param x    f32 [n]
 * −Infinity gives 0. Source: Hendrycks & Gimpel 2016, arXiv:1606.08415 (GELU and SiLU).
 */
export function activationForward(out: Out<f32>, x: In<f32>, n: Count, activation: Flag, thread: i32, threads: i32): void {
  const start = sliceStart(n, GRAIN, thread, threads);
  const count = sliceEnd(n, GRAIN, thread, threads) - start;
  out += <usize>start << 2;
  x += <usize>start << 2;
  switch (activation) {
    case Activation.None: memory.copy(out, x, <usize>count << 2); break;
    case Activation.Relu: reluForward(out, x, count); break;
    case Activation.Gelu: geluForward(out, x, count); break;
    case Activation.GeluTanh: geluTanhForward(out, x, count); break;
    case Activation.Silu: siluForward(out, x, count); break;
    default: assert(false);
  }
}

function reluForward(out: usize, x: usize, n: i32): void { forward(out, x, n, Activation.Relu); }
function geluForward(out: usize, x: usize, n: i32): void { forward(out, x, n, Activation.Gelu); }
function geluTanhForward(out: usize, x: usize, n: i32): void { forward(out, x, n, Activation.GeluTanh); }
function siluForward(out: usize, x: usize, n: i32): void { forward(out, x, n, Activation.Silu); }

// The loop shared by all activations. `activation` is a constant, so only its branch of `value` is compiled.
// @ts-ignore: decorator
@inline
function forward(out: usize, x: usize, n: i32, activation: i32): void {
  const tail = n & 3;
  const end = x + (<usize>(n - tail) << 2);
  while (x < end) {
    v128.store(out, value(v128.load(x), activation));
    x += 16;
    out += 16;
  }
  if (tail) storeTail(out, value(loadTail(x, tail), activation), tail);
}

// @ts-ignore: decorator
@inline
function value(x: v128, activation: i32): v128 {
  if (activation == Activation.Relu) return f32x4.pmax(x, f32x4.splat(0));
  const finite = f32x4.pmax(x, v128.load(CONSTANTS, 144));
  if (activation == Activation.Gelu) return f32x4.mul(finite, normalCdf(x));
  if (activation == Activation.GeluTanh) return f32x4.mul(finite, sigmoid(twiceU(x)));
  return f32x4.mul(finite, sigmoid(x));
}

/**
 * dX = dOut·f′(x):
 *
 *     Relu       x > 0
 *     Gelu       Φ(x) + x·φ(x), φ(x) = exp(−x²/2)/√(2π)
 *     GeluTanh   s + x·s·(1 − s)·2u′, s = sigmoid(2u), u′ = √(2/π)(1 + 3·0.044715x²)
 *     Silu       s + x·s·(1 − s), s = sigmoid(x)
 *
 * @param dX    f32 [n], may alias dOut
 * @param dOut  f32 [n]
 * @param x     f32 [n], the input of the forward pass
 * Absolute error of f′ < 2e-6.
 */
export function activationBackward(dX: Out<f32>, dOut: In<f32>, x: In<f32>, n: Count, activation: Flag, thread: i32, threads: i32): void {
  const start = sliceStart(n, GRAIN, thread, threads);
  const count = sliceEnd(n, GRAIN, thread, threads) - start;
  dX += <usize>start << 2;
  dOut += <usize>start << 2;
  x += <usize>start << 2;
  switch (activation) {
    case Activation.None: memory.copy(dX, dOut, <usize>count << 2); break;
    case Activation.Relu: reluBackward(dX, dOut, x, count); break;
    case Activation.Gelu: geluBackward(dX, dOut, x, count); break;
    case Activation.GeluTanh: geluTanhBackward(dX, dOut, x, count); break;
    case Activation.Silu: siluBackward(dX, dOut, x, count); break;
    default: assert(false);
  }
}

function reluBackward(dX: usize, dOut: usize, x: usize, n: i32): void { backward(dX, dOut, x, n, Activation.Relu); }
function geluBackward(dX: usize, dOut: usize, x: usize, n: i32): void { backward(dX, dOut, x, n, Activation.Gelu); }
function geluTanhBackward(dX: usize, dOut: usize, x: usize, n: i32): void { backward(dX, dOut, x, n, Activation.GeluTanh); }
function siluBackward(dX: usize, dOut: usize, x: usize, n: i32): void { backward(dX, dOut, x, n, Activation.Silu); }

// @ts-ignore: decorator
@inline
function backward(dX: usize, dOut: usize, x: usize, n: i32, activation: i32): void {
  const tail = n & 3;
  const end = x + (<usize>(n - tail) << 2);
  while (x < end) {
    v128.store(dX, gradient(v128.load(dOut), v128.load(x), activation));
    x += 16;
    dOut += 16;
    dX += 16;
  }
  if (tail) storeTail(dX, gradient(loadTail(dOut, tail), loadTail(x, tail), activation), tail);
}

// dOut·f′(x)
// @ts-ignore: decorator
@inline
function gradient(dOut: v128, x: v128, activation: i32): v128 {
  if (activation == Activation.Relu) return v128.andnot(dOut, f32x4.le(x, f32x4.splat(0)));
  const one = v128.load(CONSTANTS, 128);
  if (activation == Activation.Gelu) {
    const finite = clamp(x, v128.load(CONSTANTS));
    const halfSquare = f32x4.mul(f32x4.mul(x, x), v128.load(CONSTANTS, 32));
    const density = f32x4.mul(exp(f32x4.sub(f32x4.splat(0), halfSquare)), v128.load(CONSTANTS, 48));
    return f32x4.mul(dOut, madd(finite, density, normalCdf(x)));
  }
  if (activation == Activation.GeluTanh) {
    const c = clamp(x, v128.load(CONSTANTS, 112));
    const s = sigmoid(twiceU(c));
    const slope = madd(f32x4.mul(c, c), v128.load(CONSTANTS, 96), v128.load(CONSTANTS, 64)); // 2u′
    const inner = f32x4.mul(f32x4.mul(c, slope), f32x4.sub(one, s));
    return f32x4.mul(dOut, madd(inner, s, s));
  }
  const s = sigmoid(x);
  const inner = f32x4.mul(clamp(x, v128.load(CONSTANTS)), f32x4.sub(one, s));
  return f32x4.mul(dOut, madd(inner, s, s));
}

// Φ(x), the cumulative distribution function of the standard normal distribution.
// @ts-ignore: decorator
@inline
function normalCdf(x: v128): v128 {
  const half = v128.load(CONSTANTS, 32);
  return madd(erf(f32x4.mul(x, v128.load(CONSTANTS, 16))), half, half);
}

// 2u = 2√(2/π)(x + 0.044715x³)
// @ts-ignore: decorator
@inline
function twiceU(x: v128): v128 {
  return f32x4.mul(x, madd(f32x4.mul(x, x), v128.load(CONSTANTS, 80), v128.load(CONSTANTS, 64)));
}
