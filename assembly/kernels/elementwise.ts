/** Memory-bound kernels: copies, sums and transposes. n, R, C, … count elements. Tensors are f32 unless stated otherwise. */
import { Count, In, InOut, Out, Scalar } from "../operands";
import { LINE, sliceStart, sliceEnd } from "../parallel";
import { storeTransposed } from "../simd";
import { element } from "./element";

/** The number of rows that `columnSum` adds up in registers before it updates its output. */
const ROWS: i32 = 64;

/**
 * out[i] = a[i] + b[i].
 * @param out  f32 [n], may alias a or b
 * @param a    f32 [n]
 * @param b    f32 [n]
 */
export function add(out: Out<f32>, a: In<f32>, b: In<f32>, n: Count, thread: i32, threads: i32): void {
  const end = sliceEnd(n, LINE, thread, threads);
  let i = sliceStart(n, LINE, thread, threads);
  for (; i + 4 <= end; i += 4) {
    const offset = <usize>i << 2;
    v128.store(out + offset, f32x4.add(v128.load(a + offset), v128.load(b + offset)));
  }
  for (; i < end; i++) {
    const offset = <usize>i << 2;
    store<f32>(out + offset, load<f32>(a + offset) + load<f32>(b + offset));
  }
}

/**
 * out[i] = factor · x[i].
 * @param out  f32 [n], may alias x
 * @param x    f32 [n]
 */
export function scale(out: Out<f32>, x: In<f32>, n: Count, factor: Scalar, thread: i32, threads: i32): void {
  const vfactor = f32x4.splat(factor);
  const end = sliceEnd(n, LINE, thread, threads);
  let i = sliceStart(n, LINE, thread, threads);
  for (; i + 4 <= end; i += 4) {
    const offset = <usize>i << 2;
    v128.store(out + offset, f32x4.mul(vfactor, v128.load(x + offset)));
  }
  for (; i < end; i++) {
    const offset = <usize>i << 2;
    store<f32>(out + offset, factor * load<f32>(x + offset));
  }
}

/**
 * out[i] = x[i], bit for bit.
 * @param out  f32 [n], must not overlap x
 * @param x    f32 [n]
 */
export function copy(out: Out<f32>, x: In<f32>, n: Count, thread: i32, threads: i32): void {
  const start = sliceStart(n, LINE, thread, threads);
  const end = sliceEnd(n, LINE, thread, threads);
  const offset = <usize>start << 2;
  memory.copy(out + offset, x + offset, <usize>(end - start) << 2);
}

/**
 * out[i] = value.
 * @param out  f32 [n]
 */
export function fill(out: Out<f32>, n: Count, value: Scalar, thread: i32, threads: i32): void {
  const vvalue = f32x4.splat(value);
  const end = sliceEnd(n, LINE, thread, threads);
  let i = sliceStart(n, LINE, thread, threads);
  for (; i + 4 <= end; i += 4) v128.store(element(out, i), vvalue);
  for (; i < end; i++) store<f32>(element(out, i), value);
}

/**
 * out[c, r] = x[r, c], in 4x4 tiles, two side by side. This reads half a cache line of x at a time and writes eight lines of out, which
 * stay in cache even if they all map to one set.
 * @param out  f32 [C, R], must not overlap x
 * @param x    f32 [R, C]
 */
export function transpose(out: Out<f32>, x: In<f32>, R: Count, C: Count, thread: i32, threads: i32): void {
  const pitchOut = <usize>R << 2;
  const pitch = <usize>C << 2;
  const end = sliceEnd(C, LINE, thread, threads);
  let c = sliceStart(C, LINE, thread, threads);
  for (; c + 8 <= end; c += 8) {
    let r = 0;
    for (; r + 4 <= R; r += 4) {
      transpose4x4(element(out, c * R + r), pitchOut, element(x, r * C + c), pitch);
      transpose4x4(element(out, (c + 4) * R + r), pitchOut, element(x, r * C + c + 4), pitch);
    }
    for (; r < R; r++) {
      for (let k = c; k < c + 8; k++) store<f32>(element(out, k * R + r), load<f32>(element(x, r * C + k)));
    }
  }
  for (; c < end; c++) {
    for (let r = 0; r < R; r++) store<f32>(element(out, c * R + r), load<f32>(element(x, r * C + c)));
  }
}

// Transposes the 4x4 elements at x, whose rows are `pitch` bytes apart, to out, whose rows are `pitchOut` bytes apart.
// @ts-ignore: decorator
@inline
function transpose4x4(out: usize, pitchOut: usize, x: usize, pitch: usize): void {
  storeTransposed(out, pitchOut, v128.load(x), v128.load(x + pitch), v128.load(x + 2 * pitch), v128.load(x + 3 * pitch));
}

/**
 * Adds the column sums to out: out[c] += Σ_r x[r, c].
 * @param out  f32 [C], added to
 * @param x    f32 [R, C]
 * Rows are summed in order, 64 at a time. Partial sums of bounded length keep the error for R rows close to that for R / 64.
 */
export function columnSum(out: InOut<f32>, x: In<f32>, R: Count, C: Count, thread: i32, threads: i32): void {
  const start = sliceStart(C, LINE, thread, threads);
  const end = sliceEnd(C, LINE, thread, threads);
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    let c = start;
    for (; c + 16 <= end; c += 16) sum16Columns(element(out, c), element(x, r * C + c), rows, <usize>C << 2);
    for (; c < end; c++) sumColumn(element(out, c), element(x, r * C + c), rows, <usize>C << 2);
  }
}

function sum16Columns(out: usize, x: usize, rows: i32, pitch: usize): void {
  let vacc0 = f32x4.splat(0);
  let vacc1 = f32x4.splat(0);
  let vacc2 = f32x4.splat(0);
  let vacc3 = f32x4.splat(0);
  while (rows > 0) {
    vacc0 = f32x4.add(vacc0, v128.load(x));
    vacc1 = f32x4.add(vacc1, v128.load(x, 16));
    vacc2 = f32x4.add(vacc2, v128.load(x, 32));
    vacc3 = f32x4.add(vacc3, v128.load(x, 48));
    x += pitch;
    rows--;
  }
  v128.store(out, f32x4.add(v128.load(out), vacc0));
  v128.store(out, f32x4.add(v128.load(out, 16), vacc1), 16);
  v128.store(out, f32x4.add(v128.load(out, 32), vacc2), 32);
  v128.store(out, f32x4.add(v128.load(out, 48), vacc3), 48);
}

function sumColumn(out: usize, x: usize, rows: i32, pitch: usize): void {
  let sum: f32 = 0;
  for (; rows > 0; rows--, x += pitch) sum += load<f32>(x);
  store<f32>(out, load<f32>(out) + sum);
}
