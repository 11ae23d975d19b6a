/**
 * The limits that results are compared with: peak 128-bit SIMD throughput, memory bandwidth and products of integers, of one thread
 * (`assembly/limit.ts`). Each is a loop that does nothing else and takes turns with the contestants that it bounds. It fuses
 * multiplications and additions for every build, because separate ones can reach the same throughput on a core that has units for both.
 * The plain build has instructions of its own for integers.
 */
import { machineLimits } from "../dist/index.js";

/**
 * The limits as contestants (see harness.mjs); `amount` is the FLOPs, bytes or operations of one run.
 * @returns {Promise<Record<"flops" | "bytes" | "int8row" | "int8" | "int4" | "plain int8row" | "plain int8" | "plain int4", Limit>>}
 * @typedef {{ name: string, amount: number, run: () => void }} Limit
 */
export async function compileLimits() {
  const [limits, plain] = [await machineLimits("relaxed"), await machineLimits("simd")];
  const own = ["int8row", "int8", "int4"].map((name) => [`plain ${name}`, plain[name]]);
  return Object.fromEntries([...Object.entries(limits), ...own].map(([name, limit]) => [name, { name: `limit: ${name}`, ...limit }]));
}
