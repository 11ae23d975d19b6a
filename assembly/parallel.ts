/**
 * Slices, which divide an instruction's output among threads, and the barrier at which threads wait for each other.
 *
 * Every thread replays the same program. A kernel receives `thread` and `threads` and computes its own range of output elements.
 * Each element is summed in a fixed order, so the bits do not depend on the number of threads.
 */
import { SyncCell } from "./layouts";

/** The number of f32 elements in a cache line, which is the grain of flat tensors and of columns. */
export const LINE: i32 = 16;

/** The first of the `n` items that `thread` owns. Slices start at multiples of `grain` (a cache line, a tile). */
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

/**
 * How many times a thread that waits for others polls before it goes to sleep: about 20 µs. That is several times the difference
 * between balanced slices, and less than the time it takes to wake up.
 */
const SPINS: i32 = 20000;
/** The same for a thread that waits for the next program, which often starts as soon as the host has written its inputs. */
const JOB_SPINS: i32 = 5 * SPINS;

/**
 * Waits until the cell `name` is no longer `old`: spins briefly, then sleeps.
 * @param sync      address of the `SyncCell` cells
 * @param maySleep  0 on a browser's main thread, which must not sleep and keeps spinning
 * @param most      how many times to poll before sleeping
 * @returns false after a shutdown, when some thread has exited
 */
// @ts-ignore: decorator
@inline
function awaitChange(sync: usize, name: SyncCell, old: i32, maySleep: i32, most: i32): bool {
  let spins = most;
  while (atomic.load<i32>(sync + name) == old) {
    if (--spins > 0) continue;
    spins = most;
    if (atomic.load<i32>(sync, SyncCell.Shutdown) != 0) return false;
    if (!maySleep) continue;
    atomic.add<i32>(sync, 1, SyncCell.Asleep);
    atomic.wait<i32>(sync + name, old, -1); // returns immediately if the cell has changed in the meantime
    atomic.sub<i32>(sync, 1, SyncCell.Asleep);
  }
  return atomic.load<i32>(sync, SyncCell.Shutdown) == 0;
}

/** Adds 1 to the cell `name` and wakes the threads that sleep until it changes. */
// @ts-ignore: decorator
@inline
function change(sync: usize, name: SyncCell): void {
  atomic.add<i32>(sync + name, 1);
  // A thread that Asleep does not count yet has yet to compare the cell, and will see the change.
  if (atomic.load<i32>(sync, SyncCell.Asleep) != 0) atomic.notify(sync + name, -1);
}

/**
 * Waits until all `threads` have arrived. Everything written before the barrier is visible to all threads after it.
 * @returns false after a shutdown, when some thread will never arrive
 */
export function barrier(sync: usize, threads: i32, maySleep: i32): bool {
  if (threads == 1) return true;
  const phase = atomic.load<i32>(sync, SyncCell.Phase);
  if (atomic.add<i32>(sync, 1, SyncCell.Arrived) == threads - 1) {
    atomic.store<i32>(sync, 0, SyncCell.Arrived);
    change(sync, SyncCell.Phase);
    return true;
  }
  return awaitChange(sync, SyncCell.Phase, phase, maySleep, SPINS);
}

/** Starts the next job and releases the threads blocked in `awaitJob`. */
export function startJob(sync: usize, program: usize): void {
  store<u32>(sync, <u32>program, SyncCell.Program);
  change(sync, SyncCell.Job);
}

/** Waits for the job that follows the first `done` jobs and returns its program, or 0 after a shutdown. */
export function awaitJob(sync: usize, done: i32): usize {
  return awaitChange(sync, SyncCell.Job, done, 1, JOB_SPINS) ? <usize>load<u32>(sync, SyncCell.Program) : 0;
}
