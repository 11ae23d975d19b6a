import { randomArray } from "../random";

/** Rows of 50,257 and 10⁶ logits that are hard to sum in f32. */
export function longRows(): [title: string, row: Float32Array][] {
  return [
    ["50257 random", randomArray(50_257, 1, -8, 8)],
    ["10⁶ equal", new Float32Array(1_000_000).fill(0.3)],
    // Each exp(−17) is less than half of the last bit of the sum that a lane starts with.
    ["4 zeros, 50253 of −17", Float32Array.from({ length: 50_257 }, (_, c) => (c < 4 ? 0 : -17))],
    ["4 zeros, 10⁶ − 4 of −17", Float32Array.from({ length: 1_000_000 }, (_, c) => (c < 4 ? 0 : -17))],
    ["50257 rising", Float32Array.from({ length: 50_257 }, (_, c) => (20 * c) / 50_257)],
  ];
}
