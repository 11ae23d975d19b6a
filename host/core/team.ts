import { HeedError } from "../errors";
import { shutDown, isShutDown, type Shared, type StartedWorker, type Workers } from "./workers";

/** The threads of a runtime: this one, the other computing threads, and a watcher that notices when one of them dies. */
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
   * Starts the threads and waits until they are ready.
   * @throws HeedError `thread` if one cannot be started
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
          if (!isShutDown(shared.memory, shared.sync)) fail(`the thread that watches the others ended: ${reason}`);
          team.markEnded();
        },
      });
    });
    team.watcher.unref(); // let the process end when this thread has nothing left to do
    return team;
  }

  /**
   * Runs a program on all threads.
   * @param start  the `start` export of this thread's core instance
   * @throws HeedError `thread` if a thread has died
   */
  run(start: (at: number, sync: number, threads: number, maySleep: number) => number, address: number): void {
    const { memory, sync, threads } = this.shared;
    let isDone = 0;
    try {
      if (!isShutDown(memory, sync)) isDone = start(address, sync, threads, this.maySleep ? 1 : 0);
    } catch (error) {
      shutDown(memory, sync); // otherwise the others would wait forever for this thread, which has left the program
      throw error;
    }
    if (!isDone) {
      const lost = "while a program was running (was it terminated, or did it run out of memory?); the results are lost";
      throw new HeedError("thread", `${this.failure} ${lost}: create a new runtime`);
    }
  }

  /** Ends the threads. */
  async dispose(): Promise<void> {
    const { memory, sync } = this.shared;
    if (!isShutDown(memory, sync)) shutDown(memory, sync);
    this.watcher.ref();
    await this.ended;
  }
}

/** Whether this thread may block; a browser's main thread may not. */
function canWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}
