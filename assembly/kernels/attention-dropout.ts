/** Dropout of attention weights. The mask is a function of the weight's position, so the backward pass regenerates it. */
import { dropThreshold, keepBits } from "../random";
import { BLOCK, ROW, endSeen, firstSeen } from "./attention-visibility";
import { element } from "./element";

/**
 * Draws the mask for the keys that a block's queries attend to. Bit j & 31 of bits[j / 32, i] says whether query i keeps key j.
 * @param bits   u32 [BLOCK / 32, BLOCK]
 * @param row    index of the block's first query among all queries: (b·H + h)·Tq + i
 * @param start  index of the block's first key among all Tk, a multiple of 32
 */
export function drawMask(
  bits: usize, rng: usize, stream: i32, dropout: f32, row: i32, queries: i32, start: i32, keys: i32, Tk: i32, low: i32, high: i32,
): void {
  const threshold = dropThreshold(dropout);
  const perRow = (Tk + 7) >> 3;
  for (let i = 0; i < queries; i++) {
    const end = endSeen(i, keys, high);
    for (let j = firstSeen(i, keys, low) & -32; j < end; j += 32) {
      const block = (row + i) * perRow + ((start + j) >> 3);
      store<u32>(element(bits, (j >> 5) * BLOCK + i), keepBits(rng, stream, block, threshold));
    }
  }
}

/** In column [from … to) of the four queries starting at i, multiplies what the mask keeps by `keepScale` and zeroes the rest. */
export function dropColumn(column: usize, bits: usize, i: i32, from: i32, to: i32, keepScale: f32): void {
  const vscale = f32x4.splat(keepScale);
  for (let j = from; j < to; j++) {
    const words = v128.load(element(bits, (j >> 5) * BLOCK + i));
    const bit = i32x4.splat(1 << (j & 31));
    const at = column + j * ROW;
    v128.store(at, v128.and(f32x4.mul(v128.load(at), vscale), i32x4.eq(v128.and(words, bit), bit)));
  }
}
