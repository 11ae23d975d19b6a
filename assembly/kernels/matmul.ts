/**
 * Matrix products: out = activation(A·B + bias) or out += A·B, named by how A and B lie in memory.
 *
 * With W stored [out, in], y = x·Wᵀ is NT, its dX = dY·W is NN and dW = dYᵀ·x is TN: there is no backward of its own.
 * Blocked as Goto & van de Geijn 2008 do: a block of B packed for L2, its panels for L1, a tile of C in registers (`tile.ts`).
 * A is read in place, or its block transposed first. A few rows (a token, or the beams of one) do not repay packing: `fewrows.ts`.
 *
 * Operands of the three, `out` disjoint from the inputs:
 *   out      f32 [batch, M, N], rows `ldo` apart, matrices `strideOut` apart
 *   a        f32 [batch, M, K], for TN [batch, K, M], rows `lda` apart, matrices `strideA` apart
 *   b        f32 [batch, K, N], for NT [batch, N, K], rows `ldb` apart, matrices `strideB` apart (0: one for all)
 *   bias     f32 [N], or absent
 *   scratch  `MatmulScratch.Bytes` for each thread, aligned to 16
 *   activation, accumulate   an `Activation`; or 1 for out += A·B, which takes neither bias nor activation
 *
 * An element's sum does not depend on the slice it falls into. In f32, without fused multiply-add, its error is at most
 * K·2⁻²⁴·(|bias| + Σ|a|·|b|) to first order.
 */
import { Count, Flag, In, InFormat, InOut, MaybeIn, Scratch } from "../operands";
import { Activation, MatmulScratch } from "../layouts";
import { sliceEnd, sliceStart } from "../parallel";
import { activationForward } from "./activation";
import { element } from "./element";
import { fewRowsNN, fewRowsNT } from "./fewrows";
import { packColumns, packRows, transposeRows } from "./pack";
import { MR, NR, multiplyPanels } from "./tile";

// Blocks: KC rows of a panel of B stay in L1, [KC, NC] of B and [MC, KC] of A in L2. MatmulScratch holds them.
const KC: i32 = 128;
const MC: i32 = 144;
const NC: i32 = 768;
/** Length of a row of A's block where it is transposed: 9 cache lines, so that a column does not fall into a few sets of the cache. */
const ROW: i32 = KC + 16;
/**
 * A transposed A whose rows are not longer is read down its columns, in place: its block stays in L1 while the tiles pass along it.
 * In the plain build a tile takes two columns and comes by more often. At 768 either loses, at 1024 it takes half as long again.
 */
const IN_PLACE: i32 = ASC_FEATURE_RELAXED_SIMD ? 512 : 128;
/** Fewer rows than this are multiplied without packing B. */
const MIN_ROWS: i32 = 12;

/** out[i, j] = activation(Σ_k a[i, k]·b[k, j] + bias[j]), for each of the batch. */
export function matmulNN(
  out: InOut<f32>, a: In<f32>, b: InFormat, bias: MaybeIn<f32>, scratch: Scratch, batch: Count, M: Count, N: Count, K: Count,
  ldo: Count, lda: Count, ldb: Count, strideOut: Count, strideA: Count, strideB: Count, activation: Flag, accumulate: Flag, format: Flag,
  thread: i32, threads: i32,
): void {
  multiplySlice(
    out, a, b, bias, scratch, batch, M, N, K, ldo, lda, ldb, false, false, strideOut, strideA, strideB,
    activation, accumulate, thread, threads,
  );
}

/** out[i, j] = activation(Σ_k a[i, k]·b[j, k] + bias[j]), for each of the batch. */
export function matmulNT(
  out: InOut<f32>, a: In<f32>, b: InFormat, bias: MaybeIn<f32>, scratch: Scratch, batch: Count, M: Count, N: Count, K: Count,
  ldo: Count, lda: Count, ldb: Count, strideOut: Count, strideA: Count, strideB: Count, activation: Flag, accumulate: Flag, format: Flag,
  thread: i32, threads: i32,
): void {
  multiplySlice(
    out, a, b, bias, scratch, batch, M, N, K, ldo, lda, ldb, false, true, strideOut, strideA, strideB,
    activation, accumulate, thread, threads,
  );
}

/** out[i, j] = activation(Σ_k a[k, i]·b[k, j] + bias[j]), for each of the batch. */
export function matmulTN(
  out: InOut<f32>, a: In<f32>, b: In<f32>, bias: MaybeIn<f32>, scratch: Scratch, batch: Count, M: Count, N: Count, K: Count,
  ldo: Count, lda: Count, ldb: Count, strideOut: Count, strideA: Count, strideB: Count, activation: Flag, accumulate: Flag,
  thread: i32, threads: i32,
): void {
  multiplySlice(
    out, a, b, bias, scratch, batch, M, N, K, ldo, lda, ldb, true, false, strideOut, strideA, strideB,
    activation, accumulate, thread, threads,
  );
}

/** An element packed costs as much as so many multiplied and added. */
const PACKED: i64 = 20;

/**
 * Whether threads share the rows, or else the columns: whichever leaves the busiest of them less to do.
 * Those that share rows each pack all of B; those that share columns each transpose all of A, where it has to be.
 */
function sharesRows(batch: i32, M: i32, N: i32, aTransposed: bool, threads: i32): bool {
  if (M < MIN_ROWS) return false;
  if (threads == 1) return true;
  const rows = <i64>largestShare(batch, M, MR, threads);
  const columns = <i64>largestShare(batch, N, NR, threads);
  return rows * N + <i64>N * PACKED < columns * M + (aTransposed ? <i64>M * PACKED : 0);
}

// Rows (or columns) of the busiest thread, of `batch` matrices with n each, in tiles.
function largestShare(batch: i32, n: i32, tile: i32, threads: i32): i32 {
  return ((batch * ((n + tile - 1) / tile) + threads - 1) / threads) * tile;
}

// This thread's share: a range of the batch's rows or columns, in tiles.
function multiplySlice(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, batch: i32, M: i32, N: i32, K: i32,
  ldo: i32, lda: i32, ldb: i32, aTransposed: bool, bTransposed: bool,
  strideOut: i32, strideA: i32, strideB: i32, activation: i32, accumulate: i32,
  thread: i32, threads: i32,
): void {
  assert(!accumulate || (!bias && activation == Activation.None), "matmul: accumulation takes neither bias nor activation");
  scratch += <usize>thread * MatmulScratch.Bytes;
  const few = M < MIN_ROWS;
  const byRows = sharesRows(batch, M, N, aTransposed, threads);
  const length = byRows ? M : N;
  const grain = byRows ? MR : NR;
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
    multiplyBlocks(
      element(out, item * strideOut + i * ldo + j), element(a, item * strideA + (aTransposed ? i : i * lda)),
      element(b, item * strideB + (bTransposed ? j * ldb : j)), bias ? element(bias, j) : 0, scratch,
      byRows ? count : M, byRows ? N : count, K, ldo, lda, ldb, aTransposed, bTransposed, activation, accumulate, few,
    );
    at = next;
  }
}

function multiplyBlocks(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, M: i32, N: i32, K: i32,
  ldo: i32, lda: i32, ldb: i32, aTransposed: bool, bTransposed: bool, activation: i32, accumulate: i32, few: bool,
): void {
  if (few) {
    const start = accumulate ? out : bias;
    const ldStart = accumulate ? ldo : 0;
    if (bTransposed) fewRowsNT(out, ldo, start, ldStart, a, lda, b, ldb, M, N, K);
    else fewRowsNN(out, ldo, start, ldStart, a, aTransposed ? 1 : lda, aTransposed ? lda : 1, b, ldb, M, N, K);
    activateRows(out, ldo, M, N, activation);
    return;
  }
  for (let j = 0; j < N; j += NC) {
    const n = min(NC, N - j);
    for (let k = 0; k == 0 || k < K; k += KC) { // once even for K = 0
      const kc = min(KC, K - k);
      if (bTransposed) packRows(scratch + MatmulScratch.Panels, element(b, j * ldb + k), ldb, n, kc);
      else packColumns(scratch + MatmulScratch.Panels, element(b, k * ldb + j), ldb, n, kc);
      for (let i = 0; i < M; i += MC) {
        const m = min(MC, M - i);
        const c = element(out, i * ldo + j);
        const more = accumulate || k > 0;
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
        multiplyPanels(
          c, ldo, more ? c : bias ? element(bias, j) : 0, more ? ldo : 0, aBlock, aRow, aStep,
          scratch + MatmulScratch.Panels, m, n, kc, scratch + MatmulScratch.Edge,
        );
        if (k + kc == K) activateRows(c, ldo, m, n, activation);
      }
    }
  }
}

// The block is still in L2, and one call takes a whole row of it.
function activateRows(out: usize, ldo: i32, M: i32, N: i32, activation: i32): void {
  if (activation == Activation.None) return;
  for (let i = 0; i < M; i++) {
    const row = element(out, i * ldo);
    activationForward(row, row, N, activation, 0, 1);
  }
}
