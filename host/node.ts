/** heed/node: the file system and threads of Node, Deno and Bun, and the "turbo" build, which only Node supports. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { nodeWorkers } from "./platform/node-workers";
import { countThreads, Runtime, type RuntimeOptions } from "./core/runtime";
import { trialTraining } from "./train/trial";
import type { ByteSource, WasmModule } from "./webtypes";

export { nodeFiles } from "./platform/node-files";
export { nodeWorkers, trialTraining };

/** A request that could not be honoured, and the reason. */
export interface RuntimeWarning {
  /** `turbo`: the build "turbo" is not available, and the runtime uses another. */
  readonly code: "turbo";
  readonly message: string;
}

/** The options of `Runtime.create`, and a handler for warnings. */
export interface NodeRuntimeOptions extends RuntimeOptions {
  /** Called with each warning. By default the process emits it (`process.on("warning", …)`), and Node prints it to stderr. */
  onWarning?: (warning: RuntimeWarning) => void;
}

/**
 * Like `Runtime.create`, with one thread per core (at most 8) unless `threads` says otherwise, and with one more build, `turbo`. It
 * multiplies matrices in 256-bit instead of 128-bit vectors, about twice as fast, and is bit-identical to `relaxed`. It needs Node 24 or
 * later on x64 with AVX2.
 *
 * `turbo` relies on V8's experimental flag `--experimental-wasm-revectorize`. Do not use it if the process also runs modules that you do
 * not trust. The flag is on only while heed's module is compiled, eagerly and by the optimizing compiler, which takes about 80 ms. A trial
 * training run must then match `relaxed` bit for bit. If anything fails, the runtime falls back to the build that `auto` would choose, and
 * a warning is reported.
 * @throws HeedError `runtime` as `Runtime.create` does
 *
 * @example
 * const runtime = await createRuntime({ build: "turbo", onWarning: ({ message }) => console.error(message) });
 * console.log(runtime.build); // "turbo", or "relaxed" after a warning
 */
export async function createRuntime({ onWarning = emitWarning, ...given }: NodeRuntimeOptions = {}): Promise<Runtime> {
  const options = { workers: nodeWorkers, ...given };
  if (options.build !== "turbo") return Runtime.create(options);
  const runtime = await createTurbo(options);
  if (typeof runtime !== "string") return runtime;
  onWarning({ code: "turbo", message: `the build "turbo" ${runtime}; using the fastest other build instead` });
  return Runtime.create({ ...options, build: "auto" });
}

/** The runtime, or the reason why it cannot be created. */
async function createTurbo(options: RuntimeOptions): Promise<Runtime | string> {
  if (!hasRevectorizer()) return `needs Node 24 or later on x64, and this is ${describeEngine()}`;
  try {
    const isThreaded = countThreads(options) > 1;
    const url = isThreaded
      ? new URL("../build/heed.turbo-threads.wasm", import.meta.url)
      : new URL("../build/heed.turbo.wasm", import.meta.url);
    const core = compileTurbo(readFileSync(url));
    const results = await trialTraining(await Runtime.create({ build: "turbo", core }));
    const expected = await trialTraining(await Runtime.create({ build: "relaxed" }));
    if (!results.every((value, i) => Object.is(value, expected[i]))) return "gives wrong results on this machine";
    return await Runtime.create({ ...options, build: "turbo", core });
  } catch (error) {
    return `does not work here: ${(error as Error).message}`;
  }
}

/**
 * Whether this is Node, rather than Deno or Bun in its guise, with a V8 that can merge 128-bit operations into 256-bit ones.
 *
 * @example
 * if (!hasRevectorizer()) console.log("no turbo here");
 */
export function hasRevectorizer(): boolean {
  const isNode = process.release.name === "node" && !("Bun" in globalThis) && !("Deno" in globalThis);
  return isNode && process.arch === "x64" && Number.parseInt(process.versions.node) >= 24;
}

/**
 * Compiles heed's turbo module. V8's flag is on only while it compiles.
 *
 * @example
 * if (hasRevectorizer()) compileTurbo(await nodeFiles.read("heed.turbo.wasm"));
 */
export function compileTurbo(bytes: ByteSource): WasmModule {
  // Not lazily and not by the baseline compiler: functions compiled later would be compiled with the flag off.
  // No inlining: Node 26's V8 bases it on counts from the baseline compiler, and crashes the process if they are missing.
  const flags = ["experimental-wasm-revectorize", "no-liftoff", "no-wasm-lazy-compilation", "no-wasm-inlining"];
  const set = (flag: string): void => setFlagsFromString(`--${flag}`);
  flags.forEach(set);
  try {
    return new WebAssembly.Module(bytes as BufferSource);
  } finally {
    flags.map((flag) => (flag.startsWith("no-") ? flag.slice(3) : `no-${flag}`)).forEach(set);
  }
}

const describeEngine = (): string => `Node ${process.versions.node} on ${process.arch}`;

function emitWarning({ code, message }: RuntimeWarning): void {
  process.emitWarning(message, { type: "HeedWarning", code: `HEED_${code.toUpperCase()}` });
}
