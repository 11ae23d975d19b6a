import type { Message, StartedWorker, Task, WorkerEvents, Workers } from "../core/workers";

/**
 * Threads by Web Workers, which browsers and Deno have.
 *
 * A page's main thread may not sleep: it spins while it waits for others. To keep the page responsive, run the runtime in a worker.
 */
export const webWorkers: Workers = {
  cores: globalThis.navigator?.hardwareConcurrency ?? 1,
  start: (task, events) => listen(new Worker(new URL("../../dist/web-worker.js", import.meta.url), { type: "module" }), task, events),
};

/** Hands a Web Worker its task and reports its messages and its end. The platform has no event for the end; heed's script posts "end". */
export function listen(worker: Worker, task: Task, { message, end }: WorkerEvents): StartedWorker {
  worker.onmessage = ({ data }: MessageEvent<Message | "end">) => (data === "end" ? end("it was done") : message(data));
  worker.onerror = (event) => {
    event.preventDefault(); // it is reported as a typed error
    worker.terminate();
    end(event.message || "its script could not be loaded");
  };
  worker.postMessage(task);
  return { ref: () => undefined, unref: () => undefined }; // a page has no process to hold
}
