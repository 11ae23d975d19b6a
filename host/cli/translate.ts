import type { Command } from "commander";
import type { Context } from "./context";
import { report } from "./context";
import { readLines, streamLines } from "./input";
import { loadTransformer, type ModelOptions } from "./load";
import { addComputeOptions, requireOption } from "./options";
import { print, type Terminal } from "./terminal";
import { translateTexts } from "./translator";

interface TranslateOptions extends ModelOptions {
  file?: string;
}

/** Number of lines read and translated together. */
const CHUNK = 256;

export function addTranslate(program: Command, context: Context): void {
  const command = program.command("translate")
    .summary("translate text with a trained model")
    .argument("[text...]", "the texts to translate; without any, the lines of stdin, each at most 1 MiB long");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train");
  command.option("--file <file>", "translate the lines of a file, plain or .gz");
  addComputeOptions(command)
    .description("Translates each text, or each line of a file or of stdin, and prints one translation per line (greedy decoding).")
    .addHelpText("after", `
Examples:
  heed translate --model runs/dates "the third of March 2019" "3.3.19"
  heed translate --model runs/de-en --file test.de.gz > test.en
  cat test.de | heed translate --model runs/de-en`)
    .action((texts: string[], options: TranslateOptions) => {
      if (texts.length > 0 && options.file !== undefined) {
        command.error("option '--file <file>' cannot be used with texts on the command line");
      }
      return translate(texts, options, context);
    });
}

async function translate(texts: string[], options: TranslateOptions, context: Context): Promise<void> {
  const { model, tokenizer } = await loadTransformer(options, context);
  const translations: string[] = [];
  let line = 0;
  for await (const { name, lines } of inputs(texts, options, context.terminal)) {
    const first = line;
    const translated = await translateTexts(model, tokenizer, lines, { name: (index) => `${name} ${first + index + 1}` });
    await print(context.terminal, translated.map((text) => `${text}\n`).join(""));
    if (options.json) for (const text of translated) translations.push(text);
    line += lines.length;
  }
  if (options.json) await report(context, options, { translations }, "");
}

/** Yields what to translate in chunks; if stdin is a terminal, line by line. */
async function* inputs(
  texts: string[], { file }: TranslateOptions, { stdin }: Terminal,
): AsyncGenerator<{ name: string; lines: string[] }> {
  if (texts.length > 0) return yield { name: "text", lines: texts };
  if (file !== undefined) {
    const { name, lines } = await readLines(file);
    for (let start = 0; start < lines.length; start += CHUNK) yield { name: `${name}, line`, lines: lines.slice(start, start + CHUNK) };
    return;
  }
  const size = stdin.isTTY ? 1 : CHUNK;
  let lines: string[] = [];
  for await (const line of streamLines(stdin, "stdin")) {
    lines.push(line);
    if (lines.length < size) continue;
    yield { name: "stdin, line", lines };
    lines = [];
  }
  if (lines.length > 0) yield { name: "stdin, line", lines };
}
