import { AttentionScratch, Window } from "../layouts";
import { exp } from "../math";
import { Count, In, MaybeIn, Out, Scalar, Scratch } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { madd, maxNumber } from "../simd";
import { addBias, allFinite, scores, sumOverKeys } from "./attention-block";
import { drawMask, dropColumn } from "./attention-dropout";
import { attendFew } from "./attention-few";
import {
  L, M, SHRINK, addProduct, addToTotal, endsChunk, orZero, spansChunks, startChunk, startTotal, takeTotal, writeRows,
} from "./attention-softmax";
import {
  BLOCK, ROW, endOfKeys, endRead, endSeen, firstPosition, firstRead, firstSeen, hide, isPartial, keyBlock, keyCount, startOfKeys,
} from "./attention-visibility";
import { element } from "./element";
import { packColumns, packRows } from "./pack";
import { NR } from "./tile";

/** Up to this many queries per sequence are processed one at a time, as in decoding. */
const FEW: i32 = 4;

/**
 * Scaled dot-product attention of H query heads over Hkv key-value heads, for every batch row b and query head h:
 *
 *     out_i = Σ_j P_ij·v_j with P_i = softmax_j(s_ij) and s_ij = scale·q_i·k_j + bias_ij, over the keys j that query i attends to:
 *     past + i − left <= j <= past + i + right and j < length.
 *
 * @param out      f32 [B, Tq, H, D], tokens `ldo` apart
 * @param lse      f32 [B, H, Tq]: log Σ_j exp(s_ij), read by the backward pass; −Infinity for a query without keys
 * @param q        f32 [B, Tq, H, D], tokens `ldq` apart
 * @param k        f32, element (j, d) of head g at g·headK + j·tokenK + d·dimK. Without pages, batch row b starts at b·Tk·tokenK;
 *                 with pages, j counts from the page's first token and page n starts at n·pageK. tokenK or dimK is 1
 * @param v        f32, likewise with tokenV, headV and pageV; a head's dims are contiguous
 * @param bias     f32, bias_ij of head h and batch row b at b·biasBatch + h·biasHead + i·biasRow + j; a stride of 0 broadcasts
 * @param pages    i32 [B, P], the pages that hold each batch row's keys, Page.Tokens keys per page
 * @param past     i32 [B], the position of each batch row's first query among its keys; absent: Tk − Tq
 * @param lengths  i32 [B], the number of keys in each batch row; absent: Tk
 * @param rng      the random cell (see `Rng`); read if dropout > 0
 * @param scratch  AttentionScratch.Base + AttentionScratch.PerDim·D bytes per thread, aligned to 16
 * @param H        a multiple of Hkv: query head h reads key-value head ⌊h / (H / Hkv)⌋
 * @param left     the number of keys before its own position that a query attends to; Window.Unlimited: all
 * @param right    the number of keys after its own position that a query attends to; 0: causal
 * @param scale    > 0, usually 1/√D
 * @param dropout  probability in [0, 1) that a weight is zeroed; the others are scaled by 1/(1 − dropout)
 * A query without keys yields zeros. Masked keys and values cannot affect a query, even if they are NaN.
 * Without dropout, a query's bits do not depend on the other queries of the call, on threads, or on pages.
 * Error: a few 1e-6 of the largest |v| for scores in the tens and any number of keys (attention-softmax.ts).
 * Source: Dao 2023 (arXiv:2307.08691); grouped heads: Ainslie et al. 2023 (arXiv:2305.13245).
 */
export function attentionForward(
  out: Out<f32>, lse: Out<f32>, q: In<f32>, k: In<f32>, v: In<f32>, bias: MaybeIn<f32>,
  pages: MaybeIn<i32>, past: MaybeIn<i32>, lengths: MaybeIn<i32>, rng: MaybeIn<i32>, scratch: Scratch,
  B: Count, H: Count, Hkv: Count, Tq: Count, Tk: Count, D: Count, P: Count, ldo: Count, ldq: Count,
  tokenK: Count, dimK: Count, headK: Count, pageK: Count, tokenV: Count, headV: Count, pageV: Count,
  biasBatch: Count, biasHead: Count, biasRow: Count, left: Count, right: Count,
  scale: Scalar, dropout: Scalar, stream: Count,
  thread: i32, threads: i32,
): void {
  assert(D > 0 && Hkv > 0 && H % Hkv == 0 && scale > 0 && dropout >= 0 && dropout < 1 && (scratch & 15) == 0);
  assert(left >= 0 && left <= Window.Unlimited && right >= 0 && right <= Window.Unlimited);
  assert((tokenK == 1 || dimK == 1) && (!pages || Tk <= P * BLOCK));
  const wide = (D + 15) & -16;
  const matrix = <usize>(BLOCK * wide) << 2;
  const qPanels = scratch + thread * (AttentionScratch.Base + AttentionScratch.PerDim * D);
  const vPanels = qPanels + matrix;
  const product = vPanels + matrix; // Σ_j P_ij·v_j of one block of keys
  const sum = product + matrix; // O, followed by O's total and its rounding error
  const s = sum + 3 * matrix;
  const spare = s + ROW * BLOCK;
  const state = spare + ROW * BLOCK;
  const bits = state + 6 * ROW;
  if (Tq <= FEW && !(dropout > 0)) {
    const grain = B * Hkv < threads ? 1 : H / Hkv; // heads that share keys go to one thread
    attendFew(
      out, lse, q, k, v, bias, pages, past, lengths, H, Hkv, Tq, Tk, D, P, ldo, ldq, tokenK, dimK, headK, pageK,
      tokenV, headV, pageV, biasBatch, biasHead, biasRow, left, right, scale, qPanels, product, sum, s, state,
      sliceStart(B * H, grain, thread, threads), sliceEnd(B * H, grain, thread, threads),
    );
    return;
  }

  const blocks = (Tq + BLOCK - 1) / BLOCK;
  const units = B * H * blocks;
  const last = sliceEnd(units, 1, thread, threads);
  for (let unit = sliceStart(units, 1, thread, threads); unit < last; unit++) {
    const head = unit / blocks;
    const b = head / H;
    const h = head - b * H;
    const kvHead = h / (H / Hkv);
    const i0 = (unit - head * blocks) * BLOCK;
    const queries = min(BLOCK, Tq - i0);
    const length = keyCount(lengths, b, Tk);
    const position = firstPosition(past, b, Tq, Tk) + i0;
    const start = startOfKeys(position, left, length);
    const end = endOfKeys(position + queries - 1, right, length);
    const isLong = spansChunks(start, end);

    packRows(qPanels, element(q, (b * Tq + i0) * ldq + h * D), ldq, queries, D);
    if (start >= end) memory.fill(sum, 0, <usize>(queries * wide) << 2);
    if (isLong) startTotal(state, sum, matrix, wide, queries);
    startChunk(state, queries);

    for (let j0 = start, fresh = true; j0 < end; j0 += BLOCK) {
      const keys = min(BLOCK, end - j0);
      const low = position - left - j0;
      const high = position + right - j0;
      const kBlock = element(keyBlock(k, pages, P, b, j0, Tk, tokenK, pageK), kvHead * headK);
      packColumns(vPanels, element(keyBlock(v, pages, P, b, j0, Tk, tokenV, pageV), kvHead * headV), tokenV, D, keys);
      scores(s, kBlock, tokenK, dimK, qPanels, keys, queries, D, low, high);
      if (bias) addBias(s, element(bias, b * biasBatch + h * biasHead + i0 * biasRow + j0), biasRow, spare, keys, queries, scale);
      if (dropout > 0) drawMask(bits, rng, stream, dropout, head * Tq + i0, queries, j0, keys, Tk, low, high);
      const partial = isPartial(queries, keys, low, high);
      for (let i = 0; i < queries; i += 4) {
        const column = element(s, i);
        const from = firstSeen(i, keys, low) & -4;
        const to = (endSeen(i + 3, keys, high) + 3) & -4;
        if (partial || to > keys) hide(column, i, from, to, keys, low, high, -Infinity);
        addToSoftmax(column, from, to, element(state, i), bias ? 1 : scale);
        if (partial) hide(column, i, firstRead(i, keys, low), endRead(i, keys, high), keys, low, high, 0);
        if (dropout > 0) dropColumn(column, bits, i, from, to, 1 / (1 - dropout));
      }
      const exact = partial && !allFinite(vPanels, keys, D);
      sumOverKeys(fresh ? sum : product, wide, true, s, vPanels, queries, keys, (D + NR - 1) & -NR, low, high, exact, 0);
      if (!fresh) addProduct(sum, product, wide, state, queries);
      fresh = isLong && endsChunk(j0 + BLOCK);
      if (isLong && (fresh || j0 + BLOCK >= end)) {
        addToTotal(state, sum, matrix, wide, queries);
        startChunk(state, queries);
      }
    }

    if (isLong) takeTotal(state, sum, matrix, wide, queries);
    writeRows(element(out, (b * Tq + i0) * ldo + h * D), ldo, element(lse, head * Tq + i0), sum, wide, state, queries, D);
  }
}

/**
 * Adds the scores [from … to) of four queries to the online softmax, and replaces them by exp(scale·s − m).
 * `from` and `to` are multiples of 4, because l is summed in four lanes by key number mod 4.
 */
function addToSoftmax(s: usize, from: i32, to: i32, state: usize, scale: f32): void {
  const stop = s + to * ROW;
  s += from * ROW;
  const vscale = f32x4.splat(scale);
  const before = v128.load(state, M);
  let largest = f32x4.splat(-Infinity);
  for (let at = s; at < stop; at += ROW) largest = maxNumber(largest, v128.load(at));
  largest = maxNumber(before, f32x4.mul(largest, vscale));
  v128.store(state, largest, M);

  largest = orZero(largest);
  const minusLargest = f32x4.neg(largest);
  let l0 = f32x4.splat(0), l1 = l0, l2 = l0, l3 = l0;
  while (s < stop) {
    const p0 = exp(madd(v128.load(s), vscale, minusLargest));
    v128.store(s, p0), l0 = f32x4.add(l0, p0);
    const p1 = exp(madd(v128.load(s, ROW), vscale, minusLargest));
    v128.store(s, p1, ROW), l1 = f32x4.add(l1, p1);
    const p2 = exp(madd(v128.load(s, 2 * ROW), vscale, minusLargest));
    v128.store(s, p2, 2 * ROW), l2 = f32x4.add(l2, p2);
    const p3 = exp(madd(v128.load(s, 3 * ROW), vscale, minusLargest));
    v128.store(s, p3, 3 * ROW), l3 = f32x4.add(l3, p3);
    s += 4 * ROW;
  }
  const shrink = exp(f32x4.sub(before, largest));
  v128.store(state, shrink, SHRINK);
  v128.store(state, madd(v128.load(state, L), shrink, f32x4.add(f32x4.add(l0, l2), f32x4.add(l1, l3))), L);
}
