import { demangle } from "@assemblyscript/loader";
import { SyncCell } from "../../assembly/layouts";
import { HeedError } from "../errors";
import type { ByteSource, UrlLike, WasmModule } from "../webtypes";
import { bundledUrl } from "./bundled";
import { type Block, Memory } from "./memory";
import { Team } from "./team";
import type { Workers } from "./workers";

/**
 * The core's builds. `simd` produces the same bits everywhere. `relaxed` uses fused multiply-add if the hardware has it.
 * `turbo` produces the bits of `relaxed` about twice as fast, but needs Node 24 or later and an experimental V8 flag: see
 * `createRuntime` in heed/node.
 */
export type Build = "simd" | "relaxed" | "turbo";

/** A core's bytes, a compiled module, or the URL of one. */
export type CoreSource = ByteSource | WasmModule | UrlLike | string;

/** Options of `Runtime.create`. */
export interface RuntimeOptions {
  /** The bundled build to use. `auto` (the default) chooses `relaxed` if the engine supports it, and `simd` otherwise. */
  build?: Build | "auto";
  /** A core to use instead of the bundled file (edge workers import it as a module). */
  core?: CoreSource;
  /**
   * Number of computing threads, including this one. `auto` (the default) is the number of cores, at most 8.
   * More than one thread needs `workers` and shared memory; `auto` is 1 if either is missing. The `simd` build produces the same bits
   * for any number of threads.
   */
  threads?: number | "auto";
  /** Starts the threads: `nodeWorkers` from `heed/node`, or `webWorkers` from `heed/web`. */
  workers?: Workers;
}

/** Indexed by the core's `Build`. */
const BUILDS: readonly Build[] = ["simd", "relaxed", "turbo"];
/** The most threads a runtime accepts; a larger number is a mistake. */
export const MAX_THREADS = 64;
/** The most threads that `auto` starts: memory bandwidth is shared, so more would mostly wait for it. */
const AUTO_THREADS = 8;

interface CoreExports {
  memory: WebAssembly.Memory;
  run(at: number, thread: number, threads: number): void;
  heapBase(): number;
  /** The build, a member of the core's `Build`. */
  build: { readonly value: number };
  /** Only in threaded builds. */
  start?(at: number, sync: number, threads: number, maySleep: number): number;
  [name: string]: unknown;
}

// (module (func (param v128) (result v128) local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd))
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 0, 32, 0, 253, 133, 2, 11,
); // prettier-ignore

/** Whether this engine supports relaxed SIMD. */
export const hasRelaxedSimd = (): boolean => WebAssembly.validate(RELAXED_PROBE);

/** Whether threads can share memory. In a browser, the page must be cross-origin isolated. */
export const hasSharedMemory = (): boolean =>
  typeof SharedArrayBuffer === "function" && (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false;

/**
 * An instance of the core with its linear memory. All of heed's computation happens in a runtime.
 *
 * @example
 * const runtime = await Runtime.create();
 * console.log(runtime.build); // "relaxed" in Node 22 and later, "simd" in Node 20
 *
 * @example
 * import { nodeWorkers } from "heed/node";
 * const runtime = await Runtime.create({ threads: 2, workers: nodeWorkers });
 * await runtime.dispose(); // ends the other thread; it would not keep the process alive
 */
export class Runtime {
  readonly memory: Memory;
  /** The program whose values are in the arena: the last one to run or have an input written. */
  arenaOwner: object | undefined;
  private arena: Block | undefined;
  private team: Team | undefined;
  private disposed = false;

  private constructor(
    readonly build: Build,
    /** Number of threads that run each program. */
    readonly threads: number,
    private readonly core: CoreExports,
  ) {
    this.memory = new Memory(core.memory, core.heapBase());
  }

  /**
   * Instantiates a core and starts its threads.
   * @throws HeedError `runtime` if the engine lacks a feature that the build or the threads need, or if the source is not heed's core;
   *   `thread` if a thread cannot be started
   */
  static async create({ build = "auto", core, threads = "auto", workers }: RuntimeOptions = {}): Promise<Runtime> {
    const chosen = build === "auto" ? (hasRelaxedSimd() ? "relaxed" : "simd") : build;
    if (!["simd", "relaxed", "turbo"].includes(chosen)) {
      throw new TypeError(`build: expected "auto", "simd", "relaxed" or "turbo", got ${JSON.stringify(build)}`);
    }
    if (chosen === "turbo" && !core) {
      throw new HeedError("runtime", 'the build "turbo" needs a V8 flag; create its runtime with createRuntime from heed/node');
    }
    if (chosen === "relaxed" && !core && !hasRelaxedSimd()) {
      throw new HeedError("runtime", 'this engine does not support relaxed SIMD; use the build "simd" (or "auto")');
    }
    const wanted = countThreads({ threads, workers });
    const source = await loadCore(core ?? bundledUrl(chosen, wanted > 1));
    let module: WebAssembly.Module;
    let exports: CoreExports;
    try {
      module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
      const importsMemory = WebAssembly.Module.imports(module).some(({ kind }) => kind === "memory");
      const imports: WebAssembly.Imports = importsMemory ? { env: { memory: sharedMemory() } } : {};
      // The loader's own `instantiate` refers to Response, which makes Node load its fetch implementation (35 ms).
      exports = demangle<CoreExports>((await WebAssembly.instantiate(module, imports)).exports) as unknown as CoreExports;
    } catch (cause) {
      throw new HeedError("runtime", `the core could not be instantiated: ${(cause as Error).message}`, { cause });
    }
    const actual = BUILDS[exports.build?.value];
    if (typeof exports.run !== "function" || typeof exports.heapBase !== "function" || !actual) {
      throw new HeedError("runtime", "this WebAssembly module is not heed's core: expected exports named run, heapBase and build");
    }
    if (build !== "auto" && build !== actual) {
      throw new HeedError("runtime", `build: expected the build "${build}", got a core of the build "${actual}"`);
    }
    if (wanted > 1 && !exports.start && threads !== "auto") {
      const needs = `threads: ${threads} threads need a threaded core, such as heed.simd-threads.wasm`;
      throw new HeedError("runtime", `${needs}; this one does not use shared memory`);
    }
    const runtime = new Runtime(actual, exports.start ? wanted : 1, exports);
    if (runtime.threads > 1) {
      const sync = runtime.memory.allocate(SyncCell.Bytes, "runtime", "the threads' cells").address;
      runtime.team = await Team.start(workers!, { module, memory: exports.memory, sync, threads: wanted });
    }
    return runtime;
  }

  /**
   * Runs the program whose first instruction is at `address` on all threads, and returns when it is done.
   * @throws HeedError `thread` if a thread has died
   */
  run(address: number): void {
    if (this.disposed) throw new TypeError("the runtime was disposed");
    if (this.team) this.team.run(this.core.start!, address);
    else this.core.run(address, 0, 1);
  }

  /** Ends the threads and resolves when they have exited. Memory can still be read. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.team?.dispose();
  }

  /**
   * Returns the arena, grown to at least `bytes`. All programs keep their intermediates in it, since only one runs at a time.
   * Growing moves the arena, and every program then relinks its addresses.
   */
  reserveArena(bytes: number): Block {
    this.arena ??= this.memory.allocate(0, "runtime", "the arena of intermediate results");
    if (bytes > this.arena.bytes) {
      this.arenaOwner = undefined;
      this.arena.resize(bytes, { keep: false });
    }
    return this.arena;
  }
}

/** @throws TypeError unless `value` is a runtime */
export function expectRuntime(caller: string, value: unknown): void {
  if (!(value instanceof Runtime)) throw new TypeError(`${caller}: expected a runtime (await Runtime.create()), got ${String(value)}`);
}

/**
 * The number of threads of a runtime with these options.
 * @throws as `Runtime.create` does
 */
export function countThreads({ threads = "auto", workers }: RuntimeOptions): number {
  if (threads === "auto") return workers && hasSharedMemory() ? Math.max(1, Math.min(workers.cores, AUTO_THREADS)) : 1;
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`threads: expected "auto" or a whole number from 1 to ${MAX_THREADS}, got ${threads}`);
  }
  if (threads > 1 && !workers) {
    throw new TypeError(`threads: ${threads} threads need workers: pass nodeWorkers from "heed/node" or webWorkers from "heed/web"`);
  }
  if (threads > 1 && !hasSharedMemory()) {
    const needs = `threads: ${threads} threads need shared memory, which is not available here (a page must be cross-origin isolated)`;
    throw new HeedError("runtime", `${needs}; use 1 or "auto"`);
  }
  return threads;
}

/** A shared memory that can grow to 4 GiB, or to the largest half, quarter, … for which the engine can reserve addresses. */
function sharedMemory(): WebAssembly.Memory {
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: 1, maximum, shared: true });
    } catch (error) {
      if (maximum <= 4096) throw error;
    }
  }
}

/** A core's bytes or module; a URL is fetched. */
export async function loadCore(source: CoreSource): Promise<BufferSource | WebAssembly.Module> {
  if (typeof source === "string") source = new URL(source, import.meta.url);
  if (!(source instanceof URL)) return source;
  try {
    if (source.protocol === "file:") {
      // In Node and Bun, fetch() does not support file: URLs. This branch never runs in a browser or a web worker.
      // eslint-disable-next-line no-restricted-syntax
      const { readFileSync } = await import("node:fs");
      return readFileSync(source); // 40 kB: a synchronous read is faster than a round trip to the thread pool
    }
    const response = await fetch(source);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.arrayBuffer();
  } catch (cause) {
    throw new HeedError("runtime", `the core could not be loaded from ${source.href}: ${(cause as Error).message}`, { cause });
  }
}
