import type { Readable, Writable } from "node:stream";

/** The streams that a command reads and writes. Tests supply their own. */
export interface Terminal {
  readonly stdin: Readable & { isTTY?: boolean };
  /** Results. */
  readonly stdout: Writable;
  /** Progress and errors. */
  readonly stderr: Writable & { isTTY?: boolean; columns?: number };
  /** Calls `callback` on Ctrl-C (SIGINT) or SIGTERM instead of ending the process. Returns a function that undoes this. */
  onInterrupt(callback: () => void): () => void;
}

/** The process's own streams and signals. A second Ctrl-C ends the process at once. */
export const processTerminal: Terminal = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onInterrupt(callback) {
    process.once("SIGINT", callback).once("SIGTERM", callback);
    return () => void process.off("SIGINT", callback).off("SIGTERM", callback);
  },
};

/** Writes text, and resolves once the stream has accepted it. */
export function write(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => stream.write(text, (error) => (error ? reject(error) : resolve())));
}

/** 12345 → "12,345" */
export const thousands = (n: number): string => Math.round(n).toLocaleString("en-US");

/** Seconds as "0:07", "12:05" or "1:02:03". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
