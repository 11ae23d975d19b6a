/** Elementwise products. */
import { Count, Flag, In, InOut } from "../operands";
import { LINE, sliceEnd, sliceStart } from "../parallel";
import { loadTail, madd, storeTail } from "../simd";

/**
 * out[i] (+)= a[i]·b[i]. The gradients have the same form: dA (+)= dOut·b and dB (+)= dOut·a.
 * @param out  f32 [n], added to if `accumulate`; may alias a or b if not
 * @param a    f32 [n]
 * @param b    f32 [n]
 */
export function multiply(out: InOut<f32>, a: In<f32>, b: In<f32>, n: Count, accumulate: Flag, thread: i32, threads: i32): void {
  const start = sliceStart(n, LINE, thread, threads);
  const count = sliceEnd(n, LINE, thread, threads) - start;
  const tail = count & 3;
  const end = <usize>(start + count - tail) << 2;
  for (let i = <usize>start << 2; i < end; i += 16) {
    const va = v128.load(a + i);
    const vb = v128.load(b + i);
    v128.store(out + i, accumulate ? madd(va, vb, v128.load(out + i)) : f32x4.mul(va, vb));
  }
  if (tail == 0) return;
  const va = loadTail(a + end, tail);
  const vb = loadTail(b + end, tail);
  storeTail(out + end, accumulate ? madd(va, vb, loadTail(out + end, tail)) : f32x4.mul(va, vb), tail);
}
