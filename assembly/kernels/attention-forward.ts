import { Count, Flag, In, MaybeIn, Out, Scalar, Scratch } from "../operands";
import { AttentionScratch } from "../layouts";
import { exp, log } from "../math";
import { sliceEnd, sliceStart } from "../parallel";
import { madd, maxNumber, storeTail } from "../simd";
import { BLOCK, ROW, SEES_ALL, allFinite, drawMask, dropColumn, hide, reach, scores, sumOverKeys, visible } from "./attention-block";
import { attendRow } from "./attention-row";
import { packColumns, packRows } from "./pack";
import { NR } from "./tile";

/** Queries of a head that are better taken one by one, as in decoding. */
const FEW: i32 = 4;

/**
 * Scaled dot-product attention: out_i = Σ_j P_ij·v_j with P_i = softmax_j(scale·q_i·k_j), for every batch row b and head h.
 * @param out      f32 [B, Tq, H, D], tokens `ldo` apart
 * @param lse      f32 [B, H, Tq]: log Σ_j exp(scale·q_i·k_j), which the backward pass reads; −Infinity where no key is seen
 * @param q        f32 [B, Tq, H, D], tokens `ldq` apart
 * @param k        f32 [B, Tk, H, D], tokens `ldk` apart
 * @param v        f32 [B, Tk, H, D], tokens `ldv` apart
 * @param lengths  i32 [B], keys in each batch row; 0: Tk in all
 * @param rng      the random cell (see `Rng`); read if dropout > 0
 * @param scratch  AttentionScratch.Base + AttentionScratch.PerDim·D bytes for each thread, aligned to 16
 * @param scale    > 0, 1/√D as a rule
 * @param dropout  probability in [0, 1) that a weight is zeroed, the others scaled by 1/(1 − dropout)
 * @param causal   query i sees the keys j <= i + Tk − Tq
 * A query that sees no key yields zeros; what a query does not see cannot touch it, even NaN.
 * Error: a few 1e-6 of the largest |v|, while scores are in the tens.
 */
export function attentionForward(
  out: Out<f32>, lse: Out<f32>, q: In<f32>, k: In<f32>, v: In<f32>,
  lengths: MaybeIn<i32>, rng: MaybeIn<i32>, scratch: Scratch,
  B: Count, H: Count, Tq: Count, Tk: Count, D: Count, ldo: Count, ldq: Count, ldk: Count, ldv: Count,
  scale: Scalar, dropout: Scalar, stream: Count, causal: Flag,
  thread: i32, threads: i32,
): void {
  assert(D > 0 && scale > 0 && dropout >= 0 && dropout < 1 && (scratch & 15) == 0);
  const wide = (D + 15) & -16;
  const matrix = <usize>(BLOCK * wide) << 2;
  const qPanels = scratch + thread * (AttentionScratch.Base + AttentionScratch.PerDim * D);
  const vPanels = qPanels + matrix;
  const sum = vPanels + matrix; // Σ_j exp(s_ij − m_i)·v_j so far
  const s = sum + matrix;
  const m = s + ROW * BLOCK; // the largest score so far
  const l = m + ROW; // Σ_j exp(s_ij − m_i) so far
  const bits = l + ROW;
  const blocks = (Tq + BLOCK - 1) / BLOCK;
  const units = B * H * blocks;

  const last = sliceEnd(units, 1, thread, threads);
  for (let unit = sliceStart(units, 1, thread, threads); unit < last; unit++) {
    const head = unit / blocks;
    const b = head / H;
    const column = (head - b * H) * D;
    const i0 = (unit - head * blocks) * BLOCK;
    const queries = min(BLOCK, Tq - i0);
    const row = head * Tq + i0;
    const kHead = k + (<usize>(b * Tk * ldk + column) << 2);
    const vHead = v + (<usize>(b * Tk * ldv + column) << 2);
    const length = lengths ? max(0, min(Tk, load<i32>(lengths + (<usize>b << 2)))) : Tk;
    const end = causal ? min(length, i0 + queries + Tk - Tq) : length;

    if (Tq <= FEW && !(dropout > 0)) {
      for (let i = 0; i < Tq; i++) {
        const keys = causal ? min(length, i + 1 + Tk - Tq) : length;
        const qRow = q + (<usize>((b * Tq + i) * ldq + column) << 2);
        const outRow = out + (<usize>((b * Tq + i) * ldo + column) << 2);
        attendRow(outRow, lse + (<usize>(row + i) << 2), qRow, kHead, vHead, s, keys, D, ldk, ldv, scale);
      }
      continue;
    }
    packRows(qPanels, q + (<usize>((b * Tq + i0) * ldq + column) << 2), ldq, queries, D);
    if (end <= 0) memory.fill(sum, 0, <usize>(queries * wide) << 2);
    startSoftmax(m, l, queries);

    for (let j0 = 0; j0 < end; j0 += BLOCK) {
      const keys = min(BLOCK, end - j0);
      const shift = causal ? i0 + Tk - Tq - j0 : SEES_ALL;
      const kBlock = kHead + (<usize>(j0 * ldk) << 2);
      const vBlock = vHead + (<usize>(j0 * ldv) << 2);
      packColumns(vPanels, vBlock, ldv, D, keys);
      scores(s, kBlock, ldk, qPanels, keys, queries, D, shift);
      if (dropout > 0) drawMask(bits, rng, stream, dropout, row, queries, j0, keys, Tk, shift);
      for (let i = 0; i < queries; i += 4) {
        const at = <usize>i << 2;
        hide(s + at, i, visible(i, keys, shift), visible(i + 3, keys, shift), shift, -Infinity);
        const shrink = addToSoftmax(s + at, visible(i + 3, keys, shift), m + at, l + at, scale);
        if (j0 > 0 && v128.any_true(f32x4.ne(shrink, f32x4.splat(1)))) {
          shrinkRows(sum + (<usize>(i * wide) << 2), wide, shrink, queries - i);
        }
        hide(s + at, i, visible(i + 3, keys, shift), reach(i, keys, shift), shift, 0);
        if (dropout > 0) dropColumn(s + at, bits, i, visible(i + 3, keys, shift), 1 / (1 - dropout));
      }
      const exact = visible(0, keys, shift) < keys && !allFinite(vPanels, keys, D);
      sumOverKeys(sum, wide, j0 == 0, s, vPanels, queries, keys, (D + NR - 1) & -NR, shift, exact, 0);
    }

    writeRows(out + (<usize>((b * Tq + i0) * ldo + column) << 2), ldo, lse + (<usize>row << 2), sum, wide, m, l, queries, D);
  }
}

function startSoftmax(m: usize, l: usize, queries: i32): void {
  for (let i = 0; i < queries; i += 4) {
    v128.store(m + (<usize>i << 2), f32x4.splat(-Infinity));
    v128.store(l + (<usize>i << 2), f32x4.splat(0));
  }
}

/**
 * One step of the online softmax, for four queries: takes `end` more scores and leaves exp(scale·s − m) in their place.
 * @returns exp(m_old − m), by which all that was summed so far must shrink
 */
function addToSoftmax(s: usize, end: i32, m: usize, l: usize, scale: f32): v128 {
  const stop = s + end * ROW;
  const vscale = f32x4.splat(scale);
  const before = v128.load(m);
  let largest = f32x4.splat(-Infinity);
  for (let at = s; at < stop; at += ROW) largest = maxNumber(largest, v128.load(at));
  largest = maxNumber(before, f32x4.mul(largest, vscale));
  v128.store(m, largest);

  largest = v128.and(largest, f32x4.ne(largest, f32x4.splat(-Infinity))); // nothing seen: 0, so that exp(−Infinity − 0) = 0
  const minusLargest = f32x4.neg(largest);
  const shrink = exp(f32x4.sub(before, largest));
  let total = f32x4.mul(v128.load(l), shrink);
  for (let at = s; at < stop; at += ROW) {
    const p = exp(madd(v128.load(at), vscale, minusLargest));
    total = f32x4.add(total, p);
    v128.store(at, p);
  }
  v128.store(l, total);
  return shrink;
}

/** Multiplies up to four rows of n floats by a lane each. */
function shrinkRows(x: usize, n: i32, factors: v128, rows: i32): void {
  const pitch = <usize>n << 2;
  storeRow(x, x, n, f32x4.extract_lane(factors, 0));
  if (rows > 1) storeRow(x + pitch, x + pitch, n, f32x4.extract_lane(factors, 1));
  if (rows > 2) storeRow(x + 2 * pitch, x + 2 * pitch, n, f32x4.extract_lane(factors, 2));
  if (rows > 3) storeRow(x + 3 * pitch, x + 3 * pitch, n, f32x4.extract_lane(factors, 3));
}

/** Ends the softmax: out = sum / l, lse = m + log l. */
function writeRows(out: usize, ldo: i32, lse: usize, sum: usize, wide: i32, m: usize, l: usize, queries: i32, D: i32): void {
  for (let i = 0; i < queries; i += 4) {
    const at = <usize>i << 2;
    const value = f32x4.add(v128.load(m + at), log(v128.load(l + at)));
    if (queries - i > 3) v128.store(lse + at, value);
    else storeTail(lse + at, value, queries - i);
  }
  for (let i = 0; i < queries; i++) {
    const total = load<f32>(l + (<usize>i << 2));
    storeRow(out + (<usize>(i * ldo) << 2), sum + (<usize>(i * wide) << 2), D, total == 0 ? 0 : 1 / total);
  }
}

/** Writes factor·x to a row of n floats. */
function storeRow(out: usize, x: usize, n: i32, factor: f32): void {
  const vfactor = f32x4.splat(factor);
  for (; n > 3; n -= 4) {
    v128.store(out, f32x4.mul(v128.load(x), vfactor));
    out += 16;
    x += 16;
  }
  if (n > 0) storeTail(out, f32x4.mul(v128.load(x), vfactor), n);
}
