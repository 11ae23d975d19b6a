import type { Build } from "./runtime";

/**
 * The URL of a bundled build of the core: in `build/` of the source tree, or next to the bundle once packaged
 * (rollup.config.js rewrites the paths). Each URL is a literal so that other bundlers find the file and include it.
 */
export function bundledUrl(build: Build, isThreaded: boolean): URL {
  if (isThreaded) {
    return build === "relaxed"
      ? new URL("../../build/heed.relaxed-threads.wasm", import.meta.url)
      : new URL("../../build/heed.simd-threads.wasm", import.meta.url);
  }
  return build === "relaxed"
    ? new URL("../../build/heed.relaxed.wasm", import.meta.url)
    : new URL("../../build/heed.simd.wasm", import.meta.url);
}

/** The URL of the module whose loops measure the machine's limits. */
export function limitUrl(build: Build): URL {
  return build === "simd"
    ? new URL("../../build/limit.simd.wasm", import.meta.url)
    : new URL("../../build/limit.relaxed.wasm", import.meta.url);
}
