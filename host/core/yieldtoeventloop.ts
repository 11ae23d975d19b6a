/**
 * Lets timers, signals and page events run. A long computation awaits it between programs.
 *
 * Browsers have no setImmediate and clamp nested timers to 4 ms, whereas a message to the same thread arrives at once (in Node 20,
 * a message takes 0.05–0.25 ms, a timer 1.3 ms and setImmediate 0.03–0.1 ms). The channel is closed when the message has arrived:
 * an open channel keeps the process alive.
 */
export const yieldToEventLoop = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
    if (setImmediate) return void setImmediate(resolve);
    if (typeof MessageChannel === "undefined") return void setTimeout(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

/** The event loop gets its turn at most this often, in ms: the delay that a page may not notice. */
const INTERVAL = 4;
/** And at least after this many calls, where clocks stand still while code runs (workerd). */
const MOST_CALLS = 256;

/** Yields to the event loop, but not after every short step of a long computation. */
export class YieldTimer {
  private last = performance.now();
  private calls = 0;

  /** Yields if the last time was at least 4 ms ago. */
  async yield(): Promise<void> {
    if (++this.calls < MOST_CALLS && performance.now() - this.last < INTERVAL) return;
    await yieldToEventLoop();
    this.calls = 0;
    this.last = performance.now();
  }
}
