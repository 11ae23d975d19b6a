import { MultiBar } from "cli-progress";
import { printable } from "../quote";
import type { Terminal } from "./terminal";
import { duration } from "./terminal";

/** A progress bar on a terminal, or a plain line every few seconds elsewhere. */
export interface Progress {
  /** @param note  text shown next to the bar, such as the loss */
  update(done: number, note?: string): void;
  /** Prints a line above the bar. It may quote text from outside: unsafe characters are escaped. */
  log(line: string): void;
  stop(): void;
}

/** Seconds between two lines if stderr is not a terminal. */
const PLAIN_INTERVAL = 10;

/**
 * Shows progress on stderr.
 * @param name   what is counted: "step", "sentence"
 * @param start  how many are already done
 */
export function openProgress({ stderr }: Terminal, name: string, total: number, start = 0): Progress {
  const left = timeLeft(total, start);
  return stderr.isTTY ? drawBar(stderr, name, total, start, left) : printLines(stderr, name, total, left);
}

function drawBar(stream: Terminal["stderr"], name: string, total: number, start: number, left: (done: number) => string): Progress {
  const bars = new MultiBar({
    stream: stream as NodeJS.WritableStream, format: `${name} {value}/{total} {bar} {note}{left}`,
    barCompleteChar: "█", barIncompleteChar: "░", barsize: 20, hideCursor: true, gracefulExit: false, fps: 8,
  });
  const bar = bars.create(total, start, { note: "", left: "" });
  return {
    update: (done, note = "") => bar.update(done, { note: note && `${note} · `, left: left(done) }),
    log: (line) => void bars.log(`${printable(line)}\n`),
    stop() {
      bars.update(); // prints lines logged since the last redraw
      bars.stop();
    },
  };
}

function printLines(stream: Terminal["stderr"], name: string, total: number, left: (done: number) => string): Progress {
  let printed = performance.now();
  return {
    update(done, note = "") {
      const timeLeft = left(done);
      const now = performance.now();
      if (now - printed < PLAIN_INTERVAL * 1000) return;
      printed = now;
      stream.write(`${name} ${done}/${total} · ${note && `${note} · `}${timeLeft}\n`);
    },
    log: (line) => void stream.write(`${printable(line)}\n`),
    stop: () => undefined,
  };
}

/** Estimates the time left from the average pace since the start. It includes pauses for validation, since they will recur. */
function timeLeft(total: number, start: number): (done: number) => string {
  const began = performance.now();
  return (done) => {
    const pace = (performance.now() - began) / 1000 / Math.max(1, done - start); // seconds per item
    return `${duration(pace * (total - done))} left`;
  };
}
