import { HeedError } from "../errors";
import { limitUrl } from "./bundled";
import { formatBytes } from "./memory";
import { type Build, hasRelaxedSimd, loadCore } from "./runtime";

/** A loop limited only by the hardware. Time it next to the code whose upper bound it gives. */
export interface Limit {
  /** Operations or bytes per run. A multiply-add counts as two operations. */
  readonly amount: number;
  run(): void;
}

/** The limits of one thread. */
export interface Limits {
  /** Multiplications and additions of f32. */
  readonly flops: Limit;
  /** Bytes read from memory. */
  readonly bytes: Limit;
  /** Products with weights in `int8row`: dot products of integers. */
  readonly int8row: Limit;
  /** The same in `int8`, including the scaling of groups. */
  readonly int8: Limit;
  /** The same in `int4`, including scaling and unpacking. */
  readonly int4: Limit;
}

type Loop = (at: number, turns: number) => number;
type Constant = WebAssembly.Global<"i32">;

interface LimitExports {
  memory: WebAssembly.Memory;
  flopsPerTurn: Constant;
  rowTurn: Constant;
  groupTurn: Constant;
  compute: Loop;
  int8Dots: Loop;
  int8Groups: Loop;
  int4Groups: Loop;
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
 * The peak throughput of one thread on this machine: multiplications and additions in 128-bit vectors, bytes read from memory, and dot
 * products of integers.
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
export async function machineLimits(build: Build = hasRelaxedSimd() ? "relaxed" : "simd"): Promise<Limits> {
  const source = await loadCore(limitUrl(build));
  let exports: LimitExports;
  try {
    const module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
    exports = (await WebAssembly.instantiate(module)).exports as unknown as LimitExports;
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new HeedError("runtime", `the loops that measure the machine's limits could not be instantiated: ${reason}`, { cause });
  }
  const { memory, read } = exports;
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
  const computing = ({ value }: Constant, loop: Loop): Limit => ({ amount: TURNS * (value as number), run: () => void loop(TABLE, TURNS) });
  return {
    flops: computing(exports.flopsPerTurn, exports.compute),
    int8row: computing(exports.rowTurn, exports.int8Dots),
    int8: computing(exports.groupTurn, exports.int8Groups),
    int4: computing(exports.groupTurn, exports.int4Groups),
    bytes: {
      amount,
      run() {
        reserve(READ_BYTES);
        read(TABLE, TABLE + amount);
      },
    },
  };
}
