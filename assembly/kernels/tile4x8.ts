import { madd } from "../simd";
import { element } from "./element";

/**
 * The relaxed build's tile for the last rows. For up to four rows, it does two thirds of the work of `tile6x8`. All builds use it for
 * products with few rows (fewrows-nt.ts). Operands as in `tile`.
 */
export function tile4x8(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, K: i32, rows: i32,
): void {
  const last = rows - 1;
  const step = <usize>aStep << 2;
  const end = element(b, K * 8);
  const aPitch = <usize>aRow << 2;
  let a0 = a;
  let a1 = last >= 1 ? a0 + aPitch : a0;
  let a2 = last >= 2 ? a1 + aPitch : a1;
  let a3 = last >= 3 ? a2 + aPitch : a2;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  if (start) {
    const pitch = <usize>ldStart << 2;
    c00 = v128.load(start), c01 = v128.load(start, 16);
    if (last >= 1) start += pitch;
    c10 = v128.load(start), c11 = v128.load(start, 16);
    if (last >= 2) start += pitch;
    c20 = v128.load(start), c21 = v128.load(start, 16);
    if (last >= 3) start += pitch;
    c30 = v128.load(start), c31 = v128.load(start, 16);
  }

  while (b < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let va = v128.load32_splat(a0);
    c00 = madd(va, b0, c00), c01 = madd(va, b1, c01);
    va = v128.load32_splat(a1);
    c10 = madd(va, b0, c10), c11 = madd(va, b1, c11);
    va = v128.load32_splat(a2);
    c20 = madd(va, b0, c20), c21 = madd(va, b1, c21);
    va = v128.load32_splat(a3);
    c30 = madd(va, b0, c30), c31 = madd(va, b1, c31);
    a0 += step, a1 += step, a2 += step, a3 += step;
    b += 32;
  }

  const pitch = <usize>ldc << 2;
  v128.store(c, c00), v128.store(c, c01, 16);
  if (last >= 1) c += pitch;
  v128.store(c, c10), v128.store(c, c11, 16);
  if (last >= 2) c += pitch;
  v128.store(c, c20), v128.store(c, c21, 16);
  if (last >= 3) c += pitch;
  v128.store(c, c30), v128.store(c, c31, 16);
}

/** The same number of sums, but with twice as many rows. */
export function tile8x4(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, K: i32, rows: i32,
): void {
  const last = rows - 1;
  const step = <usize>aStep << 2;
  const end = element(b, K * 4);
  const aPitch = <usize>aRow << 2;
  let a0 = a;
  let a1 = last >= 1 ? a0 + aPitch : a0;
  let a2 = last >= 2 ? a1 + aPitch : a1;
  let a3 = last >= 3 ? a2 + aPitch : a2;
  let a4 = last >= 4 ? a3 + aPitch : a3;
  let a5 = last >= 5 ? a4 + aPitch : a4;
  let a6 = last >= 6 ? a5 + aPitch : a5;
  let a7 = last >= 7 ? a6 + aPitch : a6;
  let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0;
  if (start) {
    const pitch = <usize>ldStart << 2;
    c0 = v128.load(start);
    if (last >= 1) start += pitch;
    c1 = v128.load(start);
    if (last >= 2) start += pitch;
    c2 = v128.load(start);
    if (last >= 3) start += pitch;
    c3 = v128.load(start);
    if (last >= 4) start += pitch;
    c4 = v128.load(start);
    if (last >= 5) start += pitch;
    c5 = v128.load(start);
    if (last >= 6) start += pitch;
    c6 = v128.load(start);
    if (last >= 7) start += pitch;
    c7 = v128.load(start);
  }

  while (b < end) {
    const vb = v128.load(b);
    c0 = madd(v128.load32_splat(a0), vb, c0), c1 = madd(v128.load32_splat(a1), vb, c1);
    c2 = madd(v128.load32_splat(a2), vb, c2), c3 = madd(v128.load32_splat(a3), vb, c3);
    c4 = madd(v128.load32_splat(a4), vb, c4), c5 = madd(v128.load32_splat(a5), vb, c5);
    c6 = madd(v128.load32_splat(a6), vb, c6), c7 = madd(v128.load32_splat(a7), vb, c7);
    a0 += step, a1 += step, a2 += step, a3 += step, a4 += step, a5 += step, a6 += step, a7 += step;
    b += 16;
  }

  const pitch = <usize>ldc << 2;
  v128.store(c, c0);
  if (last >= 1) c += pitch;
  v128.store(c, c1);
  if (last >= 2) c += pitch;
  v128.store(c, c2);
  if (last >= 3) c += pitch;
  v128.store(c, c3);
  if (last >= 4) c += pitch;
  v128.store(c, c4);
  if (last >= 5) c += pitch;
  v128.store(c, c5);
  if (last >= 6) c += pitch;
  v128.store(c, c6);
  if (last >= 7) c += pitch;
  v128.store(c, c7);
}
