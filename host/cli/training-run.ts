import { type Runtime } from "../core/runtime";
import type { Tokenizer } from "../data/tokenizer";
import { HeedError } from "../errors";
import type { CheckpointConfig } from "../io/model";
import type { BatchOf, InputSpecs } from "../models/inputs";
import type { Model } from "../models/model";
import { Trainer, type TrainingData, type TrainingEvent } from "../train/trainer";
import { nodeFiles } from "../platform/node-files";
import { lockFolder } from "./lock";
import type { TrainOptions } from "./options";
import type { TrainingSettings } from "./presets";
import { openProgress, type Progress } from "./progress";
import { RunFolder, type RunRecord } from "./run-folder";
import { note, type Terminal, thousands } from "./terminal";

/** What differs between the three training commands. */
export interface TrainingTask<S extends InputSpecs> {
  readonly model: Model<S>;
  readonly config: CheckpointConfig;
  readonly tokenizer: Tokenizer;
  readonly training: TrainingSettings;
  readonly data: TrainingData<S>;
  readonly validation: () => Iterable<BatchOf<S>>;
  /** Fingerprints of the texts. A resumed training run uses them to check that its data has not changed. */
  readonly fingerprints: Record<string, string>;
  /** Lines that show the model's current output after a validation. */
  readonly samples?: () => Promise<string[]>;
}

/** How a training run ended; printed by `--json`. */
export interface TrainingSummary {
  out: string;
  /** Steps done, in all sessions. */
  steps: number;
  /** `patience`: the validation loss stopped improving. */
  ended: "steps" | "patience" | "aborted";
  seconds: number;
  /** Targets per second, without validation and saving. */
  tokensPerSecond: number;
  msPerStep: number;
  /** Mean loss over the steps between the last two validations. */
  trainLoss: number | null;
  /** The best validation loss, that of the saved weights. */
  validLoss: number | null;
  bestStep: number;
  /** Steps skipped because their loss or gradient was not finite. */
  skippedSteps: number;
  parameters: number;
  build: string;
  threads: number;
}

/** Seconds between two flushes of the log. */
const LOG_INTERVAL = 2;
/** Training gives up after this many consecutive steps without a finite loss and gradient. */
const MAX_SKIPPED = 100;
const DIVERGENCE_ADVICE = "start over with a lower learning rate (--config), or check the data";

/**
 * Trains with a progress bar, and saves to `--out` after every validation, on Ctrl-C and at the end.
 * Afterwards the model has its best weights, unless `ended` is "aborted".
 */
export async function runTraining<S extends InputSpecs>(
  task: TrainingTask<S>, options: TrainOptions, terminal: Terminal,
): Promise<TrainingSummary> {
  const { model, config, tokenizer, training, fingerprints } = task;
  const { seed, out } = options;
  const { build }: Runtime = model.weights.runtime;
  const folder = new RunFolder(nodeFiles, out, { config, seed, build, training, data: fingerprints }, tokenizer);
  const refuse = async (): Promise<void> => {
    if (!options.resume && !options.overwrite) await folder.refuseToOverwrite();
  };
  await refuse(); // before writing anything to the folder
  const unlock = await lockFolder(out);
  try {
    await refuse(); // another training run may have ended since
    return await train(task, folder, options, terminal);
  } finally {
    await unlock();
  }
}

async function train<S extends InputSpecs>(
  task: TrainingTask<S>, folder: RunFolder, options: TrainOptions, terminal: Terminal,
): Promise<TrainingSummary> {
  const { model, training } = task;
  const { seed, out } = options;
  const { build, threads }: Runtime = model.weights.runtime;
  const interrupt = new AbortController();
  const { steps, schedule, optimizer, clip, microBatches, validateEvery, patience } = training;
  const trainer = new Trainer(model, task.data, {
    steps, schedule, optimizer, clip, microBatches, validateEvery, patience: patience || undefined, seed,
    validation: task.validation, signal: interrupt.signal,
  });
  const before = options.resume ? await folder.resume(trainer) : undefined;
  const session = new TrainingSession(task, folder, trainer, before);
  if (before) note(terminal, `${out}: resuming after step ${trainer.state.step}\n`);
  else {
    if (options.resume) note(terminal, `${out}: nothing has been saved yet; starting at step 0\n`);
    await folder.save(trainer.snapshot(), session.record, { fresh: true, overwrite: options.overwrite }); // fails early if the disk is full
  }

  const parameters = countParameters(model);
  note(terminal, `${thousands(parameters)} parameters, build ${build}, ${threads === 1 ? "one thread" : `${threads} threads`}\n`);
  const release = terminal.onInterrupt(() => interrupt.abort());
  const progress = openProgress(terminal, "step", training.steps, trainer.state.step);
  try {
    for await (const event of trainer.run()) await session.handle(event, progress);
  } finally {
    progress.stop();
    release();
    trainer.dispose();
  }
  return { out, ...session.summary(), parameters, build, threads };
}

/** One session of a training run: handles the trainer's events, keeps the record, and writes the log and checkpoints. */
class TrainingSession<S extends InputSpecs> {
  readonly record: RunRecord;
  private ended: TrainingSummary["ended"] = "aborted";
  private clock = performance.now();
  private logged = performance.now();
  private skippedInARow = 0;

  constructor(
    private readonly task: TrainingTask<S>,
    private readonly folder: RunFolder,
    private readonly trainer: Trainer<S>,
    record?: RunRecord,
  ) {
    this.record = record ?? { seconds: 0, stepSeconds: 0, tokens: 0, trainLoss: null, lossSum: 0, lossSteps: 0 };
  }

  async handle(event: TrainingEvent, progress: Progress): Promise<void> {
    if (event.type === "step") await this.afterStep(event, progress);
    else if (event.type === "validation") await this.afterValidation(event, progress);
    else {
      this.ended = event.reason;
      await this.save();
      if (event.reason !== "aborted" && this.trainer.state.bestLoss === null) {
        throw new HeedError("numbers", `no validation had a finite loss; ${DIVERGENCE_ADVICE}`);
      }
    }
    this.tick();
  }

  private async afterStep(event: TrainingEvent & { type: "step" }, progress: Progress): Promise<void> {
    const { record, task } = this;
    const { step, loss, tokens, learningRate, gradientNorm, applied } = event;
    record.stepSeconds += this.tick();
    record.tokens += tokens;
    this.folder.log({ step, loss, tokens, learningRate, gradientNorm, applied });
    if (applied) {
      record.lossSum += loss;
      record.lossSteps++;
      this.skippedInARow = 0;
    } else this.noteSkipped(step, progress);
    progress.update(step, `loss ${loss.toFixed(3)} · ${thousands(record.tokens / record.stepSeconds)} tokens/s`);
    const { saveEvery, validateEvery } = task.training;
    if (saveEvery > 0 && step % saveEvery === 0 && step % validateEvery !== 0) await this.save();
    else if (performance.now() - this.logged > LOG_INTERVAL * 1000) {
      this.logged = performance.now();
      await this.folder.flushLog();
    }
  }

  private async afterValidation({ step, loss, best }: TrainingEvent & { type: "validation" }, progress: Progress): Promise<void> {
    this.folder.log({ step, validLoss: loss, best });
    this.closeWindow();
    const trainLoss = this.record.trainLoss?.toFixed(3) ?? "–";
    const compared = best ? "" : ` (best: ${this.trainer.state.bestLoss?.toFixed(3) ?? "–"})`;
    progress.log(`step ${step}: train loss ${trainLoss}, validation loss ${loss.toFixed(3)}${compared}`);
    await this.save();
    await this.showSamples(progress);
  }

  /** Shows the model's current output. It has been saved: a sample that fails must not cost the run. */
  private async showSamples(progress: Progress): Promise<void> {
    try {
      for (const line of (await this.task.samples?.()) ?? []) progress.log(`  ${line}`);
    } catch (error) {
      progress.log(`  no samples: ${(error as Error).message}`);
    }
  }

  /** A skipped step changes nothing. After too many in a row, training cannot recover. */
  private noteSkipped(step: number, progress: Progress): void {
    this.skippedInARow++;
    if (this.skippedInARow === 1) progress.log(`step ${step}: skipped because its loss or gradient was not finite`);
    if (this.skippedInARow < MAX_SKIPPED) return;
    throw new HeedError("numbers", `the last ${MAX_SKIPPED} steps had no finite loss or gradient; ${DIVERGENCE_ADVICE}`);
  }

  private closeWindow(): void {
    const { record } = this;
    if (record.lossSteps > 0) record.trainLoss = record.lossSum / record.lossSteps;
    record.lossSum = 0;
    record.lossSteps = 0;
  }

  private async save(): Promise<void> {
    this.tick();
    await this.folder.save(this.trainer.snapshot(), this.record);
  }

  /** Returns the seconds since the last call, and adds them to the record. */
  private tick(): number {
    const now = performance.now();
    const seconds = (now - this.clock) / 1000;
    this.clock = now;
    this.record.seconds += seconds;
    return seconds;
  }

  summary(): Omit<TrainingSummary, "out" | "parameters" | "build" | "threads"> {
    const { record, ended } = this;
    const { step, bestLoss, bestStep, skipped } = this.trainer.state;
    return {
      steps: step,
      ended,
      seconds: round(record.seconds),
      tokensPerSecond: record.stepSeconds > 0 ? Math.round(record.tokens / record.stepSeconds) : 0,
      msPerStep: step > 0 ? round((1000 * record.stepSeconds) / step) : 0,
      trainLoss: record.trainLoss ?? (record.lossSteps > 0 ? record.lossSum / record.lossSteps : null),
      validLoss: bestLoss,
      bestStep,
      skippedSteps: skipped,
    };
  }
}

const round = (x: number): number => Math.round(x * 100) / 100;

export const countParameters = (model: Pick<Model, "parameters">): number =>
  [...model.parameters().values()].reduce((sum, { size }) => sum + size, 0);
