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
 * @param meet      address of the `Meet` cells, at first all 0
 * @param maySleep  0 on a browser's main thread
 * @returns 0 when a thread has ended meanwhile, and the program is not done; 1 otherwise
 */
export function start(at: usize, meet: usize, threads: i32, maySleep: i32): i32 {
  startJob(meet, at);
  return i32(replay(at, meet, 0, threads, maySleep));
}

/** Takes part in every program that thread 0 starts, as thread 1 … threads − 1. Returns when all is over. */
export function serve(meet: usize, thread: i32, threads: i32): void {
  for (let done = 0; ; done++) {
    const at = awaitJob(meet, done);
    if (!at || !replay(at, meet, thread, threads, 1)) return;
  }
}

function replay(at: usize, meet: usize, thread: i32, threads: i32, maySleep: i32): bool {
  for (let op = load<u32>(at); op != Op.End; op = load<u32>(at)) {
    const share = load<i32>(at, 4);
    const few = (share / Share.Threads) & 127;
    const takers = few != 0 ? min(few, threads) : threads;
    if (thread < takers) execute(op, at, thread, takers);
    if (!(share & Share.Free) && !barrier(meet, threads, maySleep)) return false;
    at += <usize>(share & 0xffff) << 2;
  }
  return barrier(meet, threads, maySleep);
}
