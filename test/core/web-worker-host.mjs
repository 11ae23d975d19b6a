// The parts of a Web Worker's global scope that heed's script uses, on top of node:worker_threads. As a worker, it runs a script in
// that scope.
import { isMainThread, parentPort, Worker as NodeWorker, workerData } from "node:worker_threads";

export class WebWorker {
  constructor(script, { type }) {
    if (type !== "module") throw new TypeError("heed's script is a module");
    this.worker = new NodeWorker(new URL(import.meta.url), { workerData: { script: String(script) }, execArgv: [] });
    this.worker.on("message", (data) => this.onmessage({ data }));
    this.worker.on("error", ({ message }) => this.onerror({ message, preventDefault() {} }));
    this.worker.unref();
  }
  postMessage(message) {
    this.worker.postMessage(message);
  }
  terminate() {
    void this.worker.terminate();
  }
}

if (!isMainThread && workerData?.script) {
  Object.assign(globalThis, { Worker: WebWorker, postMessage: (message) => parentPort.postMessage(message), close: () => parentPort.close() });
  await import(workerData.script);
  parentPort.on("message", (data) => globalThis.onmessage({ data })); // messages that arrive earlier are queued
}
