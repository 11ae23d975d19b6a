import type { Command } from "commander";
import { CharacterTokenizer } from "../data/characters";
import { evaluationBatches, languageModelBatches } from "../data/language";
import type { Tokenizer } from "../data/tokenizer";
import { HeedError, inFile } from "../errors";
import type { CheckpointConfig } from "../io/model";
import { families, type ModelOf, type TypesOf } from "../models/families";
import type { LanguageInputs } from "../models/language";
import type { BatchOf } from "../models/inputs";
import { type Context, finish } from "./context";
import { fingerprintText, readText } from "./input";
import { addComputeOptions, addTrainOptions, requireOption, type TrainOptions } from "./options";
import { openRuntime } from "./runtime";
import { trainingSettings } from "./settings";
import { runTraining, type TrainingTask } from "./training-run";

/** Families that continue text. */
type LanguageType = TypesOf<"decoder">;

interface TextTrainOptions extends TrainOptions {
  data: string;
}

/** The share of a text used for training; the rest is for validation, as in nanoGPT. */
const TRAIN_SHARE = 0.9;
/** Blocks per validation batch. */
const VALIDATION_BATCH = 32;
/** V8's longest string. */
const LONGEST_STRING = 2 ** 29 - 24;

export function addTrainText(train: Command, context: Context): void {
  const command = train.command("text").summary("train a character-level language model on a text");
  requireOption(command, "--data <file>", "the text, UTF-8, plain or .gz; the first 90 % is used for training, the rest for validation");
  addTrainOptions(addComputeOptions(command), "text")
    .description("Trains a character-level language model on a text, and keeps the weights with the best validation loss.")
    .addHelpText("after", `
Examples:
  heed train text --preset nanogpt-cpu --data tinyshakespeare.txt --out runs/shakespeare
  heed generate --model runs/shakespeare --prompt "ROMEO:" --max 300 --temperature 0.8 --top-k 40`)
    .action((options: TextTrainOptions) => trainText(options, context));
}

async function trainText(options: TextTrainOptions, context: Context): Promise<void> {
  const { seed, data } = options;
  const { type, model: modelSettings, training } = await trainingSettings<LanguageType>("text", options);
  const pieces = await readText(data, context.terminal);
  const tokenizer = CharacterTokenizer.of(pieces);
  const tokens = encodeText(tokenizer, pieces, data);
  const { train, valid } = splitText(tokens, modelSettings.block, data);

  const trainBatches = languageModelBatches(train, { batch: training.batch, block: modelSettings.block, seed });
  const modelConfig = { ...modelSettings, vocabulary: tokenizer.size };
  const Model = families[type].Model as new (config: object) => ModelOf<LanguageType>;
  const model = new Model(modelConfig).place(await openRuntime(options, context), { seed });
  const task: TrainingTask<LanguageInputs> = {
    model, tokenizer, training,
    config: { type, task: "text", seed, model: modelConfig } as CheckpointConfig,
    data: { batch: (step, microBatch) => trainBatches.batchAt(step * training.microBatches + microBatch) },
    validation: () => blocks(valid, modelSettings.block),
    fingerprints: { text: fingerprintText(pieces) },
  };
  const summary = await runTraining(task, options, context.terminal);
  const best = `Best validation loss ${summary.validLoss?.toFixed(4)} after step ${summary.bestStep}`;
  await finish(context, options, summary, `${best}; its weights are in ${options.out}`);
}

/**
 * Splits a text into training and validation parts.
 * @throws HeedError (`data`) if a part is shorter than the model needs
 */
function splitText(tokens: Int32Array, block: number, name: string): { train: Int32Array; valid: Int32Array } {
  const end = Math.floor(TRAIN_SHARE * tokens.length);
  const [train, valid] = [tokens.subarray(0, end), tokens.subarray(end)];
  if (train.length > block && valid.length > 1) return { train, valid };
  const needed = Math.ceil((block + 1) / TRAIN_SHARE) + 20;
  const advice = "give a longer text, or use a smaller block (--config)";
  throw new HeedError("data", `${name}: a block of ${block} needs ${needed} characters, got ${tokens.length}; ${advice}`);
}

/** The part of a text that training reserves for validation. */
export const heldOut = (tokens: Int32Array): Int32Array => tokens.subarray(Math.floor(TRAIN_SHARE * tokens.length));

/** Yields a text in order, block after block, in batches of one shape. */
export function* blocks(tokens: Int32Array, block: number): Generator<BatchOf<LanguageInputs>> {
  const { batches, batchAt } = evaluationBatches(tokens, { batch: VALIDATION_BATCH, block });
  for (let index = 0; index < batches; index++) yield batchAt(index);
}

/**
 * Encodes a text. A tokenizer of characters does so piece by piece; any other needs the whole text as one string.
 * @throws HeedError (`data`) naming the file, and the character that is not in the vocabulary
 */
export function encodeText(tokenizer: Tokenizer, pieces: readonly string[], name: string): Int32Array {
  const units = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (!(tokenizer instanceof CharacterTokenizer)) {
    if (units > LONGEST_STRING) {
      const most = `expected at most ${LONGEST_STRING} characters for this model's tokenizer`;
      throw new HeedError("data", `${name}: ${most}, got ${units}; split the file`);
    }
    return Int32Array.from(inFile(name, () => tokenizer.encode(pieces.join(""))));
  }
  const ids = new Int32Array(units); // a character has one or two units
  let count = 0;
  for (const piece of pieces) {
    const encoded = inFile(name, () => tokenizer.encode(piece, count));
    ids.set(encoded, count);
    count += encoded.length;
  }
  return ids.subarray(0, count);
}
