import type { Command } from "commander";
import type { Tokenizer } from "../data/tokenizer";
import { generate } from "../decode/generate";
import { HeedError, inFile } from "../errors";
import { type Context, report } from "./context";
import { loadDecoder, type ModelOptions } from "./load";
import { addComputeOptions, notNegative, requireOption, wholeNumber } from "./options";
import { print } from "./terminal";

interface GenerateCommandOptions extends ModelOptions {
  prompt: string;
  max: number;
  temperature: number;
  topK: number;
  seed: number;
}

export function addGenerate(program: Command, context: Context): void {
  const command = program.command("generate").summary("continue text with a trained model");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train text");
  command
    .option("-p, --prompt <text>", "the text to continue", "\n")
    .option("--max <n>", "maximum number of tokens to generate", wholeNumber, 200)
    .option("--temperature <t>", "0 always picks the most likely token; higher values give more variety", notNegative, 1)
    .option("--top-k <k>", "sample from the k most likely tokens; 0 samples from all", wholeNumber, 0)
    .option("--seed <n>", "the same seed gives the same text", wholeNumber, 0);
  addComputeOptions(command)
    .description("Prints the prompt, then the model's continuation as it is generated.")
    .addHelpText("after", `
Examples:
  heed generate --model runs/shakespeare --prompt "ROMEO:" --max 300 --temperature 0.8 --top-k 40 --seed 1`)
    .action((options: GenerateCommandOptions) => run(options, context));
}

async function run(options: GenerateCommandOptions, context: Context): Promise<void> {
  const { prompt, max, temperature, topK, seed } = options;
  if (prompt === "") throw new HeedError("data", "the prompt is empty; give at least one character");
  const { model, tokenizer } = await loadDecoder(options, context);
  const promptIds = encodePrompt(tokenizer, prompt);
  const { terminal } = context;
  const { eos } = tokenizer.specials;
  const ids: number[] = [];
  const started = performance.now();
  let text = "";
  await print(terminal, prompt);
  for await (const [id] of generate(model, [promptIds], { maxTokens: max, temperature, topK, seed, end: eos })) {
    if (id === eos) break;
    ids.push(id!);
    const longer = tokenizer.decode(ids);
    if (longer.endsWith("\uFFFD")) continue; // an incomplete character; its remaining bytes are in later tokens
    await print(terminal, longer.slice(text.length));
    text = longer;
  }
  await print(terminal, "\n");
  const seconds = (performance.now() - started) / 1000;
  const { threads } = model.weights.runtime;
  const result = { prompt, text, tokens: ids.length, seconds, tokensPerSecond: ids.length / seconds, threads };
  if (options.json) await report(context, options, result, "");
}

function encodePrompt(tokenizer: Tokenizer, prompt: string): number[] {
  return inFile("the prompt", () => tokenizer.encode(prompt));
}
