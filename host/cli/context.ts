import type { Runtime } from "../core/runtime";
import { printableJson } from "../quote";
import type { CommonOptions } from "./options";
import { note, print, type Terminal } from "./terminal";
import type { TrainingSummary } from "./training-run";

/** What a command needs in addition to its options. */
export interface Context {
  readonly terminal: Terminal;
  /** The process's exit code, unless an error sets another. */
  exitCode: number;
  /** Runtimes opened by the command. */
  readonly runtimes: Runtime[];
}

/** The conventional exit code after Ctrl-C: 128 + SIGINT. */
const INTERRUPTED = 130;

/** Prints a result as text, or as a JSON object with `--json`. */
export function report({ terminal }: Context, { json }: CommonOptions, result: object, text: string): Promise<void> {
  return print(terminal, `${json ? printableJson(JSON.stringify(result)) : text}\n`);
}

/** Reports the end of a training run in one sentence. With `--json` it goes to stderr, since stdout carries the JSON. */
export async function finish<Summary extends TrainingSummary>(
  context: Context, options: CommonOptions, summary: Summary, closing = "",
): Promise<void> {
  const isAborted = summary.ended === "aborted";
  if (isAborted) context.exitCode = INTERRUPTED;
  const sentence = isAborted
    ? `Stopped after step ${summary.steps} and saved to ${summary.out}. Run the same command with --resume to continue.`
    : closing;
  if (options.json) note(context.terminal, `${sentence}\n`);
  await report(context, options, summary, sentence);
}
