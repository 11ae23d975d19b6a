import type { Build } from "./runtime";

/** Where the build's `.wasm` stands beside this code: in `build/` of the source tree, beside the bundle once packaged. */
export const bundledUrl = (build: Build): URL => new URL(`../../build/heed.${build}.wasm`, import.meta.url);
