// heed's worker script, but the threads that compute are terminated `after` ms of life, as when the machine runs out of memory.
// The test's thread cannot do that itself: it computes.
import threads from "node:worker_threads";
import { syncBuiltinESMExports } from "node:module";

const { after } = threads.workerData;
threads.Worker = class extends threads.Worker {
  constructor(...args) {
    super(...args);
    this.once("message", () => setTimeout(() => this.terminate(), after)); // "ready"
  }
};
syncBuiltinESMExports();
await import("../../dist/node-worker.js");
