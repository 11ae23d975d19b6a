/** heed/node: what the library needs of Node, Deno or Bun, and what only Node can do. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { nodeWorkers } from "./platform/node-workers";
import { countThreads, Runtime, type RuntimeOptions } from "./core/runtime";
import { trialTraining } from "./train/trial";
import type { ByteSource, WasmModule } from "./webtypes";

export { nodeFiles } from "./platform/node-files";
export { nodeWorkers, trialTraining };

/** Something that was done otherwise than asked, and why. */
export interface RuntimeWarning {
  /** `turbo`: the build "turbo" could not be had, and the runtime has another. */
  readonly code: "turbo";
  readonly message: string;
}

/** The options of `Runtime.create`, and who is told of warnings. */
export interface NodeRuntimeOptions extends RuntimeOptions {
  /** Called with a warning; without it the process emits it (`process.on("warning", …)`), and Node prints it to stderr. */
  onWarning?: (warning: RuntimeWarning) => void;
}

/**
 * `Runtime.create` with threads, as many as there are cores (at most 8) if `threads` says nothing else. And besides it the build
 * `turbo`: products of matrices in 256 bits instead of 128, about twice as fast, with the bits of `relaxed`. Node 24 or later, on x64
 * with AVX2.
 *
 * It rests on V8's `--experimental-wasm-revectorize`, which is experimental: do not use it where the process also runs modules that
 * you do not trust. The flag is on only while heed's own module is compiled, at once and by the optimizing compiler (some 80 ms).
 * A trial training must then give the same bits as `relaxed`. Where anything is amiss the runtime gets the build `auto` would, and there
 * is a warning.
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
  onWarning({ code: "turbo", message: `the build "turbo" ${runtime}; the fastest other build takes its place` });
  return Runtime.create({ ...options, build: "auto" });
}

/** The runtime, or what is amiss. */
async function createTurbo(options: RuntimeOptions): Promise<Runtime | string> {
  if (!hasRevectorizer()) return `needs Node 24 or later on x64, and this is ${describeEngine()}`;
  try {
    const isThreaded = countThreads(options) > 1;
    const core = compileTurbo(readFileSync(isThreaded ? new URL("../build/heed.turbo-threads.wasm", import.meta.url) : new URL("../build/heed.turbo.wasm", import.meta.url)));
    const results = await trialTraining(await Runtime.create({ build: "turbo", core }));
    const expected = await trialTraining(await Runtime.create({ build: "relaxed" }));
    if (!results.every((value, i) => Object.is(value, expected[i]))) return "computes wrongly on this machine";
    return await Runtime.create({ ...options, build: "turbo", core });
  } catch (error) {
    return `does not work here: ${(error as Error).message}`;
  }
}

/**
 * Whether this is Node (not Deno or Bun, which pose as it) with a V8 that can make 256-bit operations of 128-bit ones.
 *
 * @example
 * if (!hasRevectorizer()) console.log("no turbo here");
 */
export function hasRevectorizer(): boolean {
  const isNode = process.release.name === "node" && !("Bun" in globalThis) && !("Deno" in globalThis);
  return isNode && process.arch === "x64" && Number.parseInt(process.versions.node) >= 24;
}

/**
 * Compiles heed's turbo module, with the flag on for no longer than that takes.
 *
 * @example
 * if (hasRevectorizer()) compileTurbo(await nodeFiles.read("heed.turbo.wasm"));
 */
export function compileTurbo(bytes: ByteSource): WasmModule {
  // All of it now: what is left for later, or for the baseline compiler to begin with, would be compiled when the flag is off.
  // Without inlining: V8 of Node 26 decides on it by what the baseline compiler counted, and ends the process where that is missing.
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
