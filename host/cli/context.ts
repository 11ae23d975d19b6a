import type { Runtime } from "../core/runtime";
import type { CommonOptions } from "./options";
import { type Terminal, write } from "./terminal";
import type { TrainingSummary } from "./training-run";

/** What a command works with besides its options. */
export interface Context {
  readonly terminal: Terminal;
  /** The process's exit code, unless an error sets another. */
  exitCode: number;
  /** Those that the command has opened. */
  readonly runtimes: Runtime[];
}

/** What a shell expects of a program that Ctrl-C ended: 128 + SIGINT. */
const INTERRUPTED = 130;

/** Prints a result: as text for people, or with `--json` as an object for programs. */
export function report({ terminal }: Context, { json }: CommonOptions, result: object, text: string): Promise<void> {
  return write(terminal.stdout, `${json ? JSON.stringify(result) : text}\n`);
}

/** Reports a training's end in a sentence, which goes to stderr when `--json` has stdout. */
export async function finish<Summary extends TrainingSummary>(context: Context, options: CommonOptions, summary: Summary, closing = ""): Promise<void> {
  const isAborted = summary.ended === "aborted";
  if (isAborted) context.exitCode = INTERRUPTED;
  const sentence = isAborted ? `Stopped after step ${summary.steps} and saved to ${summary.out}. The same command with --resume goes on.` : closing;
  if (options.json) await write(context.terminal.stderr, `${sentence}\n`);
  await report(context, options, summary, sentence);
}
