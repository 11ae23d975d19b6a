/**
 * The module's ABI: a table of contents.
 *
 * A host writes tensors and programs into `memory` from `__heap_base` on, and calls `run`.
 */
export { run } from "./program";

/** First free byte of the module's memory: below it lie the core's own tables. */
export function heapBase(): usize {
  return __heap_base;
}
