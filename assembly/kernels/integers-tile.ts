/**
 * The micro-kernel of products of integers with many rows: a tile of sums stays in registers over one group of columns.
 *
 * As in `tile.ts`, only stores follow the loop: the sums of all groups go to scratch, and a second pass scales and adds them.
 */
import { IntegerBlock, Quantized } from "../layouts";
import { addGroup, dot8InPairs, ones } from "./integers";
import { directInt4, directInt8 } from "./integers-tile6x8";
import { blockBytes } from "./quantize";

/** Bytes of a tile of sums: i32 [6, 8], with room for the largest tile. */
export const TILE_BYTES: usize = 192;
/** Bytes of an integer in a packed panel. The plain build multiplies integers of 16 bits. */
export const PACKED: i32 = ASC_FEATURE_RELAXED_SIMD ? 1 : 2;

/** Bytes of a group of a packed panel: the header of an int8 block, then 8 rows of integers. */
// @ts-ignore: decorator
@inline
export function panelBytes(group: i32): usize {
  return <usize>(IntegerBlock.Int8 + 8 * PACKED * group);
}

/**
 * sums[g, i, j] = Σ_k a[i, g, k]·b[g, j, k]
 * @param sums    i32 [groups, 6, 8], aligned to 16
 * @param a       rows of blocks, as `quantizeRows` writes them, `aRow` bytes apart
 * @param b       a panel: for int8 in the relaxed build, the weight's own blocks; else from integers-pack.ts
 * @param rows    1 … `tileRows`. Pointers past the last row repeat it
 * @param isInt4  whether b holds the weight plus 8, and a's header the sum that corrects it (in the relaxed build)
 * @param direct  see `hasDirectDots`
 */
export function tileIntegers(
  sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, rows: i32, isInt4: bool, direct: bool,
): void {
  if (!ASC_FEATURE_RELAXED_SIMD) plain4x8(sums, a, aRow, b, groups, group, rows - 1);
  else if (!direct && isInt4) pairsInt4(sums, a, aRow, b, groups, group, rows - 1);
  else if (!direct) pairsInt8(sums, a, aRow, b, groups, group, rows - 1);
  else if (isInt4) directInt4(sums, a, aRow, b, groups, group, rows - 1);
  else directInt8(sums, a, aRow, b, groups, group, rows - 1);
}

/** Rows of a tile. Products in pairs need two more registers. */
// @ts-ignore: decorator
@inline
export function tileRows(direct: bool): i32 {
  return ASC_FEATURE_RELAXED_SIMD && direct ? 6 : 4;
}

function pairsInt8(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32): void {
  pairs4x8(sums, a, aRow, b, groups, group, last, false);
}

function pairsInt4(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32): void {
  pairs4x8(sums, a, aRow, b, groups, group, last, true);
}

// @ts-ignore: decorator
@inline
function addPairs(isInt4: bool, b: v128, a: v128, c: v128, one: v128): v128 {
  return isInt4 ? dot8InPairs(a, b, c, one) : dot8InPairs(b, a, c, one);
}

// @ts-ignore: decorator
@inline
function pairs4x8(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32, isInt4: bool): void {
  const one = ones();
  let a0 = a + Quantized.Header;
  let a1 = last >= 1 ? a0 + aRow : a0;
  let a2 = last >= 2 ? a1 + aRow : a1;
  let a3 = last >= 3 ? a2 + aRow : a2;
  for (const stop = sums + <usize>groups * TILE_BYTES; sums < stop; sums += TILE_BYTES) {
    let c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128;
    if (isInt4) {
      c00 = v128.load32_splat(a0 - 12), c01 = c00, c10 = v128.load32_splat(a1 - 12), c11 = c10;
      c20 = v128.load32_splat(a2 - 12), c21 = c20, c30 = v128.load32_splat(a3 - 12), c31 = c30;
    } else {
      c00 = v128.load(b, IntegerBlock.Offsets), c01 = v128.load(b, IntegerBlock.Offsets + 16);
      c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01;
    }
    b += IntegerBlock.Int8;
    const end = b + (<usize>group << 3);
    while (b < end) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let va = v128.load32_splat(a0);
      c00 = addPairs(isInt4, b0, va, c00, one), c01 = addPairs(isInt4, b1, va, c01, one);
      va = v128.load32_splat(a1);
      c10 = addPairs(isInt4, b0, va, c10, one), c11 = addPairs(isInt4, b1, va, c11, one);
      va = v128.load32_splat(a2);
      c20 = addPairs(isInt4, b0, va, c20, one), c21 = addPairs(isInt4, b1, va, c21, one);
      va = v128.load32_splat(a3);
      c30 = addPairs(isInt4, b0, va, c30, one), c31 = addPairs(isInt4, b1, va, c31, one);
      a0 += 4, a1 += 4, a2 += 4, a3 += 4;
      b += 32;
    }
    v128.store(sums, c00), v128.store(sums, c01, 16), v128.store(sums, c10, 32), v128.store(sums, c11, 48);
    v128.store(sums, c20, 64), v128.store(sums, c21, 80), v128.store(sums, c30, 96), v128.store(sums, c31, 112);
    a0 += 16, a1 += 16, a2 += 16, a3 += 16;
  }
}

function plain4x8(sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, last: i32): void {
  let a0 = a + Quantized.Header;
  let a1 = last >= 1 ? a0 + aRow : a0;
  let a2 = last >= 2 ? a1 + aRow : a1;
  let a3 = last >= 3 ? a2 + aRow : a2;
  for (const stop = sums + <usize>groups * TILE_BYTES; sums < stop; sums += TILE_BYTES) {
    let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    b += IntegerBlock.Int8;
    const end = b + (<usize>group << 4);
    while (b < end) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let va = v128.load32_splat(a0);
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(b0, va)), c01 = i32x4.add(c01, i32x4.dot_i16x8_s(b1, va));
      va = v128.load32_splat(a1);
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(b0, va)), c11 = i32x4.add(c11, i32x4.dot_i16x8_s(b1, va));
      va = v128.load32_splat(a2);
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(b0, va)), c21 = i32x4.add(c21, i32x4.dot_i16x8_s(b1, va));
      va = v128.load32_splat(a3);
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(b0, va)), c31 = i32x4.add(c31, i32x4.dot_i16x8_s(b1, va));
      a0 += 4, a1 += 4, a2 += 4, a3 += 4;
      b += 32;
    }
    v128.store(sums, c00), v128.store(sums, c01, 16), v128.store(sums, c10, 32), v128.store(sums, c11, 48);
    v128.store(sums, c20, 64), v128.store(sums, c21, 80), v128.store(sums, c30, 96), v128.store(sums, c31, 112);
    a0 += 16, a1 += 16, a2 += 16, a3 += 16;
  }
}

/** c[i, j] += Σ_g (sums[g, i, j]·scaleB[g, j])·scaleA[i, g]. c is f32 [rows, 8]; the other operands as above. */
export function addScaled(c: usize, sums: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, rows: i32): void {
  const last = rows - 1, aStep = blockBytes(group), bStep = panelBytes(group);
  for (let i = 0; i < rows; i += 2, c += 64, sums += 64) {
    const a0 = a + <usize>i * aRow, a1 = i < last ? a0 + aRow : a0;
    addTwoRows(c, sums, a0, a1 - a0, aStep, b, bStep, sums + <usize>groups * TILE_BYTES);
  }
}

function addTwoRows(c: usize, sums: usize, a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize, end: usize): void {
  let c00 = v128.load(c), c01 = v128.load(c, 16), c10 = v128.load(c, 32), c11 = v128.load(c, 48);
  for (; sums < end; sums += TILE_BYTES, a += aStep, b += bStep) {
    const scale0 = v128.load(b), scale1 = v128.load(b, 16);
    let va = v128.load32_splat(a);
    c00 = addGroup(c00, v128.load(sums), scale0, va), c01 = addGroup(c01, v128.load(sums, 16), scale1, va);
    va = v128.load32_splat(a + aRow);
    c10 = addGroup(c10, v128.load(sums, 32), scale0, va), c11 = addGroup(c11, v128.load(sums, 48), scale1, va);
  }
  v128.store(c, c00), v128.store(c, c01, 16), v128.store(c, c10, 32), v128.store(c, c11, 48);
}
