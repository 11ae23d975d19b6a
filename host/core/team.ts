import { HeedError } from "../errors";
import { shutDown, isShutDown, type Shared, type StartedWorker, type Workers } from "./workers";

/** The threads of a runtime: this one, those that compute with it, and one that watches over them. */
export class Team {
  private failure = "a thread ended";
  private readonly maySleep = canWait();
  private watcher!: StartedWorker;
  private readonly ended: Promise<void>;
  private markEnded!: () => void;

  private constructor(private readonly shared: Shared) {
    this.ended = new Promise((resolve) => (this.markEnded = resolve));
  }

  /**
   * Starts the threads, and waits until they are there.
   * @throws HeedError `thread` when one cannot be started
   */
  static async start(workers: Workers, shared: Shared): Promise<Team> {
    const team = new Team(shared);
    await new Promise<void>((resolve, reject) => {
      const fail = (reason: string): void => {
        team.failure = reason;
        shutDown(shared.memory, shared.sync);
        reject(new HeedError("thread", `the runtime's threads could not be started: ${reason}`));
      };
      team.watcher = workers.start({ ...shared, thread: 0 }, {
        message: (message) => (message === "ready" ? resolve() : fail(message.failed)),
        end(reason) {
          if (!isShutDown(shared.memory, shared.sync)) fail(`the thread that watches over them ended: ${reason}`);
          team.markEnded();
        },
      });
    });
    team.watcher.unref(); // the process ends when this thread has no more to do
    return team;
  }

  /**
   * Runs a program on all threads.
   * @param start  the core's, of this thread's instance
   * @throws HeedError `thread` when a thread has died
   */
  run(start: (at: number, sync: number, threads: number, maySleep: number) => number, address: number): void {
    const { memory, sync, threads } = this.shared;
    let isDone = 0;
    try {
      if (!isShutDown(memory, sync)) isDone = start(address, sync, threads, this.maySleep ? 1 : 0);
    } catch (error) {
      shutDown(memory, sync); // the others wait for a thread that has left the program
      throw error;
    }
    if (!isDone) throw new HeedError("thread", `${this.failure} while others computed (out of memory, or terminated?); its work is lost: create a new runtime`);
  }

  /** Ends the threads. */
  async dispose(): Promise<void> {
    const { memory, sync } = this.shared;
    if (!isShutDown(memory, sync)) shutDown(memory, sync);
    this.watcher.ref();
    await this.ended;
  }
}

/** Whether this thread may sleep: a browser's main thread may not. */
function canWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}
