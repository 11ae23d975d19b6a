import { Count, Flag, In, MaybeIn, Out, Scalar, Scratch } from "../operands";
import { AttentionScratch } from "../layouts";
import { exp } from "../math";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, madd, sum } from "../simd";
import {
  BLOCK, ROW, SEES_ALL, allFinite, drawMask, dropColumn, hide, reach, scores, sumOverKeys, sumOverQueries, visible,
} from "./attention-block";
import { packColumns, packRows } from "./pack";

/**
 * Gradients of `attentionForward`, which are written: dQ, dK and dV with the tokens of q, k and v.
 * With P_ij = exp(scale·q_i·k_j − lse_i), M the dropout mask times 1/(1 − dropout), and δ_i = dOut_i·out_i:
 *
 *     dV_j = Σ_i M_ij·P_ij·dOut_i,  dS_ij = P_ij·(M_ij·dOut_i·v_j − δ_i),  dQ_i = scale·Σ_j dS_ij·k_j,  dK_j = scale·Σ_i dS_ij·q_i.
 *
 * @param dOut  f32 [B, Tq, H, D], tokens `ldo` apart, as `out`
 * @param rng   with the step and micro-batch of the forward pass, as `stream`
 * The others are `attentionForward`'s. A key that no query sees has gradient 0, and so has a query that sees no key.
 */
export function attentionBackward(
  dQ: Out<f32>, dK: Out<f32>, dV: Out<f32>, dOut: In<f32>, out: In<f32>, lse: In<f32>,
  q: In<f32>, k: In<f32>, v: In<f32>,
  lengths: MaybeIn<i32>, rng: MaybeIn<i32>, scratch: Scratch,
  B: Count, H: Count, Tq: Count, Tk: Count, D: Count, ldo: Count, ldq: Count, ldk: Count, ldv: Count,
  scale: Scalar, dropout: Scalar, stream: Count, causal: Flag,
  thread: i32, threads: i32,
): void {
  assert(D > 0 && scale > 0 && dropout >= 0 && dropout < 1 && (scratch & 15) == 0);
  const matrix = <usize>(BLOCK * ((D + 15) & -16)) << 2;
  const qRows = scratch + thread * (AttentionScratch.Base + AttentionScratch.PerDim * D); // by packRows, for the scores
  const gRows = qRows + matrix; // dOut
  const qColumns = gRows + matrix; // by packColumns, for the sums
  const gColumns = qColumns + matrix;
  const kColumns = gColumns + matrix;
  const p = kColumns + matrix;
  const dS = p + ROW * BLOCK;
  const minusLse = dS + ROW * BLOCK;
  const delta = minusLse + ROW;
  const bits = delta + ROW;
  const edge = bits + (BLOCK * BLOCK) / 8;

  const last = sliceEnd(B * H, 1, thread, threads);
  for (let head = sliceStart(B * H, 1, thread, threads); head < last; head++) {
    const b = head / H;
    const column = (head - b * H) * D;
    const length = lengths ? max(0, min(Tk, load<i32>(lengths + (<usize>b << 2)))) : Tk;
    // The first block of queries writes the gradients of the keys it sees; of the others they start from 0.
    const written = causal ? max(0, min(length, min(BLOCK, Tq) + Tk - Tq)) : length;
    clearRows(dK + (<usize>((b * Tk + written) * ldk + column) << 2), ldk, Tk - written, D);
    clearRows(dV + (<usize>((b * Tk + written) * ldv + column) << 2), ldv, Tk - written, D);

    for (let i0 = 0; i0 < Tq; i0 += BLOCK) {
      const queries = min(BLOCK, Tq - i0);
      const row = head * Tq + i0;
      const end = causal ? min(length, i0 + queries + Tk - Tq) : length;
      const qOffset = <usize>((b * Tq + i0) * ldq + column) << 2;
      const oOffset = <usize>((b * Tq + i0) * ldo + column) << 2;
      packRows(qRows, q + qOffset, ldq, queries, D);
      packColumns(qColumns, q + qOffset, ldq, D, queries);
      packRows(gRows, dOut + oOffset, ldo, queries, D);
      packColumns(gColumns, dOut + oOffset, ldo, D, queries);
      loadStatistics(minusLse, delta, lse + (<usize>row << 2), dOut + oOffset, out + oOffset, ldo, queries, D);
      if (end <= 0) clearRows(dQ + qOffset, ldq, queries, D);

      for (let j0 = 0; j0 < end; j0 += BLOCK) {
        const keys = min(BLOCK, end - j0);
        const shift = causal ? i0 + Tk - Tq - j0 : SEES_ALL;
        const kOffset = <usize>((b * Tk + j0) * ldk + column) << 2;
        const vOffset = <usize>((b * Tk + j0) * ldv + column) << 2;
        packColumns(kColumns, k + kOffset, ldk, D, keys);
        scores(p, k + kOffset, ldk, qRows, keys, queries, D, shift);
        scores(dS, v + vOffset, ldv, gRows, keys, queries, D, shift);
        if (dropout > 0) drawMask(bits, rng, stream, dropout, row, queries, j0, keys, Tk, shift);
        for (let i = 0; i < queries; i += 4) {
          const at = <usize>i << 2;
          const seen = visible(i + 3, keys, shift);
          if (dropout > 0) dropColumn(dS + at, bits, i, seen, 1 / (1 - dropout));
          softmaxGradient(p + at, dS + at, seen, v128.load(minusLse + at), v128.load(delta + at), scale);
          if (dropout > 0) dropColumn(p + at, bits, i, seen, 1 / (1 - dropout));
          hide(p + at, i, visible(i, keys, shift), reach(i, keys, shift), shift, 0);
          hide(dS + at, i, visible(i, keys, shift), reach(i, keys, shift), shift, 0);
        }

        const partial = visible(0, keys, shift) < keys;
        const kExact = partial && !allFinite(kColumns, keys, D);
        const qExact = partial && !allFinite(qColumns, queries, D);
        const gExact = partial && !allFinite(gColumns, queries, D);
        sumOverKeys(dQ + qOffset, ldq, j0 == 0, dS, kColumns, queries, keys, D, shift, kExact, edge);
        sumOverQueries(dK + kOffset, ldk, i0 == 0, dS, qColumns, keys, queries, D, shift, qExact, edge);
        sumOverQueries(dV + vOffset, ldv, i0 == 0, p, gColumns, keys, queries, D, shift, gExact, edge);
      }
    }
  }
}

/** For four queries: scores s become p = exp(scale·s − lse), and dP becomes scale·dS = scale·p·(dP − δ). */
function softmaxGradient(s: usize, dP: usize, end: i32, minusLse: v128, delta: v128, scale: f32): void {
  const vscale = f32x4.splat(scale);
  const scaledDelta = f32x4.mul(delta, vscale);
  const apart = dP - s;
  for (const stop = s + end * ROW; s < stop; s += ROW) {
    const p = exp(madd(v128.load(s), vscale, minusLse));
    v128.store(s, p);
    v128.store(s + apart, f32x4.mul(p, f32x4.sub(f32x4.mul(v128.load(s + apart), vscale), scaledDelta)));
  }
}

/** minusLse_i = −lse_i, δ_i = dOut_i·out_i for a block of queries; a query that sees no key gets −Infinity, so that its p is 0. */
function loadStatistics(minusLse: usize, delta: usize, lse: usize, dOut: usize, out: usize, ldo: i32, queries: i32, D: i32): void {
  for (let i = 0; i < queries; i++) {
    const at = <usize>i << 2;
    const value = load<f32>(lse + at);
    store<f32>(minusLse + at, value == -Infinity ? value : -value);
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
    store<f32>(delta + at, sum(total));
  }
}

function clearRows(x: usize, ld: i32, R: i32, D: i32): void {
  for (let r = 0; r < R; r++) memory.fill(x + (<usize>(r * ld) << 2), 0, <usize>D << 2);
}
