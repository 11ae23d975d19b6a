/** The script of Web Workers (see `core/workers.ts`). */
import { listen } from "./web-workers";
import { type Message, runTask, type StartedWorker, type Task, type WorkerEvents } from "../core/workers";

/** A worker's global scope. TypeScript's DOM library declares only that of a page. */
const scope = globalThis as unknown as {
  onmessage: (event: { data: Task }) => void;
  postMessage(message: Message | "end"): void;
  close(): void;
};

scope.onmessage = ({ data }) => {
  const again = new URL(import.meta.url); // in a variable, so that bundlers do not bundle the script again
  const start = (task: Task, events: WorkerEvents): StartedWorker => listen(new Worker(again, { type: "module" }), task, events);
  void runTask(data, start, (message) => scope.postMessage(message)).then(() => {
    scope.postMessage("end");
    scope.close();
  });
};
