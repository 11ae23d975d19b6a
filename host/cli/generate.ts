import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import type { Tokenizer } from "../data/tokenizer";
import type { Row } from "../decode/row";
import type { Sampler } from "../decode/sampler";
import { Session } from "../decode/session";
import { streamText } from "../decode/stream";
import { HeedError, inFile } from "../errors";
import type { LanguageModel } from "../models/language";
import { nodeFiles } from "../platform/node-files";
import { type Context, report } from "./context";
import { unreadable } from "./input";
import { loadDecoder, type ModelOptions } from "./load";
import { addComputeOptions, finiteNumber, notNegative, positive, requireOption, share, wholeNumber } from "./options";
import { print, printGenerated } from "./terminal";

interface GenerateCommandOptions extends ModelOptions {
  prompt: string;
  max: number;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  typicalP: number;
  repetitionPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  uniqueNgrams: number;
  stop: string[];
  seed: number;
  session?: string;
  saveSession?: string;
}

export function addGenerate(program: Command, context: Context): void {
  const command = program.command("generate").summary("continue text with a trained model");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train text");
  command
    .option("-p, --prompt <text>", "the text to continue", "\n")
    .option("--max <n>", "maximum number of tokens to generate", wholeNumber, 200)
    .option("--stop <text>", "end before this text; may be given several times", (text, all: string[]) => [...all, text], [])
    .option("--seed <n>", "the same seed gives the same text", wholeNumber, 0)
    .option("--temperature <t>", "0 always picks the most likely token; higher values give more variety", notNegative, 1)
    .option("--top-k <k>", "sample from the k most likely tokens; 0 samples from all", wholeNumber, 0)
    .option("--top-p <p>", "sample from the most likely tokens that together have this probability", share, 1)
    .option("--min-p <p>", "sample from tokens at least this many times as likely as the most likely one", notNegative, 0)
    .option("--typical-p <p>", "sample from the most typical tokens that together have this probability", share, 1)
    .option("--repetition-penalty <x>", "above 1: tokens that have occurred become less likely", positive, 1)
    .option("--presence-penalty <x>", "subtracted from the logits of generated tokens", finiteNumber, 0)
    .option("--frequency-penalty <x>", "the same, for each time that they occurred", finiteNumber, 0)
    .option("--unique-ngrams <n>", "never repeat n tokens in a row; 0 for no limit", wholeNumber, 0)
    .option("--session <file>", "continue the text of a saved session; what it has read is not read again")
    .option("--save-session <file>", "save the session, with all that it has read");
  addComputeOptions(command)
    .description("Prints the prompt, then the model's continuation as it is generated.")
    .addHelpText("after", `
Examples:
  heed generate --model runs/shakespeare --prompt "ROMEO:" --max 300 --temperature 0.8 --top-p 0.9 --seed 1
  heed generate --model runs/shakespeare --prompt "ROMEO:" --stop "JULIET:" --save-session romeo.session
  heed generate --model runs/shakespeare --session romeo.session --prompt "JULIET:"`)
    .action((options: GenerateCommandOptions) => run(options, context));
}

async function run(options: GenerateCommandOptions, context: Context): Promise<void> {
  const { prompt, max, stop } = options;
  const { terminal } = context;
  if (prompt === "") throw new HeedError("data", "the prompt is empty; give at least one character");
  const { model, tokenizer } = await loadDecoder(options, context);
  const promptIds = encodePrompt(tokenizer, prompt);
  const { eos } = tokenizer.specials;
  const session = await openSession(model, options.session);
  try {
    const row = await openRow(session, promptIds, { ...samplerOf(options), end: eos === undefined ? [] : [eos] });
    await print(terminal, prompt);
    const pastContext = options.saveSession === undefined ? "restart" : "stop"; // a row that restarts is another one
    const stream = streamText(session, tokenizer, row, { maxTokens: max, stop, end: eos, pastContext });
    for await (const piece of stream) await printGenerated(terminal, piece);
    await print(terminal, "\n");
    if (options.saveSession !== undefined) await replaceFile(options.saveSession, session.save());
    const { text, tokens, reason, totalMs } = stream.result!;
    const seconds = totalMs / 1000;
    const { threads } = model.weights.runtime;
    const result = { prompt, text, tokens, reason, seconds, tokensPerSecond: tokens / seconds, threads };
    if (options.json) await report(context, options, result, "");
  } finally {
    session.dispose();
  }
}

/** Writes a file beside the old one first, so that a full disk does not cost the session that it continues. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const next = `${path}.${randomUUID()}.next`;
  try {
    await nodeFiles.write(next, bytes);
    await nodeFiles.rename(next, path);
  } catch (error) {
    await nodeFiles.remove(next).catch(() => undefined); // the first error is the one to report
    throw error;
  }
}

async function openSession(model: LanguageModel, path: string | undefined): Promise<Session<LanguageModel>> {
  if (path === undefined) return new Session(model, { rows: 1 });
  const bytes = await readFile(path).catch((cause) => {
    throw unreadable(path, cause);
  });
  return inFile(path, () => Session.restore(model, bytes, { rows: 2 }));
}

/** The row to continue: the prompt, or the saved row with the prompt appended. */
async function openRow(session: Session, promptIds: readonly number[], sampler: Sampler): Promise<Row> {
  const [saved] = session.openedRows;
  if (saved) {
    const row = session.fork(saved, sampler);
    session.close(saved);
    await session.append(row, promptIds);
    return row;
  }
  const { context } = session.model;
  const tokens = promptIds.length > context ? promptIds.slice(-Math.ceil(context / 2)) : promptIds;
  const [row] = await session.open([{ tokens, ...sampler }]);
  return row!;
}

function samplerOf(options: GenerateCommandOptions): Sampler {
  const { temperature, topK, topP, minP, typicalP, repetitionPenalty, presencePenalty, frequencyPenalty, uniqueNgrams, seed } = options;
  const penalties = { repetitionPenalty, presencePenalty, frequencyPenalty, noRepeatNGram: uniqueNgrams };
  return { temperature, topK, topP, minP, typicalP, seed, ...penalties };
}

function encodePrompt(tokenizer: Tokenizer, prompt: string): number[] {
  return inFile("the prompt", () => tokenizer.encode(prompt));
}
