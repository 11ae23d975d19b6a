/** heed/web: threads by Web Workers. They need shared memory: serve the page with COOP and COEP headers, so that it is cross-origin isolated. */
import { listen } from "./core/webworker";
import type { Workers } from "./core/workers";

/**
 * Threads by Web Workers, which browsers and Deno have.
 *
 * A page's main thread may not sleep: it spins while it waits for others. Keep the runtime in a worker of your own, and the page stays alive.
 */
export const webWorkers: Workers = {
  cores: globalThis.navigator?.hardwareConcurrency ?? 1,
  start: (task, events) => listen(new Worker(new URL("../dist/web-worker.js", import.meta.url), { type: "module" }), task, events),
};
