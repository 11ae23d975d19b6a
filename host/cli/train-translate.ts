import type { Command } from "commander";
import { trainBPE } from "../data/bpe";
import type { Lines } from "../data/lines";
import { checkAligned, parallelCorpus, type ParallelOptions, type Skipped } from "../data/parallel";
import { batchesByTokens } from "../data/translation";
import type { Tokenizer } from "../data/tokenizer";
import { Transformer, type TranslationInputs } from "../models/transformer";
import { type Context, finish } from "./context";
import { fingerprint, readLines } from "./input";
import { addComputeOptions, addTrainOptions, positiveInteger, requireOption, type TrainOptions } from "./options";
import { openProgress } from "./progress";
import { openRuntime } from "./runtime";
import { trainingSettings } from "./settings";
import { note, type Terminal, thousands } from "./terminal";
import { runTraining, type TrainingTask } from "./training-run";
import { pairSpecials, translateTexts } from "./translator";

interface TranslateTrainOptions extends TrainOptions {
  source: string;
  target: string;
  validSource: string;
  validTarget: string;
  vocabulary?: number;
  skipLong?: boolean;
  skipEmpty?: boolean;
}

export function addTrainTranslate(train: Command, context: Context): void {
  const command = train.command("translate").summary("learn to translate from two files that are aligned line by line");
  requireOption(command, "--source <file>", "source sentences, one per line; UTF-8, plain or .gz");
  requireOption(command, "--target <file>", "their translations, one per line");
  requireOption(command, "--valid-source <file>", "source sentences for validation");
  requireOption(command, "--valid-target <file>", "their translations");
  command
    .option("--vocabulary <n>", "maximum size of the byte-pair vocabulary shared by both languages", positiveInteger)
    .option("--skip-long", "skip pairs that are too long for the model")
    .option("--skip-empty", "skip pairs with an empty side");
  addTrainOptions(addComputeOptions(command), "translate")
    .description(
      "Trains an encoder-decoder Transformer on a parallel corpus. It first learns a byte-pair vocabulary from the training " +
        "files, then trains until the validation loss stops improving, and keeps the weights with the best validation loss.",
    )
    .addHelpText("after", `
Examples:
  heed train translate --source train.de.gz --target train.en.gz \\
    --valid-source val.de.gz --valid-target val.en.gz --out runs/de-en
  heed eval --model runs/de-en --source test.de.gz --target test.en.gz
  heed translate --model runs/de-en "Ein Hund rennt über die Wiese."`)
    .action((options: TranslateTrainOptions) => trainTranslate(options, context));
}

async function trainTranslate(options: TranslateTrainOptions, context: Context): Promise<void> {
  const { seed } = options;
  const { terminal } = context;
  const { model: modelSettings, training, vocabulary } = await trainingSettings<"transformer">("translate", options);
  const [source, target] = [await readLines(options.source, terminal), await readLines(options.target, terminal)];
  const [validSource, validTarget] = [await readLines(options.validSource, terminal), await readLines(options.validTarget, terminal)];
  checkAligned(source, target);
  checkAligned(validSource, validTarget);
  const tokenizer = learnVocabulary([source.lines, target.lines].flat(), vocabulary!, terminal);
  const corpusOptions: ParallelOptions = {
    sourceTokenizer: tokenizer, targetTokenizer: tokenizer, maxLength: modelSettings.maxLength,
    longLines: options.skipLong ? "skip" : "error", emptyLines: options.skipEmpty ? "skip" : "error",
  };
  const corpus = parallelCorpus(source, target, corpusOptions);
  const valid = parallelCorpus(validSource, validTarget, corpusOptions);
  reportSkipped(corpus.skipped, source, context.terminal);
  reportSkipped(valid.skipped, validSource, context.terminal);

  const specials = pairSpecials(tokenizer);
  const trainBatches = batchesByTokens(corpus.pairs, { tokensPerBatch: training.batch, specials, multiple: 4, seed });
  const validBatches = batchesByTokens(valid.pairs, { tokensPerBatch: training.batch, specials, multiple: 4, inOrder: true });
  const modelConfig = { ...modelSettings, vocabulary: tokenizer.size, padding: specials.pad };
  const model = new Transformer(modelConfig).place(await openRuntime(options, context), { seed });
  const task: TrainingTask<TranslationInputs> = {
    model, tokenizer, training,
    config: { type: "transformer", task: "translate", seed, model: modelConfig },
    data: { batch: (step, microBatch) => trainBatches.batchAt(step * training.microBatches + microBatch) },
    validation: () => validBatches.epoch(0),
    fingerprints: {
      source: fingerprint(source.lines), target: fingerprint(target.lines),
      validSource: fingerprint(validSource.lines), validTarget: fingerprint(validTarget.lines),
      skipped: `${corpus.skipped.length} and ${valid.skipped.length} pairs`,
    },
    samples: () => sampleLines(model, tokenizer, keptLines(validSource, valid.skipped).slice(0, 2)),
  };
  const summary = await runTraining(task, options, context.terminal);
  await finish(context, options, summary, closing(summary.validLoss, summary.bestStep, options.out));
}

const closing = (loss: number | null, step: number, out: string): string =>
  `Best validation loss ${loss?.toFixed(3)} (perplexity ${Math.exp(loss ?? NaN).toFixed(2)}) after step ${step}; its weights are in ${out}`;

function learnVocabulary(texts: readonly string[], vocabularySize: number, terminal: Terminal): Tokenizer {
  const progress = openProgress(terminal, "token", vocabularySize);
  try {
    const tokenizer = trainBPE(texts, { vocabularySize, onProgress: (tokens) => progress.update(tokens) });
    progress.log(`Learnt a vocabulary of ${thousands(tokenizer.size)} tokens from ${thousands(texts.length)} lines`);
    return tokenizer;
  } finally {
    progress.stop();
  }
}

function reportSkipped(skipped: readonly Skipped[], { name, lines }: Lines, terminal: Terminal): void {
  if (skipped.length === 0) return;
  const named = skipped.slice(0, 3).map(({ line, reason }) => `${line} (${reason})`).join(", ");
  note(terminal, `${name}: skipped ${skipped.length} of ${lines.length} pairs: line ${named}${skipped.length > 3 ? ", …" : ""}\n`);
}

/** The lines whose pairs were not skipped. */
function keptLines({ lines }: Lines, skipped: readonly Skipped[]): string[] {
  const left = new Set(skipped.map(({ line }) => line));
  return lines.filter((_, index) => !left.has(index + 1));
}

async function sampleLines(model: Transformer, tokenizer: Tokenizer, texts: readonly string[]): Promise<string[]> {
  const translations = await translateTexts(model, tokenizer, texts);
  return texts.map((text, i) => `${text} → ${translations[i]}`);
}

