/**
 * The limits that results are compared with: peak 128-bit SIMD throughput and memory bandwidth of one thread (`assembly/limit.ts`).
 * Each is a loop that does nothing else and takes turns with the contestants that it bounds. It fuses multiplications and additions
 * for every build, because separate ones can reach the same throughput on a core that has units for both.
 */
import { machineLimits } from "../dist/index.js";

/**
 * The limits as contestants (see harness.mjs); `amount` is the FLOPs or bytes of one run.
 * @returns {Promise<{ flops: Limit, bytes: Limit }>}
 * @typedef {{ name: string, amount: number, run: () => void }} Limit
 */
export async function compileLimits() {
  const { flops, bytes } = await machineLimits("relaxed");
  return { flops: { name: "limit", ...flops }, bytes: { name: "limit", ...bytes } };
}
