/**
 * Attention without a stored score matrix: FlashAttention-2 (Dao 2023, arXiv:2307.08691).
 *
 * Forward (attention-forward.ts), for each block of 64 queries, over the blocks of 64 keys they attend to:
 *   pass 1  S = scale·Q·Kᵀ + bias, set to −Infinity for masked keys (attention-block.ts, attention-visibility.ts)
 *   pass 2  the online softmax: m, the largest score so far, grows to m'; P = exp(S − m'); l = exp(m − m')·l + Σ P
 *   pass 3  O = exp(m − m')·O + P·V (attention-softmax.ts)
 * At the end, out = O / l and lse = m + log l. This one number per query is all that the backward pass needs to recompute P.
 *
 * Backward (attention-backward.ts), for each block of queries, with δ = Σ_d dO·O, over the same blocks of keys:
 *   pass 1  recompute S and P = exp(S − lse); dP = dO·Vᵀ
 *   pass 2  dS = P∘(dP − δ)
 *   pass 3  dQ += dS·K, dV += Pᵀ·dO, dK += dSᵀ·Q
 * One thread owns the dK and dV of a key-value head and the dQ of its query heads, so no atomics are needed and the order of summation
 * is fixed.
 *
 * Up to four queries per sequence, as in decoding, are processed one by one with the same bits (attention-few.ts, attention-row.ts).
 */
export { attentionForward } from "./attention-forward";
export { attentionBackward } from "./attention-backward";
