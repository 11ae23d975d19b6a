/**
 * Attention for a few queries, as in decoding. Keys and values are read in place, and from memory only once per key-value head.
 *
 * All queries of a key-value head process a block of keys while it is in cache, one query at a time. A query's scores are contiguous,
 * so a vector holds four keys. Every sum has the same order as in the block form (attention-forward.ts), so the bits are the same.
 */
import {
  addProduct, addToTotal, endsChunk, spansChunks, startChunk, startTotal, takeTotal, writeRows,
} from "./attention-softmax";
import { addRowBias, addRowToSoftmax, addValues, columnsOfKeys, rowScores, rowScoresOfTokens } from "./attention-row";
import {
  BLOCK, ROW, endOfKeys, endSeen, firstPosition, firstSeen, keyBlock, keyCount, startOfKeys,
} from "./attention-visibility";
import { element } from "./element";

/**
 * `attentionForward` without dropout, for the query heads [head … last) of all B·H, with Tq <= BLOCK.
 * The following are scratch:
 * @param columns  f32 [D, BLOCK]
 * @param product  f32 [BLOCK, wide]
 * @param sum      f32 [3, BLOCK, wide]
 * @param s        f32 [BLOCK, BLOCK]
 * @param state    see attention-softmax.ts
 */
export function attendFew(
  out: usize, lse: usize, q: usize, k: usize, v: usize, bias: usize, pages: usize, past: usize, lengths: usize,
  H: i32, Hkv: i32, Tq: i32, Tk: i32, D: i32, P: i32, ldo: i32, ldq: i32,
  tokenK: i32, dimK: i32, headK: i32, pageK: i32, tokenV: i32, headV: i32, pageV: i32,
  biasBatch: i32, biasHead: i32, biasRow: i32, left: i32, right: i32, scale: f32,
  columns: usize, product: usize, sum: usize, s: usize, state: usize, head: i32, last: i32,
): void {
  const wide = (D + 15) & -16;
  const matrix = <usize>(BLOCK * wide) << 2;
  const group = H / Hkv;
  for (let heads = 0; head < last; head += heads) {
    const b = head / H;
    const h = head - b * H;
    const kvHead = h / group;
    heads = min(min(last - head, (kvHead + 1) * group - h), BLOCK / Tq); // query heads that share keys
    const rows = heads * Tq;
    const length = keyCount(lengths, b, Tk);
    const position = firstPosition(past, b, Tq, Tk);
    const start = startOfKeys(position, left, length);
    const end = endOfKeys(position + Tq - 1, right, length);
    const isLong = spansChunks(start, end);
    const qRows = element(q, b * Tq * ldq + h * D);
    const biasRows = bias ? element(bias, b * biasBatch + h * biasHead) : 0;

    if (start >= end) memory.fill(sum, 0, <usize>(rows * wide) << 2);
    if (isLong) startTotal(state, sum, matrix, wide, rows);
    startChunk(state, rows);
    for (let j0 = start, fresh = true; j0 < end; j0 += BLOCK) {
      const keys = min(BLOCK, end - j0);
      const low = position - left - j0;
      const high = position + right - j0;
      const vBlock = element(keyBlock(v, pages, P, b, j0, Tk, tokenV, pageV), kvHead * headV);
      let kBlock = element(keyBlock(k, pages, P, b, j0, Tk, tokenK, pageK), kvHead * headK);
      let pitch = dimK;
      const inPlace = pages != 0 && tokenK == 1;
      const inRegisters = !inPlace && dimK == 1 && rows == 1;
      if (!inPlace && !inRegisters) {
        columnsOfKeys(columns, kBlock, tokenK, dimK, keys, D);
        kBlock = columns;
        pitch = BLOCK;
      }
      for (let r = 0; r < rows; r++) {
        const g = r / Tq;
        const i = r - g * Tq;
        const row = s + r * ROW;
        const qRow = element(qRows, i * ldq + g * D);
        const from = firstSeen(i, keys, low);
        const to = endSeen(i, keys, high);
        if (inRegisters) rowScoresOfTokens(row, qRow, kBlock, tokenK, from, to, D);
        else rowScores(row, qRow, kBlock, pitch, from, to, D);
        if (bias) addRowBias(row, element(biasRows, g * biasHead + i * biasRow + j0), from, to, scale);
        addRowToSoftmax(row, from, to, element(state, r), bias ? 1 : scale);
      }
      const to = fresh ? sum : product;
      for (let r = 0; r < rows; r++) {
        const i = r % Tq;
        addValues(element(to, r * wide), s + r * ROW, vBlock, firstSeen(i, keys, low), endSeen(i, keys, high), D, tokenV);
      }
      if (!fresh) addProduct(sum, product, wide, state, rows);
      fresh = isLong && endsChunk(j0 + BLOCK);
      if (isLong && (fresh || j0 + BLOCK >= end)) {
        addToTotal(state, sum, matrix, wide, rows);
        startChunk(state, rows);
      }
    }

    if (isLong) takeTotal(state, sum, matrix, wide, rows);
    for (let g = 0; g < heads; g++) {
      const first = g * Tq;
      const to = element(out, b * Tq * ldo + (h + g) * D);
      writeRows(to, ldo, element(lse, (head + g) * Tq), element(sum, first * wide), wide, element(state, first), Tq, D);
    }
  }
}
