/**
 * What a bench divides by: the most that 128-bit SIMD and the memory give one thread of this machine (`assembly/limit.ts`).
 * Each is a loop that does nothing else, timed in turn with what it bounds. Multiplications and additions are fused whichever build is
 * timed: apart they can reach the same, on a core that has units for both.
 */
import { machineLimits } from "../dist/index.js";

/**
 * The limits as contestants (see harness.mjs): `amount` is what one run does, in flops or bytes.
 * @returns {Promise<{ flops: Limit, bytes: Limit }>}
 * @typedef {{ name: string, amount: number, run: () => void }} Limit
 */
export async function compileLimits() {
  const { flops, bytes } = await machineLimits("relaxed");
  return { flops: { name: "limit", ...flops }, bytes: { name: "limit", ...bytes } };
}
