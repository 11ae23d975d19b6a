import { availableParallelism } from "node:os";
import { Worker, type WorkerOptions } from "node:worker_threads";
import type { StartedWorker, Task, WorkerEvents, Workers } from "../core/workers";

/** Threads based on `node:worker_threads`, available in Node, Deno and Bun. */
export const nodeWorkers: Workers = {
  cores: availableParallelism(),
  start: (task, events) => listen(new Worker(new URL("../../dist/node-worker.js", import.meta.url), withTask(task)), events),
};

/** `execArgv` is empty because a worker would otherwise inherit options such as --input-type. */
const withTask = (task: Task): WorkerOptions => ({ workerData: task, execArgv: [] });

/** Reports a worker's messages and its end to `events`. */
export function listen(worker: Worker, { message, end }: WorkerEvents): StartedWorker {
  let reason: string | undefined;
  worker.on("message", message);
  worker.on("error", (error) => (reason = error.message));
  worker.on("exit", (code) => end(reason ?? `exit code ${code}`));
  return worker;
}

/** Starts another worker from the same script. */
export const startAgain = (script: string) => (task: Task, events: WorkerEvents): StartedWorker =>
  listen(new Worker(new URL(script), withTask(task)), events);
