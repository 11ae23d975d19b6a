import { Command, CommanderError } from "commander";
import { HeedError } from "../errors";
import type { Context } from "./context";
import { addEval } from "./eval";
import { addGenerate } from "./generate";
import { addInspect } from "./inspect";
import { addProfile } from "./profile";
import { processTerminal, type Terminal } from "./terminal";
import { addTrain } from "./train";
import { addTranslate } from "./translate";

/** The exit code for a command line that makes no sense. */
const USAGE = 2;

/**
 * The `heed` command.
 * @param args  without the program's name
 * @returns the exit code: 0, 1 for what went wrong, 2 for a wrong command line, 130 after Ctrl-C
 *
 * @example
 * await heed(["translate", "--model", "runs/dates", "3.3.19"]);
 */
export async function heed(args: readonly string[], terminal: Terminal = processTerminal): Promise<number> {
  const context: Context = { terminal, exitCode: 0, runtimes: [] };
  try {
    await createProgram(context).parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help, --version
    if (error instanceof CommanderError && error.code === "commander.help") return USAGE; // help, since no command was given
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return 0; // whoever read stdout has seen enough
    terminal.stderr.write(`heed: ${describe(error)}\n`);
    if (args.includes("--debug")) terminal.stderr.write(`${stack(error)}\n`);
    return error instanceof CommanderError ? USAGE : 1;
  } finally {
    await Promise.all(context.runtimes.map((runtime) => runtime.dispose()));
  }
}

function createProgram(context: Context): Command {
  const { stdout, stderr } = context.terminal;
  const program = new Command("heed")
    .description("Transformers that train and decode anywhere WebAssembly runs.")
    .version("0.1.0")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      outputError: () => undefined, // the error is thrown, and printed as all others are
    })
    .addHelpText("after", `
Examples:
  heed train dates --out runs/dates                            learn to normalise dates, in a minute
  heed translate --model runs/dates "the third of March 2019"  prints 2019-03-03
  heed train text --data book.txt --out runs/book              a character-level GPT
  heed generate --model runs/book --prompt "Once" --max 200
  heed <command> --help                                        options, defaults and examples of a command`);
  for (const add of [addTrain, addTranslate, addGenerate, addEval, addInspect, addProfile]) add(program, context);
  return program;
}

/** An error in one line. Errors of heed's own and of the command line speak for themselves; others say what they are. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const speaks = error instanceof HeedError || error instanceof CommanderError || error instanceof RangeError || error instanceof TypeError;
  const text = speaks ? error.message.replace(/^error: /, "") : `${error.name}: ${error.message}`;
  return text.trim().replace(/:\n\s*/g, ": ").replace(/\n\s*\(/g, " (").replace(/\n\s*/g, "; ");
}

/** The stack, and those of the errors that caused it. */
function stack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? (error.stack ?? error.message) : `${error.stack}\ncaused by ${stack(error.cause)}`;
}
