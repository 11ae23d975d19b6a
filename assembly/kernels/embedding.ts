/** Rows of a table by number, and their gradients. */
import { Count, Flag, In, InFormat, InOut, Out, Scalar } from "../operands";
import { LINE, sliceStart, sliceEnd } from "../parallel";
import { madd } from "../simd";


/**
 * out[n, :] = scale · weight[ids[n], :].
 * @param out     f32 [N, C]
 * @param ids     i32 [N], each a row of weight
 * @param weight  f32 [V, C]
 * @param scale   √C in Vaswani et al. 2017, section 3.4; otherwise 1
 */
export function embeddingForward(
  out: Out<f32>, ids: In<i32>, weight: InFormat, N: Count, V: Count, C: Count, scale: Scalar, format: Flag,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(N, 1, thread, threads);
  for (let n = sliceStart(N, 1, thread, threads); n < end; n++) {
    const id = load<i32>(ids + (<usize>n << 2));
    assert(id >= 0, "embeddingForward: an id is negative");
    scaleRow(out + ((<usize>n * C) << 2), weight + ((<usize>id * C) << 2), C, scale);
  }
}

// out[c] = scale·x[c]
function scaleRow(out: usize, x: usize, C: i32, scale: f32): void {
  const vscale = f32x4.splat(scale);
  for (; C >= 4; C -= 4, out += 16, x += 16) v128.store(out, f32x4.mul(vscale, v128.load(x)));
  for (; C > 0; C--, out += 4, x += 4) store<f32>(out, scale * load<f32>(x));
}

/**
 * dWeight[ids[n], :] += scale · dOut[n, :], for n in order.
 * @param dWeight  f32 [V, C], added to
 * @param dOut     f32 [N, C]
 * @param ids      i32 [N], each a row of dWeight
 * Threads share the columns, so that an id may come twice.
 */
export function embeddingBackward(
  dWeight: InOut<f32>, dOut: In<f32>, ids: In<i32>, N: Count, V: Count, C: Count, scale: Scalar,
  thread: i32, threads: i32,
): void {
  const start = sliceStart(C, LINE, thread, threads);
  const columns = sliceEnd(C, LINE, thread, threads) - start;
  for (let n = 0; n < N; n++) {
    const id = load<i32>(ids + (<usize>n << 2));
    assert(id >= 0, "embeddingBackward: an id is negative");
    addScaledRow(dWeight + ((<usize>id * C + start) << 2), dOut + ((<usize>n * C + start) << 2), columns, scale);
  }
}

// out[c] += scale·x[c]
function addScaledRow(out: usize, x: usize, C: i32, scale: f32): void {
  const vscale = f32x4.splat(scale);
  for (; C >= 4; C -= 4, out += 16, x += 16) v128.store(out, madd(vscale, v128.load(x), v128.load(out)));
  for (; C > 0; C--, out += 4, x += 4) store<f32>(out, load<f32>(out) + scale * load<f32>(x));
}
