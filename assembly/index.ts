/**
 * The module's ABI: everything that it exports.
 *
 * The host writes tensors and programs to `memory`, starting at `__heap_base`, and calls `run`.
 */
import { Build } from "./layouts";

export { run } from "./program";

/** The build of this module, a member of `Build`. */
export const build: i32 = isDefined(HEED_TURBO) ? Build.Turbo : ASC_FEATURE_RELAXED_SIMD ? Build.Relaxed : Build.Simd;

/** The first free byte of the module's memory. The core's own tables are below it. */
export function heapBase(): usize {
  return __heap_base;
}
