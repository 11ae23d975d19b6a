/**
 * What the builds for several threads export besides `run`: one thread starts a program, the others serve.
 *
 * Each thread has an instance of the module of its own, all over one imported memory. Nothing but that memory is shared: the core has no
 * state in globals, and its tables, which every instance writes anew, are constant.
 */
import { Share } from "./layouts";
import { Op } from "./opcodes";
import { awaitJob, barrier, startJob } from "./parallel";
import { execute } from "./execute";

/**
 * Runs the program at `at` as thread 0, while the others `serve`. Returns when all are done.
 * @param sync      address of the `SyncCell` cells, at first all 0
 * @param maySleep  0 on a browser's main thread
 * @returns 0 when a thread has ended meanwhile, and the program is not done; 1 otherwise
 */
export function start(at: usize, sync: usize, threads: i32, maySleep: i32): i32 {
  startJob(sync, at);
  return i32(replay(at, sync, 0, threads, maySleep));
}

/** Takes part in every program that thread 0 starts, as thread 1 … threads − 1. Returns when all is over. */
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
