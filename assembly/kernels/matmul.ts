/**
 * Matrix products: out = activation(A·B + bias) or out += A·B, named after the memory layouts of A and B.
 *
 * With W stored [out, in], y = x·Wᵀ is NT, dX = dY·W is NN and dW = dYᵀ·x is TN, so no separate backward kernel is needed.
 * Blocking follows Goto & van de Geijn 2008: a block of B is packed for L2, its panels for L1, and a tile of C stays in registers
 * (`tile.ts`). A is read in place, or a block of it is transposed first. For a few rows (one token, or its beams), packing does not pay
 * off: see `fewrows.ts`.
 *
 * Operands of all three kernels; `out` must not overlap the inputs:
 *   out      f32 [batch, M, N], rows `ldo` apart, matrices `strideOut` apart
 *   a        f32 [batch, M, K], for TN [batch, K, M], rows `lda` apart, matrices `strideA` apart
 *   b        [batch, K, N], for NT [batch, N, K], rows `ldb` apart, matrices `strideB` apart (0: one matrix for the whole batch)
 *   bias     f32 [N], or absent
 *   scratch  `MatmulScratch.Bytes` bytes per thread, aligned to 16
 *   activation  an `Activation`
 *   accumulate  1 for out += A·B, which allows neither bias nor activation
 *   format   the `Format` of b. A format other than F32 requires a complete, dense array and batch = 1. TN supports only F32
 *
 * An element's bits depend on its row of A, its column of B and its start value, but not on M, N, the slice or (in the plain build) the
 * layout; `tile.ts` describes the order of summation. A weight in another format gives the same bits as that weight decoded to f32.
 * In f32 without fused multiply-add, the error is at most n·2⁻²⁴·(|start| + Σ|a|·|b|) to first order, where start is the bias or the
 * element that is added to, and n = K + 1 for K ≤ 1024 and n = 130 + K / 128 beyond that.
 */
import { decodeRows } from "../formats/format";
import { packPanels } from "../formats/panels";
import { Count, Flag, In, InFormat, InOut, MaybeIn, Scratch } from "../operands";
import { Activation, Format, MatmulScratch } from "../layouts";
import { sliceEnd, sliceStart } from "../parallel";
import { activationForward } from "./activation";
import { element } from "./element";
import { fewRowsNN } from "./fewrows";
import { fewRowsNT } from "./fewrows-nt";
import { fewRowsPanels } from "./fewrows-panels";
import { packColumns, packFourRows, packRows, transposeRows } from "./pack";
import { addPanels, KC, LONG, MR, multiplyPanels, NR } from "./tile";

// Block sizes: KC rows of a panel of B stay in L1; a [KC, NC] block of B and an [MC, KC] block of A stay in L2. MatmulScratch has room
// for them.
const MC: i32 = 144;
const NC: i32 = 768;
/** The row length of a transposed block of A: 9 cache lines, so that the elements of a column do not share a few sets of the cache. */
const ROW: i32 = KC + 16;
/**
 * If the rows of a transposed A are at most this long, its columns are read in place, because a block stays in L1 while the tiles pass
 * over it. In the plain build, a tile takes only two columns, so there are more passes. Reading in place is slower than transposing in
 * both builds at 768, and takes 1.5 times as long at 1024.
 */
const IN_PLACE: i32 = ASC_FEATURE_RELAXED_SIMD ? 512 : 128;
/** The number of columns that a format may group together. Threads do not split such a group. */
const GROUP: i32 = 32;
/** With fewer rows than this, B is not packed. */
const MIN_ROWS: i32 = 12;

/** out[i, j] = activation(Σ_k a[i, k]·b[k, j] + bias[j]) for each batch item. */
export function matmulNN(
  out: InOut<f32>, a: In<f32>, b: InFormat, bias: MaybeIn<f32>, scratch: Scratch, batch: Count, M: Count, N: Count, K: Count,
  ldo: Count, lda: Count, ldb: Count, strideOut: Count, strideA: Count, strideB: Count, activation: Flag, accumulate: Flag,
  format: Flag, thread: i32, threads: i32,
): void {
  multiplySlice(
    out, a, b, bias, scratch, batch, M, N, K, ldo, lda, ldb, false, false, strideOut, strideA, strideB,
    activation, accumulate, format, thread, threads,
  );
}

/** out[i, j] = activation(Σ_k a[i, k]·b[j, k] + bias[j]) for each batch item. */
export function matmulNT(
  out: InOut<f32>, a: In<f32>, b: InFormat, bias: MaybeIn<f32>, scratch: Scratch, batch: Count, M: Count, N: Count, K: Count,
  ldo: Count, lda: Count, ldb: Count, strideOut: Count, strideA: Count, strideB: Count, activation: Flag, accumulate: Flag,
  format: Flag, thread: i32, threads: i32,
): void {
  multiplySlice(
    out, a, b, bias, scratch, batch, M, N, K, ldo, lda, ldb, false, true, strideOut, strideA, strideB,
    activation, accumulate, format, thread, threads,
  );
}

/** out[i, j] = activation(Σ_k a[k, i]·b[k, j] + bias[j]) for each batch item. */
export function matmulTN(
  out: InOut<f32>, a: In<f32>, b: In<f32>, bias: MaybeIn<f32>, scratch: Scratch, batch: Count, M: Count, N: Count, K: Count,
  ldo: Count, lda: Count, ldb: Count, strideOut: Count, strideA: Count, strideB: Count, activation: Flag, accumulate: Flag,
  thread: i32, threads: i32,
): void {
  multiplySlice(
    out, a, b, bias, scratch, batch, M, N, K, ldo, lda, ldb, true, false, strideOut, strideA, strideB,
    activation, accumulate, Format.F32, thread, threads,
  );
}

/** The cost of packing one element, in multiply-adds. */
const PACKED: i64 = 20;

/**
 * Whether threads divide the rows rather than the columns: whichever leaves less work for the busiest thread.
 * When rows are divided, every thread packs all of B. When columns are divided, every thread transposes all of A, if necessary.
 */
function sharesRows(batch: i32, M: i32, N: i32, aTransposed: bool, threads: i32): bool {
  if (M < MIN_ROWS) return false;
  if (threads == 1) return true;
  const rows = <i64>largestShare(batch, M, MR, threads);
  const columns = <i64>largestShare(batch, N, NR, threads);
  return rows * N + <i64>N * PACKED < columns * M + (aTransposed ? <i64>M * PACKED : 0);
}

// The number of rows (or columns) of the busiest thread, for `batch` matrices with n each, in whole tiles.
function largestShare(batch: i32, n: i32, tile: i32, threads: i32): i32 {
  return ((batch * ((n + tile - 1) / tile) + threads - 1) / threads) * tile;
}

// Computes this thread's share: a range of the batch's rows or columns, in whole tiles.
function multiplySlice(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, batch: i32, M: i32, N: i32, K: i32,
  ldo: i32, lda: i32, ldb: i32, aTransposed: bool, bTransposed: bool,
  strideOut: i32, strideA: i32, strideB: i32, activation: i32, accumulate: i32, format: i32,
  thread: i32, threads: i32,
): void {
  assert(!accumulate || (!bias && activation == Activation.None), "matmul: accumulation takes neither bias nor activation");
  assert(format == Format.F32 || (batch == 1 && ldb == (bTransposed ? K : N)), "matmul: a format other than F32 is one dense array");
  scratch += <usize>thread * MatmulScratch.Bytes;
  const byRows = sharesRows(batch, M, N, aTransposed, threads);
  const length = byRows ? M : N;
  const grain = byRows ? MR : format == Format.F32 ? NR : GROUP;
  const grains = (length + grain - 1) / grain;
  const end = sliceEnd(batch * grains, 1, thread, threads);
  let at = sliceStart(batch * grains, 1, thread, threads);
  while (at < end) {
    const item = at / grains;
    const next = min(end, (item + 1) * grains);
    const first = (at - item * grains) * grain;
    const count = min(length, (next - item * grains) * grain) - first;
    const i = byRows ? first : 0;
    const j = byRows ? 0 : first;
    const m = byRows ? count : M;
    const n = byRows ? N : count;
    const c = element(out, item * strideOut + i * ldo + j);
    const aItem = element(a, item * strideA + (aTransposed ? i : i * lda));
    const bItem = element(b, item * strideB);
    const biasItem = bias ? element(bias, j) : 0;
    if (format == Format.F32 && M < MIN_ROWS) {
      const bFirst = element(bItem, bTransposed ? j * ldb : j);
      multiplyFewRows(c, aItem, bFirst, biasItem, scratch, m, n, K, ldo, lda, ldb, aTransposed, bTransposed, activation, accumulate);
    } else if (format == Format.Panels && bTransposed && M < MIN_ROWS) {
      const start = accumulate ? c : biasItem;
      fewRowsPanels(c, ldo, start, accumulate ? ldo : 0, aItem, lda, element(bItem, j * K), m, n, K, scratch);
      activateRows(c, ldo, m, n, activation);
    } else {
      multiplyBlocks(
        c, aItem, bItem, biasItem, scratch, m, n, K, ldo, lda, ldb, aTransposed, bTransposed, activation, accumulate, format, j, N,
      );
    }
    at = next;
  }
}

function multiplyFewRows(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, M: i32, N: i32, K: i32,
  ldo: i32, lda: i32, ldb: i32, aTransposed: bool, bTransposed: bool, activation: i32, accumulate: i32,
): void {
  const start = accumulate ? out : bias;
  const ldStart = accumulate ? ldo : 0;
  if (bTransposed) fewRowsNT(out, ldo, start, ldStart, a, lda, b, ldb, M, N, K, scratch);
  else fewRowsNN(out, ldo, start, ldStart, a, aTransposed ? 1 : lda, aTransposed ? lda : 1, b, ldb, M, N, K, scratch);
  activateRows(out, ldo, M, N, activation);
}

// Computes N columns of the product, starting at `first`; b has `columns` columns.
function multiplyBlocks(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, M: i32, N: i32, K: i32,
  ldo: i32, lda: i32, ldb: i32, aTransposed: bool, bTransposed: bool, activation: i32, accumulate: i32,
  format: i32, first: i32, columns: i32,
): void {
  const panels = scratch + MatmulScratch.Panels;
  for (let j = 0; j < N; j += NC) {
    const n = min(NC, N - j);
    for (let k = 0; k == 0 || k < K; k += KC) { // runs once even if K = 0
      const kc = min(KC, K - k);
      if (format != Format.F32) packDecoded(panels, b, scratch + MatmulScratch.Rows, format, bTransposed, first + j, k, n, kc, columns, K);
      else if (bTransposed) packRows(panels, element(b, (first + j) * ldb + k), ldb, n, kc);
      else packColumns(panels, element(b, k * ldb + first + j), ldb, n, kc);
      for (let i = 0; i < M; i += MC) {
        const m = min(MC, M - i);
        const c = element(out, i * ldo + j);
        const more = accumulate || k > 0;
        const start = more ? c : bias ? element(bias, j) : 0;
        const ldStart = more ? ldo : 0;
        let aBlock = element(a, aTransposed ? k * lda + i : i * lda + k);
        let aRow = lda;
        let aStep = 1;
        if (aTransposed && lda <= IN_PLACE) {
          aRow = 1;
          aStep = lda;
        } else if (aTransposed) {
          transposeRows(scratch + MatmulScratch.Rows, ROW, aBlock, lda, kc, m);
          aBlock = scratch + MatmulScratch.Rows;
          aRow = ROW;
        }
        const sums = scratch + MatmulScratch.Sums;
        if (K > LONG) addPanels(c, ldo, start, ldStart, aBlock, aRow, aStep, panels, m, n, kc, sums);
        else multiplyPanels(c, ldo, start, ldStart, aBlock, aRow, aStep, panels, m, n, kc, sums);
        if (k + kc == K) activateRows(c, ldo, m, n, activation);
      }
    }
  }
}

// Packs the [K, N] block of B that starts at (k, j). b is [rowsK, columns], or [columns, rowsK] if transposed.
function packDecoded(
  panels: usize, b: usize, rows: usize, format: i32, transposed: bool, j: i32, k: i32, N: i32, K: i32, columns: i32, rowsK: i32,
): void {
  if (transposed && format == Format.Panels) {
    packPanels(panels, b, rowsK, j, k, N, K);
    return;
  }
  if (transposed) {
    for (let c = 0; c < N; c += NR, panels += <usize>(K * NR) << 2) {
      const n = min(NR, N - c);
      for (let r = 0; r < n; r += 8) decodeRows(element(rows, r * KC), KC, format, b, columns, rowsK, j + c + r, k, min(8, n - r), K);
      transposeRows(panels, NR, rows, KC, n, K);
    }
    return;
  }
  for (let r = 0; r < K; r += 8) {
    decodeRows(rows, NC, format, b, rowsK, columns, k + r, j, min(8, K - r), N);
    for (let four = r; four < min(r + 8, K); four += 4) {
      packFourRows(element(panels, four * NR), K, element(rows, (four - r) * NC), NC, N, min(4, K - four));
    }
  }
}

// Runs while the block is still in L2, with one call per row.
function activateRows(out: usize, ldo: i32, M: i32, N: i32, activation: i32): void {
  if (activation == Activation.None) return;
  for (let i = 0; i < M; i++) {
    const row = element(out, i * ldo);
    activationForward(row, row, N, activation, 0, 1);
  }
}
