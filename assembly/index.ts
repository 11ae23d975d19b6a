/**
 * The module's ABI: a table of contents.
 *
 * A host writes tensors and programs into `memory` from `__heap_base` on, and calls `run`.
 */
import { Build } from "./layouts";

export { run } from "./program";

/** Which build this is: a member of `Build`. */
export const build: i32 = isDefined(HEED_TURBO) ? Build.Turbo : ASC_FEATURE_RELAXED_SIMD ? Build.Relaxed : Build.Simd;

/** First free byte of the module's memory: below it lie the core's own tables. */
export function heapBase(): usize {
  return __heap_base;
}
