/**
 * Products with weights of integers: out = activation(a·bᵀ + bias), with activations that `quantizeRows` has quantized.
 *
 * Integers are multiplied and summed exactly within a group of columns; an output is the f32 sum of its groups, in order, then the bias.
 * In groups of 32, what a group's second block contributes follows every 32 groups. All builds compute the same bits, and an output
 * depends only on its row of a, its column of b and its bias.
 *
 * Operands of both kernels:
 *   out      f32 [M, N]
 *   a        what `quantizeRows` makes of f32 [M, K], with the levels and the groups of the weight's format
 *   b        [N, K] in the format (assembly/formats/integers.ts)
 *   bias     f32 [N], or absent
 *   scratch  `MatmulScratch.Bytes` bytes per thread, aligned to 16
 *   group    columns of a group, a multiple of 32; int4 has 32
 *   activation  an `Activation`
 * The error against a product of the same integers in f64 is at most (G + 3)·2⁻²⁴·Σ_g |group's part|, where G = K / group.
 */
import { Count, Flag, In, InFormat, MaybeIn, Out, Scratch } from "../operands";
import { Activation, IntegerBlock, MatmulScratch } from "../layouts";
import { sliceEnd, sliceStart } from "../parallel";
import { activationForward } from "./activation";
import { element } from "./element";
import { hasDirectDots, weightBytes } from "./integers";
import { packInt4, packInt8 } from "./integers-pack";
import { rowInt4, rowInt8 } from "./integers-row";
import { addScaled, panelBytes, tileIntegers, tileRows } from "./integers-tile";
import { blockBytes, secondBlocks, secondCounts } from "./quantize";

/** With fewer rows than this, each row reads the weight's blocks by itself. */
const MIN_ROWS: i32 = 4;
/** Rows of a block: as many as stay in L2 while panels pass. */
const BLOCK_ROWS: i32 = 144;
/** Groups whose sums are computed before they are scaled. */
const GROUPS: i32 = 32;

/** out[i, j] = activation(Σ_k a[i, k]·b[j, k] + bias[j]), with b in a format of 8 bits. */
export function matmulQ8NT(
  out: Out<f32>, a: In<i32>, b: InFormat, bias: MaybeIn<f32>, scratch: Scratch, M: Count, N: Count, K: Count, group: Count,
  activation: Flag, thread: i32, threads: i32,
): void {
  multiplySlice(out, a, b, bias, scratch, M, N, K, group, activation, false, thread, threads);
}

/** out[i, j] = activation(Σ_k a[i, k]·b[j, k] + bias[j]), with b in the format int4. */
export function matmulQ4NT(
  out: Out<f32>, a: In<i32>, b: InFormat, bias: MaybeIn<f32>, scratch: Scratch, M: Count, N: Count, K: Count, activation: Flag,
  thread: i32, threads: i32,
): void {
  multiplySlice(out, a, b, bias, scratch, M, N, K, IntegerBlock.Group, activation, true, thread, threads);
}

// Threads divide the columns, by panels of eight.
function multiplySlice(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, M: i32, N: i32, K: i32, group: i32, activation: i32, isInt4: bool,
  thread: i32, threads: i32,
): void {
  scratch += <usize>thread * MatmulScratch.Bytes;
  const groups = (K + group - 1) / group;
  const first = sliceStart(N, IntegerBlock.Rows, thread, threads), end = sliceEnd(N, IntegerBlock.Rows, thread, threads);
  const bPanel = <usize>groups * weightBytes(group, isInt4);
  const aRow = <usize>groups * blockBytes(group);
  const seconds = secondBlocks(0, M, groups, group); // relative to a row's first blocks
  const counts = secondCounts(a, M, groups, group);
  const direct = hasDirectDots();
  const byRows = M < MIN_ROWS || <i32>panelBytes(group) > MatmulScratch.Rows;
  const sums = scratch + MatmulScratch.Rows;
  const pitch: usize = byRows ? 64 : 32;
  const panels = (end - first + IntegerBlock.Rows - 1) / IntegerBlock.Rows;
  // A row takes two panels at once. They are far apart, so that each is a stream that the processor prefetches.
  const apart = byRows ? panels / 2 : 0;
  for (let i = 0; i < M; i += BLOCK_ROWS) {
    const rows = min(BLOCK_ROWS, M - i);
    for (let p = 0; p < panels; p += p + 1 == apart ? apart + 1 : 1) {
      const isPair = p < apart;
      const block = a + <usize>i * aRow, panel = b + <usize>(first / IntegerBlock.Rows + p) * bPanel;
      const next = isPair ? panel + <usize>apart * bPanel : panel;
      for (let at = sums, last = sums + <usize>rows * pitch; at < last; at += 32) { // a call of memory.fill takes longer
        v128.store(at, f32x4.splat(0)), v128.store(at, f32x4.splat(0), 16);
      }
      if (byRows) multiplyRows(sums, block, aRow, seconds, element(counts, i), panel, next, rows, groups, group, isInt4, direct);
      else multiplyTiles(sums, block, aRow, seconds, element(counts, i), panel, scratch, rows, groups, group, isInt4, direct);
      const c = element(out, i * N), j = first + p * IntegerBlock.Rows;
      writeColumns(element(c, j), N, sums, pitch, bias ? element(bias, j) : 0, rows, min(IntegerBlock.Rows, end - j));
      if (!isPair) continue;
      const other = j + apart * IntegerBlock.Rows;
      writeColumns(element(c, other), N, sums + 32, pitch, bias ? element(bias, other) : 0, rows, min(IntegerBlock.Rows, end - other));
    }
    if (activation == Activation.None) continue;
    for (let r = i; r < i + rows; r++) {
      const row = element(out, r * N + first);
      activationForward(row, row, end - first, activation, 0, 1);
    }
  }
}

function multiplyRows(
  sums: usize, a: usize, aRow: usize, seconds: usize, counts: usize, b: usize, next: usize,
  rows: i32, groups: i32, group: i32, isInt4: bool, direct: bool,
): void {
  const aStep = blockBytes(group), bStep = weightBytes(group, isInt4);
  for (; rows > 0; rows--, sums += 64, a += aRow, counts += 4) {
    const hasSeconds = load<i32>(counts) > 0;
    for (let g = 0; g < groups; g += GROUPS) {
      const count = min(GROUPS, groups - g);
      let block = a + <usize>g * aStep, weight = b + <usize>g * bStep, other = next + <usize>g * bStep;
      multiplyRow(sums, block, weight, other, count, group, isInt4, direct);
      if (!hasSeconds) continue;
      block += seconds;
      for (let e = 0; e < count; e++, block += aStep, weight += bStep, other += bStep) {
        if (load<f32>(block) != 0) multiplyRow(sums, block, weight, other, 1, group, isInt4, direct);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function multiplyRow(sums: usize, a: usize, b: usize, next: usize, groups: i32, group: i32, isInt4: bool, direct: bool): void {
  if (isInt4) rowInt4(sums, a, b, next, groups, direct);
  else rowInt8(sums, a, b, next, groups, group, direct);
}

function multiplyTiles(
  sums: usize, a: usize, aRow: usize, seconds: usize, counts: usize, b: usize, scratch: usize,
  rows: i32, groups: i32, group: i32, isInt4: bool, direct: bool,
): void {
  const height = tileRows(direct);
  const aStep = blockBytes(group), bStep = panelBytes(group);
  const tile = sums + (<usize>BLOCK_ROWS << 5);
  for (let g = 0; g < groups; g += GROUPS) {
    const count = min(GROUPS, groups - g);
    let panel = b + <usize>g * weightBytes(group, isInt4);
    if (isInt4) {
      packInt4(scratch + MatmulScratch.Panels, panel, count);
      panel = scratch + MatmulScratch.Panels;
    } else if (!ASC_FEATURE_RELAXED_SIMD) {
      packInt8(scratch + MatmulScratch.Panels, panel, count, group);
      panel = scratch + MatmulScratch.Panels;
    }
    for (let i = 0; i < rows; i += height) {
      const c = sums + (<usize>i << 5), n = min(height, rows - i);
      let block = a + <usize>i * aRow + <usize>g * aStep;
      multiplyTile(c, tile, block, aRow, panel, count, group, n, isInt4, direct);
      if (!hasSeconds(element(counts, i), n)) continue;
      block += seconds;
      for (let e = 0; e < count; e++, block += aStep) {
        // This adds zeros to the rows that do not use the block.
        if (isInUse(block, aRow, n)) multiplyTile(c, tile, block, aRow, panel + <usize>e * bStep, 1, group, n, isInt4, direct);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function multiplyTile(
  c: usize, tile: usize, a: usize, aRow: usize, b: usize, groups: i32, group: i32, rows: i32, isInt4: bool, direct: bool,
): void {
  tileIntegers(tile, a, aRow, b, groups, group, rows, isInt4, direct);
  addScaled(c, tile, a, aRow, b, groups, group, rows);
}

function hasSeconds(counts: usize, rows: i32): bool {
  let total = 0;
  for (; rows > 0; rows--, counts += 4) total += load<i32>(counts);
  return total > 0;
}

function isInUse(block: usize, aRow: usize, rows: i32): bool {
  for (; rows > 0; rows--, block += aRow) if (load<f32>(block) != 0) return true;
  return false;
}

function writeColumns(out: usize, ldo: i32, sums: usize, pitch: usize, bias: usize, rows: i32, columns: i32): void {
  for (; rows > 0; rows--, out += <usize>ldo << 2, sums += pitch) {
    if (columns < IntegerBlock.Rows) {
      for (let j = 0; j < columns; j++) store<f32>(element(out, j), load<f32>(element(sums, j)) + (bias ? load<f32>(element(bias, j)) : 0));
    } else if (bias) {
      v128.store(out, f32x4.add(v128.load(sums), v128.load(bias)));
      v128.store(out, f32x4.add(v128.load(sums, 16), v128.load(bias, 16)), 16);
    } else {
      v128.store(out, v128.load(sums)), v128.store(out, v128.load(sums, 16), 16);
    }
  }
}
