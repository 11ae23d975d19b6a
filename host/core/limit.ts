import { HeedError } from "../errors";
import { limitUrl } from "./bundled";
import { formatBytes } from "./memory";
import { type Build, hasRelaxedSimd, loadCore } from "./runtime";

/** A loop limited only by the hardware. Time it next to the code whose upper bound it gives. */
export interface Limit {
  /** Floating-point operations or bytes per run. */
  readonly amount: number;
  run(): void;
}

interface LimitExports {
  memory: WebAssembly.Memory;
  flopsPerTurn: WebAssembly.Global<"i32">;
  compute(at: number, turns: number): number;
  read(at: number, end: number): number;
}

/** The vectors that `compute` multiplies. They are on the second page because the module itself uses the first. */
const TABLE = 65536;
const TURNS = 50_000;
/** Larger than any cache. */
const READ_BYTES = 256 << 20;
/** Bytes per iteration of `read`. */
const READ_STEP = 192;

/**
 * The peak throughput of one thread on this machine: multiplications and additions in 128-bit vectors, and bytes read from memory.
 * @param build  "relaxed" fuses multiplication and addition; it is the default if the engine supports it
 * @throws HeedError `runtime` if the engine lacks a feature that the build needs; running `bytes` throws `memory` if 256 MiB cannot
 *   be allocated
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
    const reason = (cause as Error).message;
    throw new HeedError("runtime", `the loops that measure the machine's limits could not be instantiated: ${reason}`, { cause });
  }
  const { memory, flopsPerTurn, compute, read } = exports;
  const reserve = (bytes: number): void => {
    const missing = TABLE + bytes - memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      memory.grow(Math.ceil(missing / 65536));
    } catch (cause) {
      const needs = `measuring memory bandwidth needs ${formatBytes(bytes)}`;
      throw new HeedError("memory", `${needs}, which the runtime could not allocate`, { cause });
    }
    new Float32Array(memory.buffer, TABLE).fill(1); // untouched pages all map to one physical page
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
