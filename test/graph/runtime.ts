import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { type Build, Runtime } from "../../host/core/runtime";

// Node 20 has relaxed SIMD behind a flag; later versions ignore the flag.
setFlagsFromString("--experimental-wasm-relaxed-simd");

/** A fresh runtime on a build of the source tree. */
export const createRuntime = (build: Build = "simd"): Promise<Runtime> =>
  Runtime.create({ build, core: readFileSync(new URL(`../../build/heed.${build}.wasm`, import.meta.url)) });
