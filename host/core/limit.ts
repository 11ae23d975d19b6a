import { HeedError } from "../errors";
import { limitUrl } from "./bundled";
import { formatBytes } from "./memory";
import { type Build, hasRelaxedSimd, loadCore } from "./runtime";

/** Work that only the machine limits, to be timed beside what it bounds. */
export interface Limit {
  /** Floating-point operations, or bytes, of one run. */
  readonly amount: number;
  run(): void;
}

interface LimitExports {
  memory: WebAssembly.Memory;
  flopsPerTurn: WebAssembly.Global<"i32">;
  compute(at: number, turns: number): number;
  read(at: number, end: number): number;
}

/** Vectors that `compute` multiplies: on the second page, since the first is the module's own. */
const TABLE = 65536;
const TURNS = 50_000;
/** Beyond any cache. */
const READ_BYTES = 256 << 20;
/** What a turn of `read` reads. */
const READ_STEP = 192;

/**
 * The most that one thread of this machine can do: multiplications and additions in 128-bit vectors, and bytes read from memory.
 * @param build  "relaxed" fuses the two; the default where the engine can
 * @throws HeedError `runtime` when the engine lacks what the build needs; running `bytes`, `memory` when there are no 256 MiB
 *
 * @example
 * const { flops } = await machineLimits();
 * const start = performance.now();
 * flops.run();
 * console.log(`${flops.amount / (performance.now() - start) / 1e6} GFLOP/s`);
 */
export async function machineLimits(build: Build = hasRelaxedSimd() ? "relaxed" : "simd"): Promise<{ flops: Limit; bytes: Limit }> {
  const source = await loadCore(limitUrl(build));
  let exports: LimitExports;
  try {
    const module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
    exports = (await WebAssembly.instantiate(module)).exports as unknown as LimitExports;
  } catch (cause) {
    throw new HeedError("runtime", `the loops that show the machine's limits could not be instantiated: ${(cause as Error).message}`, { cause });
  }
  const { memory, flopsPerTurn, compute, read } = exports;
  const reserve = (bytes: number): void => {
    const missing = TABLE + bytes - memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      memory.grow(Math.ceil(missing / 65536));
    } catch (cause) {
      throw new HeedError("memory", `to measure the machine's bandwidth takes ${formatBytes(bytes)}, which the runtime could not give`, { cause });
    }
    new Float32Array(memory.buffer, TABLE).fill(1); // pages never written to are all one page
  };
  reserve(65536);
  const amount = READ_BYTES - (READ_BYTES % READ_STEP);
  return {
    flops: { amount: TURNS * (flopsPerTurn.value as number), run: () => void compute(TABLE, TURNS) },
    bytes: {
      amount,
      run() {
        reserve(READ_BYTES);
        read(TABLE, TABLE + amount);
      },
    },
  };
}
