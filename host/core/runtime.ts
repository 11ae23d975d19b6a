import { instantiate } from "@assemblyscript/loader";
import { HeedError } from "../errors";
import { bundledUrl } from "./bundled";
import { Memory } from "./memory";

/**
 * The core's builds: `relaxed` uses fused multiply-add where the engine has it, `simd` gives the same bits everywhere.
 * `turbo` gives the bits of `relaxed` about twice as fast, in Node 24 and later, with an experimental flag of V8: see `createRuntime` of heed/node.
 */
export type Build = "simd" | "relaxed" | "turbo";

/** Where a core may come from: its bytes, a compiled module, or a URL to fetch. */
export type CoreSource = BufferSource | WebAssembly.Module | URL | string;

export interface RuntimeOptions {
  /** Which bundled build; `auto` (the default) takes `relaxed` where the engine validates it. */
  build?: Build | "auto";
  /** A core of your own choosing instead of the bundled file (edge workers import it as a module). */
  core?: CoreSource;
}

interface CoreExports {
  memory: WebAssembly.Memory;
  run(at: number, thread: number, threads: number): void;
  heapBase(): number;
  [name: string]: unknown;
}

// (module (func (param v128) (result v128) local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd))
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 0, 32, 0, 253, 133, 2, 11,
); // prettier-ignore

/** Whether this engine has relaxed SIMD. */
export const hasRelaxedSimd = (): boolean => WebAssembly.validate(RELAXED_PROBE);

/**
 * An instance of the core with its linear memory: everything heed computes happens in one.
 *
 * @example
 * const runtime = await Runtime.create();
 * console.log(runtime.build); // "relaxed" in Node 22 and later, "simd" in Node 20
 */
export class Runtime {
  /** Threads that share a program. This build runs one; kernels are sliced for more. */
  readonly threads = 1;
  readonly memory: Memory;
  /** The program whose numbers the arena holds: the last one to write an input or to run. */
  arenaOwner: object | undefined;
  private readonly arena = { address: 0, bytes: 0 };

  private constructor(
    readonly build: Build,
    private readonly core: CoreExports,
  ) {
    this.memory = new Memory(core.memory, core.heapBase());
  }

  /**
   * Instantiates a core.
   * @throws HeedError `runtime` when the engine lacks what the build needs, or the source is not heed's core.
   */
  static async create({ build = "auto", core }: RuntimeOptions = {}): Promise<Runtime> {
    const chosen = build === "auto" ? (hasRelaxedSimd() ? "relaxed" : "simd") : build;
    if (!["simd", "relaxed", "turbo"].includes(chosen)) {
      throw new TypeError(`build: expected "auto", "simd", "relaxed" or "turbo", got ${JSON.stringify(build)}`);
    }
    if (chosen === "turbo" && !core) throw new HeedError("runtime", 'the build "turbo" takes a flag of V8; create its runtime by createRuntime of heed/node');
    if (chosen === "relaxed" && !core && !hasRelaxedSimd()) {
      throw new HeedError("runtime", 'this engine has no relaxed SIMD; use the build "simd" (or "auto")');
    }
    const source = await loadCore(core ?? bundledUrl(chosen));
    let exports: CoreExports;
    try {
      exports = (await instantiate<CoreExports>(source)).exports as unknown as CoreExports;
    } catch (cause) {
      throw new HeedError("runtime", `the core could not be instantiated: ${(cause as Error).message}`, { cause });
    }
    if (typeof exports.run !== "function" || typeof exports.heapBase !== "function") {
      throw new HeedError("runtime", "this WebAssembly module is not heed's core: it exports no run and heapBase");
    }
    return new Runtime(chosen, exports);
  }

  /** Runs the program whose first instruction is at `address`. */
  run(address: number): void {
    this.core.run(address, 0, this.threads);
  }

  /**
   * The arena: memory that all programs' intermediates share, since only one program runs at a time.
   * It moves when a program needs more; `Program` links itself anew when it finds it moved.
   */
  reserveArena(bytes: number): number {
    if (bytes > this.arena.bytes) {
      if (this.arena.address) this.memory.free(this.arena.address);
      this.arena.address = 0;
      this.arena.bytes = 0;
      this.arenaOwner = undefined;
      this.arena.address = this.memory.allocate(bytes, "the arena of intermediate results");
      this.arena.bytes = bytes;
    }
    return this.arena.address;
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
      const { readFile } = await import("node:fs/promises");
      return await readFile(source);
    }
    const response = await fetch(source);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.arrayBuffer();
  } catch (cause) {
    throw new HeedError("runtime", `the core could not be loaded from ${source.href}: ${(cause as Error).message}`, { cause });
  }
}
