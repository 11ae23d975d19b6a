import { SyncCell } from "../../assembly/layouts";
import type { WasmMemory, WasmModule } from "../webtypes";

/** What a platform gives a runtime to have threads with: `nodeWorkers` of `heed/node`, or `webWorkers` of `heed/web`. */
export interface Workers {
  /** How many threads the machine runs at once. */
  readonly cores: number;
  /** Starts a worker, which hands `task` to `runTask`. */
  start(task: Task, events: WorkerEvents): StartedWorker;
}

export interface WorkerEvents {
  /** The worker says that it is ready, or what went wrong. */
  message(message: Message): void;
  /** The worker has ended, for whatever reason. Called once. */
  end(reason: string): void;
}

export interface StartedWorker {
  /** Makes the process wait for the worker again; at first it does. */
  ref(): void;
  /** Lets the process end while the worker runs. */
  unref(): void;
}

/** What the threads of a runtime have in common. */
export interface Shared {
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  /** Address of the `SyncCell` cells. */
  readonly sync: number;
  /** The runtime's, the one that starts programs included. */
  readonly threads: number;
}

/** What a worker is there for: to compute as thread 1, 2, …, or (0) to start those that do, and to watch over them. */
export interface Task extends Shared {
  readonly thread: number;
}

export type Message = "ready" | { readonly failed: string };

/** Does a task in a worker. `start` starts further workers; `post` talks to whoever started this one. */
export function runTask(task: Task, start: Workers["start"], post: (message: Message) => void): Promise<void> {
  return task.thread === 0 ? watch(task, start, post) : Promise.resolve(compute(task, post));
}

function compute({ module, memory, sync, thread, threads }: Task, post: (message: Message) => void): void {
  const { serve } = new WebAssembly.Instance(module, { env: { memory: memory as WebAssembly.Memory } }).exports as { serve(sync: number, thread: number, threads: number): void };
  post("ready");
  serve(sync, thread, threads);
}

/**
 * Starts the threads that compute, and watches over them from a thread that computes nothing: one that does cannot hear that another
 * has died, and would wait for it at the barrier for ever.
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

/** Whether the threads have been told to leave. */
export const isShutDown = (memory: WasmMemory, sync: number): boolean => Atomics.load(cells(memory, sync), SyncCell.Shutdown / 4) !== 0;

/** Makes every thread leave, those included that sleep or wait for one that has died. */
export function shutDown(memory: WasmMemory, sync: number): void {
  const words = cells(memory, sync);
  Atomics.store(words, SyncCell.Shutdown / 4, 1);
  for (const cell of [SyncCell.Job / 4, SyncCell.Phase / 4]) {
    Atomics.add(words, cell, 1);
    Atomics.notify(words, cell);
  }
}
