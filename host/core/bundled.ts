import type { Build } from "./runtime";

/**
 * Where a build of the core stands beside this code: in `build/` of the source tree, beside the bundle once packaged
 * (rollup.config.js rewrites the paths). Each URL is spelt out, so that other bundlers see the file and take it along.
 */
export function bundledUrl(build: Build, isThreaded: boolean): URL {
  if (isThreaded) {
    return build === "relaxed" ? new URL("../../build/heed.relaxed-threads.wasm", import.meta.url) : new URL("../../build/heed.simd-threads.wasm", import.meta.url);
  }
  return build === "relaxed" ? new URL("../../build/heed.relaxed.wasm", import.meta.url) : new URL("../../build/heed.simd.wasm", import.meta.url);
}

/** The same for the loops that show the machine's limits. */
export function limitUrl(build: Build): URL {
  return build === "simd" ? new URL("../../build/limit.simd.wasm", import.meta.url) : new URL("../../build/limit.relaxed.wasm", import.meta.url);
}
