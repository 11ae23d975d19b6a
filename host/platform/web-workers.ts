import type { Message, StartedWorker, Task, WorkerEvents, Workers } from "../core/workers";

/**
 * Threads based on Web Workers, available in browsers and Deno.
 *
 * A page's main thread must not block, so it spins while it waits for other threads. To keep the page responsive, run heed in a worker.
 */
export const webWorkers: Workers = {
  cores: globalThis.navigator?.hardwareConcurrency ?? 1,
  start: (task, events) => listen(new Worker(new URL("../../dist/web-worker.js", import.meta.url), { type: "module" }), task, events),
};

/**
 * Hands a Web Worker its task and reports its messages and its end. The platform has no event for a worker's end, so heed's script posts
 * "end".
 */
export function listen(worker: Worker, task: Task, { message, end }: WorkerEvents): StartedWorker {
  worker.onmessage = ({ data }: MessageEvent<Message | "end">) => (data === "end" ? end("it finished") : message(data));
  worker.onerror = (event) => {
    event.preventDefault(); // reported as a HeedError instead
    worker.terminate();
    end(event.message || "its script could not be loaded");
  };
  worker.postMessage(task);
  return { ref: () => undefined, unref: () => undefined }; // a page has no process to keep alive
}
