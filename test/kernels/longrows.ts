import { randomArray } from "../random";

/** Rows that are hard to add up in f32: each of 50,257 and of 10⁶ logits. */
export function longRows(): [title: string, row: Float32Array][] {
  return [50_257, 1_000_000].flatMap((C): [string, Float32Array][] => [
    [`${C} random`, randomArray(C, C, -8, 8)],
    [`${C} equal`, new Float32Array(C).fill(0.3)],
    // Each −17 is less than half the last bit of the sum that a lane starts with.
    [`4 zeros, ${C - 4} of −17`, Float32Array.from({ length: C }, (_, c) => (c < 4 ? 0 : -17))],
    [`${C - 4} of −17, 4 zeros`, Float32Array.from({ length: C }, (_, c) => (c < C - 4 ? -17 : 0))],
    [`${C} rising`, Float32Array.from({ length: C }, (_, c) => (20 * c) / C)],
  ]);
}
