/** heed/web: threads by Web Workers. They need shared memory: serve the page with COOP and COEP headers, so that it is cross-origin isolated. */
export { webWorkers } from "./platform/web-workers";
