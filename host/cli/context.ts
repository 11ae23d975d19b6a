import type { CommonOptions } from "./options";
import { type Terminal, write } from "./terminal";
import type { TrainingSummary } from "./training-run";

/** What a command works with besides its options. */
export interface Context {
  readonly terminal: Terminal;
  /** The process's exit code, unless an error sets another. */
  exitCode: number;
}

/** What a shell expects of a program that Ctrl-C ended: 128 + SIGINT. */
const INTERRUPTED = 130;

/** Prints a result: a sentence for people, or with `--json` an object for programs (the sentence then goes to stderr). */
export async function report({ terminal }: Context, { json }: CommonOptions, result: object, sentence: string): Promise<void> {
  if (sentence) await write(json ? terminal.stderr : terminal.stdout, `${sentence}\n`);
  if (json) await write(terminal.stdout, `${JSON.stringify(result)}\n`);
}

/** Reports a training's end, and what to do next. */
export async function finish<Summary extends TrainingSummary>(context: Context, options: CommonOptions, summary: Summary, closing?: string): Promise<void> {
  if (summary.ended === "aborted") {
    context.exitCode = INTERRUPTED;
    return report(context, options, summary, `Stopped after step ${summary.steps} and saved to ${summary.out}. The same command with --resume goes on.`);
  }
  return report(context, options, summary, closing ?? "");
}
