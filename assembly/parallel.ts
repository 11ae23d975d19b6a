/**
 * Slices: how an instruction's output is shared among threads.
 *
 * Every thread replays the same program. A kernel is told `thread` of `threads` and computes its own range of output elements;
 * each element is summed in one fixed order, so the bits do not depend on the number of threads.
 */

/** f32 elements in a cache line: the grain of flat tensors and of columns. */
export const LINE: i32 = 16;

/** First of the `n` items that `thread` owns. `grain`: slices start at multiples of it (a cache line, a tile). */
// @ts-ignore: decorator
@inline
export function sliceStart(n: i32, grain: i32, thread: i32, threads: i32): i32 {
  const grains = (n + grain - 1) / grain;
  return min(n, <i32>((<i64>grains * thread) / threads) * grain);
}

/** One past the last of the `n` items that `thread` owns. */
// @ts-ignore: decorator
@inline
export function sliceEnd(n: i32, grain: i32, thread: i32, threads: i32): i32 {
  return sliceStart(n, grain, thread + 1, threads);
}
