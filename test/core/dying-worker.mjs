// heed's worker script, except that computing threads are terminated after `after` ms, as if the machine had run out of memory.
// The test's own thread cannot terminate them because it is busy computing.
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
