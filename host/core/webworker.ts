import type { Message, StartedWorker, Task, WorkerEvents } from "./workers";

/** Hands a Web Worker its task and tells `events` of it. A Web Worker does not say that it has ended; heed's script does, with "end". */
export function listen(worker: Worker, task: Task, { message, end }: WorkerEvents): StartedWorker {
  worker.onmessage = ({ data }: MessageEvent<Message | "end">) => (data === "end" ? end("it was done") : message(data));
  worker.onerror = (event) => {
    event.preventDefault(); // it is told as a typed error
    worker.terminate();
    end(event.message || "its script could not be loaded");
  };
  worker.postMessage(task);
  return { hold: () => undefined };
}
