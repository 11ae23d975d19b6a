/** The tile of integers where a relaxed dot product is one instruction. Operands as in `tileIntegers`; `last` is one less than `rows`. */
import { IntegerBlock, Quantized } from "../layouts";
import { dot8 } from "./integers";
import { TILE_BYTES } from "./integers-tile";

export function directInt8(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32): void {
  tile6x8(sums, a, aRow, b, groups, group, last, false);
}

export function directInt4(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32): void {
  tile6x8(sums, a, aRow, b, groups, group, last, true);
}

// @ts-ignore: decorator
@inline
function dot(isInt4: bool, b: v128, a: v128, c: v128): v128 {
  return isInt4 ? dot8(a, b, c) : dot8(b, a, c);
}

// @ts-ignore: decorator
@inline
function tile6x8(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32, isInt4: bool): void {
  a += Quantized.Header;
  let a0 = a;
  let a1 = last >= 1 ? a0 + aRow : a0;
  let a2 = last >= 2 ? a1 + aRow : a1;
  let a3 = last >= 3 ? a2 + aRow : a2;
  let a4 = last >= 4 ? a3 + aRow : a3;
  let a5 = last >= 5 ? a4 + aRow : a4;
  for (const stop = sums + <usize>groups * TILE_BYTES; sums < stop; sums += TILE_BYTES) {
    let c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128, c40: v128, c41: v128, c50: v128, c51: v128;
    if (isInt4) {
      c00 = v128.load32_splat(a0 - 12), c01 = c00, c10 = v128.load32_splat(a1 - 12), c11 = c10;
      c20 = v128.load32_splat(a2 - 12), c21 = c20, c30 = v128.load32_splat(a3 - 12), c31 = c30;
      c40 = v128.load32_splat(a4 - 12), c41 = c40, c50 = v128.load32_splat(a5 - 12), c51 = c50;
    } else {
      c00 = v128.load(b, IntegerBlock.Offsets), c01 = v128.load(b, IntegerBlock.Offsets + 16);
      c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01, c40 = c00, c41 = c01, c50 = c00, c51 = c01;
    }
    b += IntegerBlock.Int8;
    const end = b + (<usize>group << 3);
    while (b < end) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let va = v128.load32_splat(a0);
      c00 = dot(isInt4, b0, va, c00), c01 = dot(isInt4, b1, va, c01);
      va = v128.load32_splat(a1);
      c10 = dot(isInt4, b0, va, c10), c11 = dot(isInt4, b1, va, c11);
      va = v128.load32_splat(a2);
      c20 = dot(isInt4, b0, va, c20), c21 = dot(isInt4, b1, va, c21);
      va = v128.load32_splat(a3);
      c30 = dot(isInt4, b0, va, c30), c31 = dot(isInt4, b1, va, c31);
      va = v128.load32_splat(a4);
      c40 = dot(isInt4, b0, va, c40), c41 = dot(isInt4, b1, va, c41);
      va = v128.load32_splat(a5);
      c50 = dot(isInt4, b0, va, c50), c51 = dot(isInt4, b1, va, c51);
      a0 += 4, a1 += 4, a2 += 4, a3 += 4, a4 += 4, a5 += 4;
      b += 32;
    }
    v128.store(sums, c00), v128.store(sums, c01, 16), v128.store(sums, c10, 32), v128.store(sums, c11, 48);
    v128.store(sums, c20, 64), v128.store(sums, c21, 80), v128.store(sums, c30, 96), v128.store(sums, c31, 112);
    v128.store(sums, c40, 128), v128.store(sums, c41, 144), v128.store(sums, c50, 160), v128.store(sums, c51, 176);
    a0 += 16, a1 += 16, a2 += 16, a3 += 16, a4 += 16, a5 += 16;
  }
}
