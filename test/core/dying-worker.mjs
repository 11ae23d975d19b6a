// heed's worker script, but the threads that compute are terminated `after` ms, as when the machine runs out of memory.
// The test's thread cannot do that itself: it computes.
import threads from "node:worker_threads";
import { syncBuiltinESMExports } from "node:module";

const { after } = threads.workerData;
threads.Worker = class extends threads.Worker {
  constructor(...args) {
    super(...args);
    setTimeout(() => this.terminate(), after);
  }
};
syncBuiltinESMExports();
await import("../../dist/node-worker.js");
