/** Dropout, optionally fused with the addition of a residual. */
import { Count, In, MaybeIn, Out, Scalar } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { dropThreshold, keepBits, keepMask } from "../random";
import { loadTail, madd, storeTail } from "../simd";

const GROUP = 32; // elements per call of `keepBits`

/**
 * out[e] = residual[e] + x[e]·keep[e]/(1 − p), where keep[e] is 0 with probability p and 1 otherwise.
 * Backward is the same op on dOut without the residual: keep[e] is a function of (rng, stream, e) and is recomputed.
 * @param out       f32 [n], may alias x or residual
 * @param x         f32 [n]
 * @param residual  f32 [n], or 0: none
 * @param rng       the random cell
 * @param p         in [0, 1], rounded to a multiple of 2⁻¹⁶ for drawing; 0 leaves x unchanged, 1 gives the residual or zeros
 * @param stream    this op's part of the counter
 * NaN in x is always kept. Source: Srivastava et al. 2014, "Dropout".
 */
export function dropout(
  out: Out<f32>, x: In<f32>, residual: MaybeIn<f32>, rng: In<i32>, n: Count, p: Scalar, stream: Count,
  thread: i32, threads: i32,
): void {
  assert(p >= 0 && p <= 1);
  const end = sliceEnd(n, GROUP, thread, threads);
  const threshold = dropThreshold(p);
  const factor: f32 = 1 / (1 - p);
  for (let e = sliceStart(n, GROUP, thread, threads); e < end; e += GROUP) {
    const bits = keepBits(rng, stream, e >> 3, threshold);
    const at = <usize>e << 2;
    dropGroup(out + at, x + at, residual ? residual + at : 0, min(GROUP, end - e), bits, factor);
  }
}

function dropGroup(out: usize, x: usize, residual: usize, n: i32, bits: u32, factor: f32): void {
  const scale = f32x4.splat(factor);
  const tail = n & 3;
  const body = <usize>(n - tail) << 2;
  for (let i: usize = 0; i < body; i += 16) {
    const kept = v128.and(keepMask(bits), scale);
    const v = v128.load(x + i);
    v128.store(out + i, residual ? madd(v, kept, v128.load(residual + i)) : f32x4.mul(v, kept));
    bits >>= 4;
  }
  if (tail) {
    const kept = v128.and(keepMask(bits), scale);
    const v = loadTail(x + body, tail);
    storeTail(out + body, residual ? madd(v, kept, loadTail(residual + body, tail)) : f32x4.mul(v, kept), tail);
  }
}
