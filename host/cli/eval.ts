import { type Command, Option } from "commander";
import { bleu } from "../data/bleu";
import { checkAligned } from "../data/parallel";
import { score as scoreTokens } from "../decode/score";
import { HeedError } from "../errors";
import type { DecoderModel } from "../models/decoding";
import { evaluate, type Evaluation } from "../train/evaluate";
import { type Context, report } from "./context";
import { readLines, readText } from "./input";
import { load, loadDecoder, loadTransformer, type ModelOptions } from "./load";
import { addComputeOptions, positiveInteger, requireOption } from "./options";
import { openProgress } from "./progress";
import { type Terminal, thousands } from "./terminal";
import { measureExactMatch, unseenDates } from "./train-dates";
import { blocks, encodeText, heldOut } from "./train-text";
import { translateTexts } from "./translator";

interface EvalOptions extends ModelOptions {
  source?: string;
  target?: string;
  data?: string;
  heldOut?: boolean;
  stride?: number;
  beam: number;
}

export function addEval(program: Command, context: Context): void {
  const command = program.command("eval").summary("measure the quality of a trained model");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train");
  command
    .option("--source <file>", "for translation: source sentences, one per line; UTF-8, plain or .gz")
    .option("--target <file>", "for translation: their reference translations")
    .option("--beam <n>", "for translation: search with n beams; 1 is greedy decoding", positiveInteger, 1)
    .addOption(new Option("--data <file>", "for language models: a text file; UTF-8, plain or .gz").conflicts(["source", "target"]))
    .option("--held-out", "use only the last 10 % of --data, which training reserves for validation")
    .option("--stride <n>", "give each token of --data more context: read it in windows that advance by n tokens", positiveInteger);
  addComputeOptions(command)
    .description(
      "Evaluates a model. With --source and --target: BLEU of the translations (as in sacreBLEU, 13a, lower-cased). With --data: loss " +
        "and perplexity. With none of these, for a model trained on dates: the share of 1,000 unseen dates that it gets right.",
    )
    .addHelpText("after", `
Examples:
  heed eval --model runs/dates
  heed eval --model runs/de-en --source test.de.gz --target test.en.gz --json
  heed eval --model runs/shakespeare --data tinyshakespeare.txt --held-out`)
    .action((options: EvalOptions) => run(options, command, context));
}

async function run(options: EvalOptions, command: Command, context: Context): Promise<void> {
  const { source, target, data } = options;
  if (options.heldOut && data === undefined) command.error("option '--held-out' needs --data <file>");
  if ((source === undefined) !== (target === undefined)) throw new HeedError("data", "eval: --source and --target must be given together");
  if (source !== undefined && target !== undefined) return evaluateTranslations(source, target, options, context);
  if (data !== undefined) return evaluateText(data, options, context);
  return evaluateDates(options, context);
}

async function evaluateTranslations(sourcePath: string, targetPath: string, options: EvalOptions, context: Context): Promise<void> {
  const [source, target] = [await readLines(sourcePath, context.terminal), await readLines(targetPath, context.terminal)];
  checkAligned(source, target);
  const { model, tokenizer } = await loadTransformer(options, context, "evaluate it with --data");
  const started = performance.now();
  const progress = openProgress(context.terminal, "sentence", source.lines.length);
  const translations = await translateTexts(model, tokenizer, source.lines, {
    name: (index) => `${source.name}, line ${index + 1}`, onProgress: (done) => progress.update(done), beams: options.beam,
  }).finally(() => progress.stop());
  const { score, precisions, brevityPenalty } = bleu(translations, target.lines, { lowercase: true });
  const result = {
    bleu: score, precisions, brevityPenalty, signature: "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp",
    sentences: translations.length, seconds: (performance.now() - started) / 1000, threads: model.weights.runtime.threads,
  };
  const search = options.beam === 1 ? "greedy" : `beam ${options.beam}`;
  const sentence = `BLEU ${score.toFixed(2)} (13a, lower-cased, ${search}) on ${thousands(translations.length)} sentences`;
  await report(context, options, result, sentence);
}

async function evaluateText(path: string, options: EvalOptions, context: Context): Promise<void> {
  const pieces = await readText(path, context.terminal);
  const { model, tokenizer } = await loadDecoder(options, context, "evaluate it with --source and --target");
  const all = encodeText(tokenizer, pieces, path);
  const ids = options.heldOut ? heldOut(all) : all;
  if (ids.length < 2) throw new HeedError("data", `${path}: expected at least 2 tokens, to predict one from the other, got ${ids.length}`);
  const { loss, tokens } = options.stride === undefined
    ? await evaluate(model, blocks(ids, model.context))
    : await scoreText(model, ids, options.stride, context.terminal);
  if (Number.isNaN(loss)) throw new HeedError("numbers", `${options.model}: the loss is NaN; has the model been trained?`);
  const result = { loss, perplexity: Math.exp(loss), tokens };
  const sentence = `Loss ${loss.toFixed(4)} (perplexity ${Math.exp(loss).toFixed(2)}) on ${thousands(tokens)} tokens`;
  await report(context, options, result, sentence);
}

/** The mean loss of a text that is read in windows. */
async function scoreText(model: DecoderModel, ids: ArrayLike<number>, stride: number, terminal: Terminal): Promise<Evaluation> {
  const progress = openProgress(terminal, "token", ids.length);
  const onProgress = (done: number): void => progress.update(done);
  const { logProbabilities } = await scoreTokens(model, ids, { stride, onProgress }).finally(() => progress.stop());
  const tokens = logProbabilities.length;
  return { loss: -logProbabilities.reduce((sum, value) => sum + value, 0) / tokens, tokens };
}

async function evaluateDates(options: EvalOptions, context: Context): Promise<void> {
  const loaded = await load(options, context);
  if (loaded.config.task !== "dates" || loaded.type !== "transformer") {
    const wanted = loaded.type === "transformer" ? "--source and --target" : "--data";
    throw new HeedError("data", `eval: ${options.model} needs data for the evaluation; give ${wanted}`);
  }
  const pairs = unseenDates(loaded.config.seed ?? 0);
  const progress = openProgress(context.terminal, "date", pairs.length);
  const onProgress = (done: number): void => progress.update(done);
  const exactMatch = await measureExactMatch(loaded.model, loaded.tokenizer, pairs, onProgress).finally(() => progress.stop());
  const sentence = `${(100 * exactMatch).toFixed(1)} % of ${thousands(pairs.length)} unseen dates match exactly`;
  await report(context, options, { exactMatch, dates: pairs.length }, sentence);
}
