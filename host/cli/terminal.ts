import type { Readable, Writable } from "node:stream";
import { HeedError } from "../errors";
import { printable } from "../quote";

/** The streams that a command reads and writes. Tests supply their own. */
export interface Terminal {
  readonly stdin: Readable & { isTTY?: boolean };
  /** Results. */
  readonly stdout: Writable & { isTTY?: boolean };
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

/**
 * Prints a result, and resolves once stdout has accepted it.
 * @throws HeedError (`file`) if it cannot be written; its cause is the system's error
 */
export async function print({ stdout }: Terminal, text: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => stdout.write(text, (error) => (error ? reject(error) : resolve())));
  } catch (cause) {
    throw new HeedError("file", `cannot write to stdout: ${(cause as Error).message}`, { cause });
  }
}

/** Control characters, except for new lines and tabs. Joiners and bidirectional marks are part of many languages. */
const CONTROL = /(?![\n\t])\p{Cc}/gu;

/**
 * Prints text that a model generated. On a terminal, the characters that it would obey are shown as escapes, since a vocabulary may come
 * from anyone; a file or a pipe gets the text as it is.
 */
export function printGenerated(terminal: Terminal, text: string): Promise<void> {
  return print(terminal, terminal.stdout.isTTY ? text.replace(CONTROL, printable) : text);
}

/** Prints a remark on stderr. If it cannot be written, it is dropped: an unreadable remark must not end a training run. */
export function note({ stderr }: Terminal, text: string): void {
  stderr.write(text);
}

/**
 * Keeps a failed write from ending the process: without a listener, a stream's error is an uncaught exception. `print` reports failures
 * of stdout, and `note` and progress bars ignore those of stderr.
 */
export function survive({ stdout, stderr }: Terminal): void {
  for (const stream of [stdout, stderr]) stream.off("error", ignore).on("error", ignore); // at most one listener per stream
}

const ignore = (): void => undefined;

/** 12345 → "12,345" */
export const thousands = (n: number): string => Math.round(n).toLocaleString("en-US");

/** Seconds as "0:07", "12:05" or "1:02:03". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
