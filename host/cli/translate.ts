import type { Command } from "commander";
import type { Context } from "./context";
import { report } from "./context";
import { readLines, streamLines } from "./input";
import { loadTransformer, type ModelOptions } from "./load";
import { addComputeOptions, positiveInteger, requireOption } from "./options";
import { openProgress, type Progress } from "./progress";
import { printGenerated, type Terminal } from "./terminal";
import { translateAll, type Translation } from "./translator";

interface TranslateOptions extends ModelOptions {
  file?: string;
  beam: number;
  nBest: number;
  alignments?: boolean;
}

/** Number of lines read and translated together. */
const CHUNK = 256;

export function addTranslate(program: Command, context: Context): void {
  const command = program.command("translate")
    .summary("translate text with a trained model")
    .argument("[text...]", "the texts to translate; without any, the lines of stdin, each at most 1 MiB long");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train");
  command
    .option("--file <file>", "translate the lines of a file, plain or .gz")
    .option("--beam <n>", "search with n beams; 1 is greedy decoding, 4 or 5 give better translations", positiveInteger, 1)
    .option("--n-best <n>", "print the n best translations of each text, with their scores and the number of the text", positiveInteger, 1)
    .option("--alignments", "print which source token each token attends to most, as source-target pairs counted from 0");
  addComputeOptions(command)
    .description("Translates each text, or each line of a file or of stdin, and prints one translation per line.")
    .addHelpText("after", `
Examples:
  heed translate --model runs/dates "the third of March 2019" "3.3.19"
  heed translate --model runs/de-en --file test.de.gz --beam 5 > test.en
  heed translate --model runs/de-en --beam 5 --n-best 3 "ein Hund"
  cat test.de | heed translate --model runs/de-en`)
    .action((texts: string[], options: TranslateOptions) => {
      if (texts.length > 0 && options.file !== undefined) {
        command.error("option '--file <file>' cannot be used with texts on the command line");
      }
      if (options.nBest > options.beam) {
        command.error(`option '--n-best ${options.nBest}' needs at least as many beams, got '--beam ${options.beam}'`);
      }
      return translate(texts, options, context);
    });
}

async function translate(texts: string[], options: TranslateOptions, context: Context): Promise<void> {
  const { model, tokenizer } = await loadTransformer(options, context);
  const { beam: beams, nBest, alignments } = options;
  const all: Translation[][] = [];
  let line = 0;
  let progress: Progress | undefined;
  try {
    for await (const { name, lines, total } of inputs(texts, options, context.terminal)) {
      const first = line;
      if (total !== undefined) progress ??= openProgress(context.terminal, "line", total);
      const nameOf = (index: number): string => `${name} ${first + index + 1}`;
      const translated = await translateAll(model, tokenizer, lines, { name: nameOf, beams, nBest, alignments });
      await printGenerated(context.terminal, translated.map((found, i) => formatFound(found, first + i + 1, nBest)).join(""));
      if (options.json) for (const found of translated) all.push(found);
      line += lines.length;
      progress?.update(line);
    }
  } finally {
    progress?.stop();
  }
  const translations = all.map(([best]) => best!.text);
  const result = { translations, ...(beams > 1 || alignments ? { nBest: all } : {}) };
  if (options.json) await report(context, options, result, "");
}

/** A line for the best translation, or, as Moses has it, one for each of the n best: `12 ||| text ||| −0.1234 ||| 0-0 1-2`. */
function formatFound(found: readonly Translation[], line: number, nBest: number): string {
  return found.map(({ text, score, alignment }) => {
    const ranked = nBest > 1 ? [String(line), text, Number.isNaN(score) ? "0" : score.toFixed(4)] : [text];
    return `${[...ranked, ...(alignment ? [alignment.map((pair) => pair.join("-")).join(" ")] : [])].join(" ||| ")}\n`;
  }).join("");
}

/** Yields what to translate in chunks; if stdin is a terminal, line by line. */
async function* inputs(
  texts: string[], { file }: TranslateOptions, { stdin }: Terminal,
): AsyncGenerator<{ name: string; lines: string[]; total?: number }> {
  if (texts.length > 0) return yield { name: "text", lines: texts };
  if (file !== undefined) {
    const { name, lines } = await readLines(file);
    const total = lines.length;
    for (let start = 0; start < total; start += CHUNK) yield { name: `${name}, line`, lines: lines.slice(start, start + CHUNK), total };
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
