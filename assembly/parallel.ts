/**
 * Slices: how an instruction's output is shared among threads. And the barrier, where they wait for each other.
 *
 * Every thread replays the same program. A kernel is told `thread` of `threads` and computes its own range of output elements;
 * each element is summed in one fixed order, so the bits do not depend on the number of threads.
 */
import { SyncCell } from "./layouts";

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

/**
 * Loads before a thread that waits for others goes to sleep, about 20 µs: several times what balanced slices differ by, less than
 * it takes to wake up.
 */
const SPINS: i32 = 20000;
/** The same for one that waits for the next program, which often follows as soon as the host has written its inputs. */
const JOB_SPINS: i32 = 5 * SPINS;

/**
 * Waits until the cell `name` is no longer `old`: spins a little, then sleeps.
 * @param sync      address of the `SyncCell` cells
 * @param maySleep  0 on a browser's main thread, which must not sleep, and goes on spinning
 * @param most      loads before it sleeps
 * @returns false when all is over: some thread has ended
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
    atomic.wait<i32>(sync + name, old, -1); // returns at once if the cell has changed since
    atomic.sub<i32>(sync, 1, SyncCell.Asleep);
  }
  return atomic.load<i32>(sync, SyncCell.Shutdown) == 0;
}

/** Adds 1 to the cell `name`, and wakes those who sleep until it changes. */
// @ts-ignore: decorator
@inline
function change(sync: usize, name: SyncCell): void {
  atomic.add<i32>(sync + name, 1);
  // Who is not counted yet has still to look at the cell.
  if (atomic.load<i32>(sync, SyncCell.Asleep) != 0) atomic.notify(sync + name, -1);
}

/**
 * Waits until all `threads` are here. What each has written before, all can read after.
 * @returns false when one will never come
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

/** Starts the next job: the threads that `awaitJob` go on. */
export function startJob(sync: usize, program: usize): void {
  store<u32>(sync, <u32>program, SyncCell.Program);
  change(sync, SyncCell.Job);
}

/** The program of the job after the first `done`, as soon as there is one; 0 when there will be none. */
export function awaitJob(sync: usize, done: i32): usize {
  return awaitChange(sync, SyncCell.Job, done, 1, JOB_SPINS) ? <usize>load<u32>(sync, SyncCell.Program) : 0;
}
