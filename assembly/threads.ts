/**
 * The additional exports of the multi-threaded builds: one thread starts a program, and the others serve.
 *
 * Each thread has its own instance of the module, and all instances import one memory. Only that memory is shared: the core keeps no
 * state in globals, and its tables, which every instance writes again, are constant.
 */
import { Share } from "./layouts";
import { Op } from "./opcodes";
import { awaitJob, barrier, startJob } from "./parallel";
import { execute } from "./execute";

/**
 * Runs the program at `at` as thread 0 while the other threads `serve`. Returns when all threads have finished.
 * @param sync      address of the `SyncCell` cells, all initially 0
 * @param maySleep  0 on a browser's main thread
 * @returns 1 if the program has run to its end; 0 if a thread exited before that
 */
export function start(at: usize, sync: usize, threads: i32, maySleep: i32): i32 {
  startJob(sync, at);
  return i32(replay(at, sync, 0, threads, maySleep));
}

/** Takes part in every program that thread 0 starts, as thread 1 … threads − 1. Returns after a shutdown. */
export function serve(sync: usize, thread: i32, threads: i32): void {
  for (let done = 0; ; done++) {
    const at = awaitJob(sync, done);
    if (!at || !replay(at, sync, thread, threads, 1)) return;
  }
}

function replay(at: usize, sync: usize, thread: i32, threads: i32, maySleep: i32): bool {
  for (let op = load<u32>(at); op != Op.End; op = load<u32>(at)) {
    const share = load<i32>(at, 4);
    const few = (share / Share.Threads) & 127;
    const participants = few != 0 ? min(few, threads) : threads;
    if (thread < participants) execute(op, at, thread, participants);
    if (!(share & Share.Free) && !barrier(sync, threads, maySleep)) return false;
    at += <usize>(share & 0xffff) << 2;
  }
  return barrier(sync, threads, maySleep);
}
