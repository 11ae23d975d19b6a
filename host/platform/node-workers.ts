import { availableParallelism } from "node:os";
import { Worker, type WorkerOptions } from "node:worker_threads";
import type { StartedWorker, Task, WorkerEvents, Workers } from "../core/workers";

/** Threads by `node:worker_threads`, which Node, Deno and Bun have. */
export const nodeWorkers: Workers = {
  cores: availableParallelism(),
  start: (task, events) => listen(new Worker(new URL("../../dist/node-worker.js", import.meta.url), withTask(task)), events),
};

/** Options for node such as --input-type, which a worker would inherit, are not for this one. */
const withTask = (task: Task): WorkerOptions => ({ workerData: task, execArgv: [] });

/** Tells `events` of a worker. */
export function listen(worker: Worker, { message, end }: WorkerEvents): StartedWorker {
  let reason: string | undefined;
  worker.on("message", message);
  worker.on("error", (error) => (reason = error.message));
  worker.on("exit", (code) => end(reason ?? `exit code ${code}`));
  return worker;
}

/** Starts a worker from the script of another. */
export const startAgain = (script: string) => (task: Task, events: WorkerEvents): StartedWorker => listen(new Worker(new URL(script), withTask(task)), events);
