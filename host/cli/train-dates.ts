import type { Command } from "commander";
import { CharacterTokenizer } from "../data/characters";
import { type DatePair, dates } from "../data/dates";
import { pairBatch } from "../data/pairbatch";
import type { Pair } from "../data/parallel";
import { SPECIALS, type Tokenizer } from "../data/tokenizer";
import { HeedError } from "../errors";
import { maxOf } from "../maxof";
import { Transformer, type TranslationInputs } from "../models/transformer";
import { fingerprint } from "./input";
import { addComputeOptions, addTrainOptions, type TrainOptions } from "./options";
import { finish, type Context } from "./context";
import { openRuntime } from "./runtime";
import { trainingSettings } from "./settings";
import { thousands } from "./terminal";
import { runTraining, type TrainingTask } from "./training-run";
import { pairSpecials, translateTexts } from "./translator";

/** Maximum number of training dates. All are generated in advance, at 0.2 KB each. */
const MOST_DATES = 5_000_000;
/** Number of dates for testing and for validation. Neither occur in training. */
const TEST = 1000;
const VALIDATION = 256;

/** The test dates that a model trained with `seed` has never seen. */
export const unseenDates = (seed: number): DatePair[] => dates({ seed, train: 0, test: TEST + VALIDATION }).test.slice(0, TEST);

export function addTrainDates(train: Command, context: Context): void {
  const command = train.command("dates").summary("learn to normalise dates from generated pairs, in under a minute");
  addTrainOptions(addComputeOptions(command), "dates")
    .description(
      "Trains an encoder-decoder Transformer to write dates in ISO 8601 format: " +
        '"the third of March 2019", "3.3.19", "Sunday, March 3rd, 2019" → "2019-03-03". ' +
        "The pairs are generated. The 1,000 test dates do not occur in training.",
    )
    .addHelpText("after", `
Examples:
  heed train dates --out runs/dates
  heed translate --model runs/dates "the third of March 2019"
  heed eval --model runs/dates`)
    .action((options: TrainOptions) => trainDates(options, context));
}

async function trainDates(options: TrainOptions, context: Context): Promise<void> {
  const { seed } = options;
  const { model: modelSettings, training } = await trainingSettings<"transformer">("dates", options);
  const { batch, microBatches } = training;
  const windows = Math.ceil((training.steps * microBatches) / WINDOW);
  const count = windows * WINDOW * batch;
  if (count > MOST_DATES) {
    const limit = `at most ${thousands(MOST_DATES)} fit in memory; use fewer steps (--steps) or smaller batches (--config)`;
    throw new HeedError("data", `${thousands(training.steps)} steps need ${thousands(count)} dates; ${limit}`);
  }
  const { train, test } = dates({ seed, train: count, test: TEST + VALIDATION });
  const tokenizer = CharacterTokenizer.of(train.flatMap(({ text, iso }) => [text, iso]), { specials: SPECIALS });
  const specials = pairSpecials(tokenizer);
  const encode = ({ text, iso }: DatePair): Pair => ({ source: tokenizer.encode(text), target: tokenizer.encode(iso) });
  const validation = pairBatch(test.slice(TEST).map(encode), specials);

  const modelConfig = { ...modelSettings, vocabulary: tokenizer.size, padding: specials.pad };
  const model = new Transformer(modelConfig).place(await openRuntime(options, context), { seed });
  const task: TrainingTask<TranslationInputs> = {
    model, tokenizer, training,
    config: { type: "transformer", task: "dates", seed, model: modelConfig },
    data: {
      batch: (step, microBatch) => pairBatch(similarPairs(train, step * microBatches + microBatch, batch).map(encode), specials),
    },
    validation: () => [validation],
    fingerprints: { train: fingerprint(train.map(line)), test: fingerprint(test.map(line)) },
    samples: () => sampleLines(model, tokenizer, examples(test.slice(TEST))),
  };
  const summary = await runTraining(task, options, context.terminal);
  if (summary.ended === "aborted") return finish(context, options, summary);
  const exactMatch = await measureExactMatch(model, tokenizer, test.slice(0, TEST));
  const share = `${(100 * exactMatch).toFixed(1)} % of ${thousands(TEST)} unseen dates match exactly`;
  const closing = `${share}, after ${summary.seconds.toFixed(0)} s of training`;
  await finish(context, options, { ...summary, exactMatch }, closing);
}

/** Number of batches whose pairs are sorted by length together. */
const WINDOW = 8;

/** The pairs of batch `index`. Lengths are similar within a batch, since a short text costs as much as the longest in its batch. */
function similarPairs(pairs: readonly DatePair[], index: number, batch: number): DatePair[] {
  const start = Math.floor(index / WINDOW) * WINDOW * batch;
  const window = pairs.slice(start, start + WINDOW * batch).sort((a, b) => a.text.length - b.text.length);
  const place = (3 * index) % WINDOW; // alternates short and long batches
  return window.slice(place * batch, (place + 1) * batch);
}

/** The first, the shortest and the longest pair. */
function examples(pairs: readonly DatePair[]): DatePair[] {
  const byLength = [...pairs].sort((a, b) => a.text.length - b.text.length);
  return [pairs[0]!, byLength[0]!, byLength.at(-1)!];
}

const line = ({ text, iso }: DatePair): string => `${text}\t${iso}`;

/** The share of dates that the model normalises exactly, in [0, 1]. */
export async function measureExactMatch(
  model: Transformer, tokenizer: Tokenizer, pairs: readonly DatePair[], onProgress?: (done: number) => void,
): Promise<number> {
  const answers = await translateTexts(model, tokenizer, pairs.map(({ text }) => text), { onProgress });
  return answers.filter((answer, i) => answer === pairs[i]!.iso).length / pairs.length;
}

async function sampleLines(model: Transformer, tokenizer: Tokenizer, pairs: readonly DatePair[]): Promise<string[]> {
  const answers = await translateTexts(model, tokenizer, pairs.map(({ text }) => text));
  const width = maxOf(pairs, ({ text }) => text.length);
  return pairs.map(({ text, iso }, i) => `${text.padEnd(width)} → ${answers[i]} ${answers[i] === iso ? "✓" : "✗"}`);
}
