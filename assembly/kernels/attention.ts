/**
 * Attention whose score matrix is never stored: FlashAttention-2 (Dao 2023, arXiv:2307.08691).
 *
 * Forward (attention-forward.ts), for each block of 64 queries, over the blocks of 64 keys it sees:
 *   pass 1  S = scale·Q·Kᵀ, what a query must not see set to −Infinity
 *   pass 2  the online softmax: m, the largest score so far, grows to m'; P = exp(S − m'); l and O shrink by exp(m − m'); l += Σ P
 *   pass 3  O += P·V
 * and at the end O / l, and lse = m + log l, one number a query: all that backward needs to know of the scores.
 *
 * Backward (attention-backward.ts), for each block of queries, with δ = Σ_d dO·O, over the same blocks of keys:
 *   pass 1  S and P = exp(S − lse) once more; dP = dO·Vᵀ
 *   pass 2  dS = P∘(dP − δ)
 *   pass 3  dQ += dS·K (the block's own, written at its end), dV += Pᵀ·dO, dK += dSᵀ·Q (in memory)
 * One thread owns a head's dQ, dK and dV: no atomics, and one order of summation.
 *
 * Few queries, as in decoding, are taken one by one (attention-row.ts): there is nothing to reuse.
 * Every other pass over S works on a block that stays in cache (attention-block.ts).
 */
export { attentionForward } from "./attention-forward";
export { attentionBackward } from "./attention-backward";
