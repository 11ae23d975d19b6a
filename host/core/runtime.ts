import { demangle } from "@assemblyscript/loader";
import { SyncCell } from "../../assembly/layouts";
import { HeedError } from "../errors";
import type { ByteSource, UrlLike, WasmModule } from "../webtypes";
import { bundledUrl } from "./bundled";
import { type Block, Memory } from "./memory";
import { Team } from "./team";
import type { Workers } from "./workers";

/**
 * The core's builds: `relaxed` uses fused multiply-add where the engine has it, `simd` gives the same bits everywhere.
 * `turbo` gives the bits of `relaxed` about twice as fast, in Node 24 and later, with an experimental flag of V8: see `createRuntime` of heed/node.
 */
export type Build = "simd" | "relaxed" | "turbo";

/** Where a core may come from: its bytes, a compiled module, or a URL to fetch. */
export type CoreSource = ByteSource | WasmModule | UrlLike | string;

/** Which core, and how many threads. */
export interface RuntimeOptions {
  /** Which bundled build; `auto` (the default) takes `relaxed` where the engine validates it. */
  build?: Build | "auto";
  /** A core of your own choosing instead of the bundled file (edge workers import it as a module). */
  core?: CoreSource;
  /**
   * Threads that compute, this one included; `auto` (the default): as many as there are cores, at most 8.
   * More than one need `workers` and shared memory; without either, `auto` is 1. The plain build gives the same bits for any number.
   */
  threads?: number | "auto";
  /** What threads are made of: `nodeWorkers` of `heed/node`, or `webWorkers` of `heed/web`. */
  workers?: Workers;
}

/** By the core's `Build`. */
const BUILDS: readonly Build[] = ["simd", "relaxed", "turbo"];
/** More threads than this are a mistake. */
export const MAX_THREADS = 64;
/** More threads than this are not started unasked: memory is shared by all, and they would wait for it. */
const AUTO_THREADS = 8;

interface CoreExports {
  memory: WebAssembly.Memory;
  run(at: number, thread: number, threads: number): void;
  heapBase(): number;
  /** Which build it is: a member of the core's `Build`. */
  build: { readonly value: number };
  /** Builds for threads only. */
  start?(at: number, sync: number, threads: number, maySleep: number): number;
  [name: string]: unknown;
}

// (module (func (param v128) (result v128) local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd))
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 0, 32, 0, 253, 133, 2, 11,
); // prettier-ignore

/** Whether this engine has relaxed SIMD. */
export const hasRelaxedSimd = (): boolean => WebAssembly.validate(RELAXED_PROBE);

/** Whether threads can share memory here: a page must be cross-origin isolated. */
export const hasSharedMemory = (): boolean =>
  typeof SharedArrayBuffer === "function" && (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false;

/**
 * An instance of the core with its linear memory: everything heed computes happens in one.
 *
 * @example
 * const runtime = await Runtime.create();
 * console.log(runtime.build); // "relaxed" in Node 22 and later, "simd" in Node 20
 *
 * @example
 * import { nodeWorkers } from "heed/node";
 * const runtime = await Runtime.create({ threads: 2, workers: nodeWorkers });
 * await runtime.dispose(); // ends the other thread; the process would not wait for it
 */
export class Runtime {
  readonly memory: Memory;
  /** The program whose numbers the arena holds: the last one to write an input or to run. */
  arenaOwner: object | undefined;
  private arena: Block | undefined;
  private team: Team | undefined;
  private disposed = false;

  private constructor(
    readonly build: Build,
    /** Threads that share a program. */
    readonly threads: number,
    private readonly core: CoreExports,
  ) {
    this.memory = new Memory(core.memory, core.heapBase());
  }

  /**
   * Instantiates a core, and starts its threads.
   * @throws HeedError `runtime` when the engine lacks what the build or the threads need, or the source is not heed's core;
   *   `thread` when a thread cannot be started
   */
  static async create({ build = "auto", core, threads = "auto", workers }: RuntimeOptions = {}): Promise<Runtime> {
    const chosen = build === "auto" ? (hasRelaxedSimd() ? "relaxed" : "simd") : build;
    if (!["simd", "relaxed", "turbo"].includes(chosen)) {
      throw new TypeError(`build: expected "auto", "simd", "relaxed" or "turbo", got ${JSON.stringify(build)}`);
    }
    if (chosen === "turbo" && !core) throw new HeedError("runtime", 'the build "turbo" takes a flag of V8; create its runtime by createRuntime of heed/node');
    if (chosen === "relaxed" && !core && !hasRelaxedSimd()) {
      throw new HeedError("runtime", 'this engine has no relaxed SIMD; use the build "simd" (or "auto")');
    }
    const wanted = countThreads({ threads, workers });
    const source = await loadCore(core ?? bundledUrl(chosen, wanted > 1));
    let module: WebAssembly.Module;
    let exports: CoreExports;
    try {
      module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
      const imports: WebAssembly.Imports = WebAssembly.Module.imports(module).some(({ kind }) => kind === "memory") ? { env: { memory: sharedMemory() } } : {};
      // The loader's own instantiate looks for a Response, and a mention of that makes Node load its fetch: 35 ms.
      exports = demangle<CoreExports>((await WebAssembly.instantiate(module, imports)).exports) as unknown as CoreExports;
    } catch (cause) {
      throw new HeedError("runtime", `the core could not be instantiated: ${(cause as Error).message}`, { cause });
    }
    const actual = BUILDS[exports.build?.value];
    if (typeof exports.run !== "function" || typeof exports.heapBase !== "function" || !actual) {
      throw new HeedError("runtime", "this WebAssembly module is not heed's core: it exports no run, heapBase and build");
    }
    if (build !== "auto" && build !== actual) throw new HeedError("runtime", `build: expected the build "${build}", but the core is "${actual}"`);
    if (wanted > 1 && !exports.start && threads !== "auto") {
      throw new HeedError("runtime", `threads: ${threads} need a core built for them, such as heed.simd-threads.wasm; this one has no shared memory`);
    }
    const runtime = new Runtime(actual, exports.start ? wanted : 1, exports);
    if (runtime.threads > 1) {
      const sync = runtime.memory.allocate(SyncCell.Bytes, "runtime", "the threads' cells").address;
      runtime.team = await Team.start(workers!, { module, memory: exports.memory, sync, threads: wanted });
    }
    return runtime;
  }

  /**
   * Runs the program whose first instruction is at `address`, on all threads; returns when it is done.
   * @throws HeedError `thread` when a thread has died
   */
  run(address: number): void {
    if (this.disposed) throw new TypeError("the runtime was disposed");
    if (this.team) this.team.run(this.core.start!, address);
    else this.core.run(address, 0, 1);
  }

  /** Ends the threads; resolves when they are gone. What memory holds can still be read. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.team?.dispose();
  }

  /**
   * The arena: memory that all programs' intermediates share, since only one program runs at a time.
   * It moves when a program needs more; every program then links its addresses again.
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
 * How many threads a runtime with these options has.
 * @throws as `Runtime.create`
 */
export function countThreads({ threads = "auto", workers }: RuntimeOptions): number {
  if (threads === "auto") return workers && hasSharedMemory() ? Math.max(1, Math.min(workers.cores, AUTO_THREADS)) : 1;
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`threads: expected "auto" or a whole number from 1 to ${MAX_THREADS}, got ${threads}`);
  }
  if (threads > 1 && !workers) throw new TypeError(`threads: ${threads} need workers: pass those of "heed/node" (nodeWorkers) or "heed/web" (webWorkers)`);
  if (threads > 1 && !hasSharedMemory()) {
    throw new HeedError("runtime", `threads: ${threads} need shared memory, which this runtime lacks (a page must be cross-origin isolated); use 1, or "auto"`);
  }
  return threads;
}

/** A memory that may grow to 4 GiB; where the engine cannot set aside so many addresses, to the half, and so on. */
function sharedMemory(): WebAssembly.Memory {
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: 1, maximum, shared: true });
    } catch (error) {
      if (maximum <= 4096) throw error;
    }
  }
}

/** A module's bytes, fetched where its place is given. */
export async function loadCore(source: CoreSource): Promise<BufferSource | WebAssembly.Module> {
  if (typeof source === "string") source = new URL(source, import.meta.url);
  if (!(source instanceof URL)) return source;
  try {
    if (source.protocol === "file:") {
      // fetch() has no file: in Node and Bun; this branch never runs in a browser or a worker.
      // eslint-disable-next-line no-restricted-syntax
      const { readFileSync } = await import("node:fs"); // 40 kB: sooner read than a thread found that reads it
      return readFileSync(source);
    }
    const response = await fetch(source);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.arrayBuffer();
  } catch (cause) {
    throw new HeedError("runtime", `the core could not be loaded from ${source.href}: ${(cause as Error).message}`, { cause });
  }
}
