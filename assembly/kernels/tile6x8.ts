import { element } from "./element";

/**
 * The tile of the relaxed build. Twelve sums, two vectors of B and one splat of A fill V8's 15 registers.
 * Not inlined: on Node 20, the inlined form spills and is half as fast.
 * Operands as in `tile`.
 */
export function tile6x8(
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
  let a4 = last >= 4 ? a3 + aPitch : a3;
  let a5 = last >= 5 ? a4 + aPitch : a4;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  if (start) {
    const pitch = <usize>ldStart << 2;
    c00 = v128.load(start), c01 = v128.load(start, 16);
    if (last >= 1) start += pitch;
    c10 = v128.load(start), c11 = v128.load(start, 16);
    if (last >= 2) start += pitch;
    c20 = v128.load(start), c21 = v128.load(start, 16);
    if (last >= 3) start += pitch;
    c30 = v128.load(start), c31 = v128.load(start, 16);
    if (last >= 4) start += pitch;
    c40 = v128.load(start), c41 = v128.load(start, 16);
    if (last >= 5) start += pitch;
    c50 = v128.load(start), c51 = v128.load(start, 16);
  }

  while (b < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let va = v128.load32_splat(a0);
    c00 = f32x4.relaxed_madd(va, b0, c00), c01 = f32x4.relaxed_madd(va, b1, c01);
    va = v128.load32_splat(a1);
    c10 = f32x4.relaxed_madd(va, b0, c10), c11 = f32x4.relaxed_madd(va, b1, c11);
    va = v128.load32_splat(a2);
    c20 = f32x4.relaxed_madd(va, b0, c20), c21 = f32x4.relaxed_madd(va, b1, c21);
    va = v128.load32_splat(a3);
    c30 = f32x4.relaxed_madd(va, b0, c30), c31 = f32x4.relaxed_madd(va, b1, c31);
    va = v128.load32_splat(a4);
    c40 = f32x4.relaxed_madd(va, b0, c40), c41 = f32x4.relaxed_madd(va, b1, c41);
    va = v128.load32_splat(a5);
    c50 = f32x4.relaxed_madd(va, b0, c50), c51 = f32x4.relaxed_madd(va, b1, c51);
    a0 += step, a1 += step, a2 += step, a3 += step, a4 += step, a5 += step;
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
  if (last >= 4) c += pitch;
  v128.store(c, c40), v128.store(c, c41, 16);
  if (last >= 5) c += pitch;
  v128.store(c, c50), v128.store(c, c51, 16);
}
