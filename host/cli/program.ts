import { Command, CommanderError } from "commander";
import { HeedError } from "../errors";
import { nearest } from "../fields";
import { excerpt, printable } from "../quote";
import type { Context } from "./context";
import { addEval } from "./eval";
import { addGenerate } from "./generate";
import { addInspect } from "./inspect";
import { addProfile } from "./profile";
import { addQuantize } from "./quantize";
import { note, print, processTerminal, survive, type Terminal } from "./terminal";
import { addTrain } from "./train";
import { addTranslate } from "./translate";

/** The exit code for an invalid command line. */
const USAGE = 2;
/** The most characters of an error that are printed. Messages are bounded where they are made; this is the last guard. */
const LONGEST_ERROR = 20_000;

/**
 * Runs the `heed` command.
 *
 * A reader that closes stdout early, as `head` does, ends the command quietly with 0; any other failure to write results is an error.
 * Progress that cannot be written to stderr is dropped.
 * @param args  the arguments, without the program's name
 * @returns the exit code: 0 for success, 1 for an error, 2 for an invalid command line, 130 after Ctrl-C
 *
 * @example
 * await heed(["translate", "--model", "runs/dates", "3.3.19"]);
 */
export async function heed(args: readonly string[], terminal: Terminal = processTerminal): Promise<number> {
  const context: Context = { terminal, exitCode: 0, runtimes: [] };
  survive(terminal);
  try {
    await parse(args, context);
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.code === "commander.help") return USAGE; // no command was given, so help was shown
    if (isClosedPipe(error)) return 0;
    note(terminal, `heed: ${describe(error)}\n`);
    if (args.includes("--debug")) note(terminal, `${stack(error).split("\n").map(printable).join("\n")}\n`);
    return error instanceof CommanderError ? USAGE : 1;
  } finally {
    await Promise.all(context.runtimes.map((runtime) => runtime.dispose()));
  }
}

/** Runs the command that the arguments name, or prints its help. */
async function parse(args: readonly string[], context: Context): Promise<void> {
  let help = "";
  try {
    await createProgram(context, (text) => (help += text)).parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error; // 0: --help, --version
  }
  if (help !== "") await print(context.terminal, help);
}

const isClosedPipe = (error: unknown): boolean =>
  error instanceof HeedError && (error.cause as NodeJS.ErrnoException | undefined)?.code === "EPIPE";

function createProgram(context: Context, writeHelp: (text: string) => void): Command {
  const program = new Command("heed")
    .description("Transformers that train and decode anywhere WebAssembly runs.")
    .version("0.1.0")
    .exitOverride()
    .configureOutput({
      writeOut: writeHelp,
      writeErr: (text) => note(context.terminal, text),
      outputError: () => undefined, // errors are thrown, and printed in one place
    })
    .addHelpText("after", `
Examples:
  heed train dates --out runs/dates                            learn to normalise dates in a minute
  heed translate --model runs/dates "the third of March 2019"  prints 2019-03-03
  heed train text --data book.txt --out runs/book              train a character-level GPT
  heed generate --model runs/book --prompt "Once" --max 200      continue a prompt
  heed <command> --help                                        show a command's options, defaults and examples`);
  for (const add of [addTrain, addTranslate, addGenerate, addEval, addInspect, addQuantize, addProfile]) add(program, context);
  addHelp(program);
  return program;
}

/** `heed help train text`: commander's own help command looks no deeper than `heed help train`. */
function addHelp(program: Command): void {
  program.helpCommand(false).command("help").summary("show the help of a command").argument("[command...]", "its name, such as train text")
    .action((names: string[]) => {
      let command = program;
      for (const name of names) {
        const commands = command.commands.map((subcommand) => subcommand.name());
        const meant = nearest(name, commands);
        const hint = meant ? ` (Did you mean ${meant}?)` : "";
        command = command.commands[commands.indexOf(name)] ?? program.error(`unknown command '${name}'${hint}`);
      }
      command.outputHelp();
    });
}

/** An error in one line, safe to print. Errors from heed and the command line are self-explanatory; others are prefixed with their name. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return excerpt(String(error), LONGEST_ERROR);
  const isClear = [HeedError, CommanderError, RangeError, TypeError].some((kind) => error instanceof kind);
  const text = isClear ? error.message.replace(/^error: /, "") : `${error.name}: ${error.message}`;
  const line = text.trim().slice(0, LONGEST_ERROR).replace(/:\n\s*/g, ": ").replace(/\n\s*\(/g, " (").replace(/\n\s*/g, "; ");
  return excerpt(line, LONGEST_ERROR);
}

/** The stack of an error, followed by those of its causes. */
function stack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? (error.stack ?? error.message) : `${error.stack}\ncaused by ${stack(error.cause)}`;
}
