/**
 * heed/web: threads based on Web Workers. They need shared memory, so serve the page with COOP and COEP headers to make it cross-origin
 * isolated.
 */
export { webWorkers } from "./platform/web-workers";
