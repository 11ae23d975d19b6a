/**
 * Attention whose score matrix is never stored: FlashAttention-2 (Dao 2023, arXiv:2307.08691).
 *
 * Forward (attention-forward.ts), for each block of 64 queries, over the blocks of 64 keys they see:
 *   pass 1  S = scale·Q·Kᵀ + bias, set to −Infinity where a query does not see the key (attention-block.ts, attention-visibility.ts)
 *   pass 2  the online softmax: m, the largest score so far, grows to m'; P = exp(S − m'); l = exp(m − m')·l + Σ P
 *   pass 3  O = exp(m − m')·O + P·V (attention-softmax.ts)
 * and at the end O / l, and lse = m + log l, one number per query: all that the backward pass needs to know of the scores.
 *
 * Backward (attention-backward.ts), for each block of queries, with δ = Σ_d dO·O, over the same blocks of keys:
 *   pass 1  S and P = exp(S − lse) once more; dP = dO·Vᵀ
 *   pass 2  dS = P∘(dP − δ)
 *   pass 3  dQ += dS·K (the block's own, written at its end), dV += Pᵀ·dO, dK += dSᵀ·Q (in memory)
 * One thread owns a key-value head's dK and dV and its query heads' dQ: no atomics, and one order of summation.
 *
 * Up to four queries, as in decoding, are taken one by one (attention-few.ts, attention-row.ts), with the same bits.
 */
export { attentionForward } from "./attention-forward";
export { attentionBackward } from "./attention-backward";
