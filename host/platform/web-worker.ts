/** The script of Web Workers (see `core/workers.ts`). */
import { listen } from "./web-workers";
import { type Message, runTask, type Task } from "../core/workers";

/** What a worker's global scope has, of which the compiler's library knows a page's only. */
const scope = globalThis as unknown as { onmessage: (event: { data: Task }) => void; postMessage(message: Message | "end"): void; close(): void };

scope.onmessage = ({ data }) => {
  const again = new URL(import.meta.url); // a variable, so that a bundler does not bundle the script again
  void runTask(data, (task, events) => listen(new Worker(again, { type: "module" }), task, events), (message) => scope.postMessage(message)).then(() => {
    scope.postMessage("end");
    scope.close();
  });
};
