import { SyncCell } from "../../assembly/layouts";
import type { WasmMemory, WasmModule } from "../webtypes";

/** How a platform starts threads: `nodeWorkers` from `heed/node`, or `webWorkers` from `heed/web`. */
export interface Workers {
  /** The number of threads that the machine runs in parallel. */
  readonly cores: number;
  /** Starts a worker that passes `task` to `runTask`. */
  start(task: Task, events: WorkerEvents): StartedWorker;
}

export interface WorkerEvents {
  /** The worker reports that it is ready, or what went wrong. */
  message(message: Message): void;
  /** The worker has ended, for any reason. Called once. */
  end(reason: string): void;
}

export interface StartedWorker {
  /** Keeps the process alive while the worker runs, which is the initial state. */
  ref(): void;
  /** Lets the process end while the worker is still running. */
  unref(): void;
}

/** What the threads of a runtime share. */
export interface Shared {
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  /** Address of the `SyncCell`. */
  readonly sync: number;
  /** Number of computing threads, including the one that starts programs. */
  readonly threads: number;
}

/** A worker's task: to compute as thread 1, 2, …, or, as thread 0, to start and watch the computing threads. */
export interface Task extends Shared {
  readonly thread: number;
}

export type Message = "ready" | { readonly failed: string };

/** Runs a task in a worker. `start` starts further workers; `post` sends a message to the thread that started this one. */
export function runTask(task: Task, start: Workers["start"], post: (message: Message) => void): Promise<void> {
  return task.thread === 0 ? watch(task, start, post) : Promise.resolve(compute(task, post));
}

function compute({ module, memory, sync, thread, threads }: Task, post: (message: Message) => void): void {
  const { exports } = new WebAssembly.Instance(module, { env: { memory: memory as WebAssembly.Memory } });
  const { serve } = exports as { serve(sync: number, thread: number, threads: number): void };
  post("ready");
  serve(sync, thread, threads);
}

/**
 * Starts the computing threads and watches them. The watcher itself does not compute: a computing thread receives no events, so it
 * would not notice that another has died, and would wait for it at the barrier forever.
 */
function watch(shared: Shared, start: Workers["start"], post: (message: Message) => void): Promise<void> {
  const { memory, sync, threads } = shared;
  let [ready, left] = [0, threads - 1];
  return new Promise((resolve) => {
    for (let thread = 1; thread < threads; thread++) {
      start({ ...shared, thread }, {
        message() {
          if (++ready === threads - 1) post("ready");
        },
        end(reason) {
          if (!isShutDown(memory, sync)) {
            shutDown(memory, sync);
            post({ failed: `thread ${thread} of ${threads} ended: ${reason}` });
          }
          if (--left === 0) resolve();
        },
      });
    }
  });
}

const cells = (memory: WasmMemory, sync: number): Int32Array => new Int32Array(memory.buffer, sync, SyncCell.Bytes / 4);

/** Whether the threads have been told to exit. */
export const isShutDown = (memory: WasmMemory, sync: number): boolean => Atomics.load(cells(memory, sync), SyncCell.Shutdown / 4) !== 0;

/** Makes every thread exit, including those that sleep or wait for one that has died. */
export function shutDown(memory: WasmMemory, sync: number): void {
  const words = cells(memory, sync);
  Atomics.store(words, SyncCell.Shutdown / 4, 1);
  for (const cell of [SyncCell.Job / 4, SyncCell.Phase / 4]) {
    Atomics.add(words, cell, 1);
    Atomics.notify(words, cell);
  }
}
