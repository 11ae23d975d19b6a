import { AttentionScratch, Window } from "../layouts";
import { exp } from "../math";
import { Count, In, MaybeIn, MaybeOut, Out, Scalar, Scratch } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, madd, sum } from "../simd";
import { addBias, allFinite, scores, sumOverKeys, sumOverQueries } from "./attention-block";
import { drawMask, dropColumn } from "./attention-dropout";
import {
  BLOCK, ROW, endOfKeys, endRead, endSeen, firstPosition, firstRead, firstSeen, hide, isPartial, keyCount, startOfKeys,
} from "./attention-visibility";
import { element } from "./element";
import { packColumns, packRows } from "./pack";

/**
 * The gradients of `attentionForward`. They are written, not added to; dQ, dK and dV have the layouts of q, k and v.
 * With P_ij = exp(s_ij − lse_i), M the dropout mask times 1/(1 − dropout), and δ_i = dOut_i·out_i:
 *
 *     dV_j = Σ_i M_ij·P_ij·dOut_i,  dS_ij = P_ij·(M_ij·dOut_i·v_j − δ_i),
 *     dQ_i = scale·Σ_j dS_ij·k_j,  dK_j = scale·Σ_i dS_ij·q_i.
 *
 * @param dBias  f32 [B, H, Tq, Tk]: dS, 0 where the query does not attend to the key
 * @param dOut   f32 [B, Tq, H, D], tokens `ldo` apart, like `out`
 * @param rng    with the step and micro-batch of the forward pass; `stream` must also be the same
 * @param dimK   must be 1: key gradients are written in the forward pass's layout without pages
 * The other operands are those of `attentionForward`. A key that no query attends to has gradient 0, as has a query without keys.
 * One thread owns the dK and dV of a key-value head. It sums over the query heads that share it, then over their queries, in order.
 */
export function attentionBackward(
  dQ: Out<f32>, dK: Out<f32>, dV: Out<f32>, dBias: MaybeOut<f32>, dOut: In<f32>, out: In<f32>, lse: In<f32>,
  q: In<f32>, k: In<f32>, v: In<f32>, bias: MaybeIn<f32>,
  past: MaybeIn<i32>, lengths: MaybeIn<i32>, rng: MaybeIn<i32>, scratch: Scratch,
  B: Count, H: Count, Hkv: Count, Tq: Count, Tk: Count, D: Count, ldo: Count, ldq: Count,
  tokenK: Count, dimK: Count, headK: Count, tokenV: Count, headV: Count,
  biasBatch: Count, biasHead: Count, biasRow: Count, left: Count, right: Count,
  scale: Scalar, dropout: Scalar, stream: Count,
  thread: i32, threads: i32,
): void {
  assert(D > 0 && Hkv > 0 && H % Hkv == 0 && dimK == 1 && scale > 0 && dropout >= 0 && dropout < 1 && (scratch & 15) == 0);
  assert(left >= 0 && left <= Window.Unlimited && right >= 0 && right <= Window.Unlimited);
  const matrix = <usize>(BLOCK * ((D + 15) & -16)) << 2;
  const qRows = scratch + thread * (AttentionScratch.Base + AttentionScratch.PerDim * D); // packed by packRows, for the scores
  const gRows = qRows + matrix; // dOut
  const qColumns = gRows + matrix; // packed by packColumns, for the sums
  const gColumns = qColumns + matrix;
  const kColumns = gColumns + matrix;
  const p = kColumns + matrix;
  const dS = p + ROW * BLOCK;
  const minusLse = dS + ROW * BLOCK;
  const delta = minusLse + ROW;
  const bits = delta + ROW;
  const edge = bits + (BLOCK * BLOCK) / 8;

  const group = H / Hkv;
  const last = sliceEnd(B * Hkv, 1, thread, threads) * group;
  for (let head = sliceStart(B * Hkv, 1, thread, threads) * group; head < last; head++) {
    const b = head / H;
    const h = head - b * H;
    const kvHead = h / group;
    const isFirst = h % group == 0;
    const length = keyCount(lengths, b, Tk);
    const past0 = firstPosition(past, b, Tq, Tk);
    const kHead = b * Tk * tokenK + kvHead * headK;
    const vHead = b * Tk * tokenV + kvHead * headV;
    if (dBias) memory.fill(element(dBias, head * Tq * Tk), 0, <usize>(Tq * Tk) << 2);
    if (isFirst) {
      // The first block of queries writes the gradients of the keys it attends to. The other keys' gradients start at 0.
      const start = min(startOfKeys(past0, left, length), Tk);
      const end = max(start, endOfKeys(past0 + min(BLOCK, Tq) - 1, right, length));
      clearRows(element(dK, kHead), tokenK, start, D);
      clearRows(element(dV, vHead), tokenV, start, D);
      clearRows(element(dK, kHead + end * tokenK), tokenK, Tk - end, D);
      clearRows(element(dV, vHead + end * tokenV), tokenV, Tk - end, D);
    }

    for (let i0 = 0; i0 < Tq; i0 += BLOCK) {
      const queries = min(BLOCK, Tq - i0);
      const row = head * Tq + i0;
      const position = past0 + i0;
      const start = startOfKeys(position, left, length);
      const end = endOfKeys(position + queries - 1, right, length);
      const qOffset = (b * Tq + i0) * ldq + h * D;
      const oOffset = (b * Tq + i0) * ldo + h * D;
      packRows(qRows, element(q, qOffset), ldq, queries, D);
      packColumns(qColumns, element(q, qOffset), ldq, D, queries);
      packRows(gRows, element(dOut, oOffset), ldo, queries, D);
      packColumns(gColumns, element(dOut, oOffset), ldo, D, queries);
      loadStatistics(minusLse, delta, element(lse, row), element(dOut, oOffset), element(out, oOffset), ldo, queries, D);
      if (start >= end) clearRows(element(dQ, qOffset), ldq, queries, D);

      for (let j0 = start; j0 < end; j0 += BLOCK) {
        const keys = min(BLOCK, end - j0);
        const low = position - left - j0;
        const high = position + right - j0;
        const kOffset = kHead + j0 * tokenK;
        const vOffset = vHead + j0 * tokenV;
        packColumns(kColumns, element(k, kOffset), tokenK, D, keys);
        scores(p, element(k, kOffset), tokenK, 1, qRows, keys, queries, D, low, high);
        if (bias) addBias(p, element(bias, b * biasBatch + h * biasHead + i0 * biasRow + j0), biasRow, dS, keys, queries, scale);
        scores(dS, element(v, vOffset), tokenV, 1, gRows, keys, queries, D, low, high);
        if (dropout > 0) drawMask(bits, rng, stream, dropout, row, queries, j0, keys, Tk, low, high);
        const partial = isPartial(queries, keys, low, high);
        for (let i = 0; i < queries; i += 4) {
          const at = <usize>i << 2;
          const from = firstSeen(i, keys, low);
          const to = endSeen(i + 3, keys, high);
          if (dropout > 0) dropColumn(dS + at, bits, i, from, to, 1 / (1 - dropout));
          softmaxGradient(p + at, dS + at, from, to, v128.load(minusLse + at), v128.load(delta + at), bias ? 1 : scale, dBias ? 1 : scale);
          if (dropout > 0) dropColumn(p + at, bits, i, from, to, 1 / (1 - dropout));
          if (partial) hide(p + at, i, firstRead(i, keys, low), endRead(i, keys, high), keys, low, high, 0);
          if (partial) hide(dS + at, i, firstRead(i, keys, low), endRead(i, keys, high), keys, low, high, 0);
        }
        if (dBias) takeBiasGradient(element(dBias, row * Tk + j0), Tk, dS, queries, keys, low, high, scale);

        const kExact = partial && !allFinite(kColumns, keys, D);
        const qExact = partial && !allFinite(qColumns, queries, D);
        const gExact = partial && !allFinite(gColumns, queries, D);
        const fresh = isFirst && i0 == 0;
        sumOverKeys(element(dQ, qOffset), ldq, j0 == start, dS, kColumns, queries, keys, D, low, high, kExact, edge);
        sumOverQueries(element(dK, kOffset), tokenK, fresh, dS, qColumns, keys, queries, D, low, high, qExact, edge);
        sumOverQueries(element(dV, vOffset), tokenV, fresh, p, gColumns, keys, queries, D, low, high, gExact, edge);
      }
    }
  }
}

/** For four queries, in place: scores s become p = exp(scale·s − lse), and dP becomes factor·dS = factor·p·(dP − δ). */
function softmaxGradient(s: usize, dP: usize, from: i32, to: i32, minusLse: v128, delta: v128, scale: f32, factor: f32): void {
  const vscale = f32x4.splat(scale);
  const vfactor = f32x4.splat(factor);
  const scaledDelta = f32x4.mul(delta, vfactor);
  const apart = dP - s;
  const stop = s + to * ROW;
  for (s += from * ROW; s < stop; s += ROW) {
    const p = exp(madd(v128.load(s), vscale, minusLse));
    v128.store(s, p);
    v128.store(s + apart, f32x4.mul(p, f32x4.sub(f32x4.mul(v128.load(s + apart), vfactor), scaledDelta)));
  }
}

/** dBias[i, j] = dS[j, i] for the keys j that query i attends to, rows of dBias `ld` apart. Then dS becomes scale·dS. */
function takeBiasGradient(dBias: usize, ld: i32, dS: usize, queries: i32, keys: i32, low: i32, high: i32, scale: f32): void {
  for (let i = 0; i < queries; i++) {
    const end = endSeen(i, keys, high);
    for (let j = firstSeen(i, keys, low); j < end; j++) {
      const at = element(dS, j * BLOCK + i);
      const value = load<f32>(at);
      store<f32>(element(dBias, i * ld + j), value);
      store<f32>(at, scale * value);
    }
  }
}

/** minusLse_i = −lse_i and δ_i = dOut_i·out_i for a block of queries. A query without keys gets minusLse = −Infinity, so its p is 0. */
function loadStatistics(minusLse: usize, delta: usize, lse: usize, dOut: usize, out: usize, ldo: i32, queries: i32, D: i32): void {
  for (let i = 0; i < queries; i++) {
    const value = load<f32>(element(lse, i));
    store<f32>(element(minusLse, i), value == -Infinity ? value : -value);
    const row = <usize>(i * ldo) << 2;
    let total = f32x4.splat(0);
    let d = 0;
    for (; d + 4 <= D; d += 4) {
      const x = row + (<usize>d << 2);
      total = f32x4.add(total, f32x4.mul(v128.load(dOut + x), v128.load(out + x)));
    }
    if (d < D) {
      const x = row + (<usize>d << 2);
      total = f32x4.add(total, f32x4.mul(loadTail(dOut + x, D - d), loadTail(out + x, D - d)));
    }
    store<f32>(element(delta, i), sum(total));
  }
}

function clearRows(x: usize, ld: i32, R: i32, D: i32): void {
  for (let r = 0; r < R; r++) memory.fill(element(x, r * ld), 0, <usize>D << 2);
}
