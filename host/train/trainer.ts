import { breathe } from "../core/breathe";
import type { Batch } from "../batch";
import type { Model } from "../models/model";
import { seedKey } from "../seed";
import type { WeightArray } from "../nn/weights";
import type { AbortSignalLike } from "../webtypes";
import { evaluate, lossProgram, takeLoss, writeBatch } from "./evaluate";
import { Optimizer, type OptimizerConfig } from "./optimizer";
import { learningRate, type Schedule } from "./schedule";

/** Batches by step, so that a training that stopped can go on anywhere. Steps count from 0. */
export interface TrainingData {
  batch(step: number, microBatch: number): Batch;
}

/** How a training goes. */
export interface TrainerOptions {
  /** Updates in all. */
  steps: number;
  schedule: Schedule;
  optimizer: OptimizerConfig;
  /** Keys dropout's random numbers. */
  seed?: number;
  /** Gradients with a larger global norm are scaled down to it; 0 (the default): never. */
  clip?: number;
  /** Batches whose gradients are added up before an update; 1. */
  microBatches?: number;
  /** Measured without dropout; the weights with the lowest loss are kept. */
  validation?: () => Iterable<Batch>;
  /** Steps between two validations; the last step is always followed by one. */
  validateEvery?: number;
  /** Validations without a new best before training stops; never by default. */
  patience?: number;
  /** Stops between two steps. */
  signal?: AbortSignalLike;
}

/** What `Trainer.run` tells of: draw a progress bar from it, or write a log. Losses are means, in nats a token. */
export type TrainingEvent =
  /** One update; `loss` is the mean over its tokens. A step that is not `applied` met a loss or gradient that was not finite. */
  | { type: "step"; step: number; loss: number; tokens: number; learningRate: number; gradientNorm: number; applied: boolean }
  | { type: "validation"; step: number; loss: number; best: boolean }
  | { type: "end"; step: number; reason: "steps" | "patience" | "aborted" };

/** Where a training stands, apart from arrays. */
export interface TrainerState {
  step: number;
  /** Updates applied: steps that were not skipped. */
  updates: number;
  skipped: number;
  /** The step that the last validation followed. */
  validatedStep: number;
  bestStep: number;
  bestLoss: number | null;
  /** Validations since the best one. */
  stale: number;
}

/** All that a later session needs to go on as if nothing had happened. */
export interface Snapshot {
  state: TrainerState;
  /** The weights to use: the best so far, or the current ones where nothing was validated. */
  best: Map<string, WeightArray>;
  /** `weights.`, `m.`, `v.` (or `velocity.`) + parameter name. */
  training: Map<string, WeightArray>;
}

/** JSON, but with NaN and Infinity by their names. */
const formatNumbers = (value: object): string => JSON.stringify(value, (_, field: unknown) => (typeof field === "number" && !Number.isFinite(field) ? String(field) : field));

/** What an i32 holds. */
const MAX_STEPS = 2 ** 31 - 1;

/**
 * Trains a model, one event at a time.
 *
 * @example
 * const trainer = new Trainer(model, data, { steps: 1000, schedule: { kind: "cosine", peak: 1e-3, warmup: 100 }, optimizer: vaswaniAdam });
 * for await (const event of trainer.run()) if (event.type === "step") console.log(event.step, event.loss);
 */
export class Trainer {
  readonly state: TrainerState = { step: 0, updates: 0, skipped: 0, validatedStep: 0, bestStep: 0, bestLoss: null, stale: 0 };
  private readonly optimizer: Optimizer;
  private best: Map<string, WeightArray> | undefined;

  /** @throws RangeError for options that make no sense */
  constructor(
    private readonly model: Model,
    private readonly data: TrainingData,
    private readonly options: TrainerOptions,
  ) {
    const { steps, microBatches = 1, validateEvery = 1, patience = 1, clip = 0, seed = 0 } = options;
    for (const [name, value] of Object.entries({ steps, microBatches, validateEvery, patience })) {
      if (!Number.isInteger(value) || value < 1) throw new RangeError(`Trainer: ${name} must be a positive integer, got ${value}`);
    }
    if (steps > MAX_STEPS) throw new RangeError(`Trainer: at most ${MAX_STEPS} steps fit a program's cells, got ${steps}`);
    const { kind: _, ...numbers } = options.schedule;
    const rates = [learningRate(options.schedule, 1, steps), learningRate(options.schedule, steps, steps)];
    if (![...rates, ...Object.values<number | undefined>(numbers)].every((value = 0) => value >= 0 && value < Infinity)) {
      throw new RangeError(`Trainer: the schedule gives no learning rate: ${formatNumbers(options.schedule)}`);
    }
    seedKey(seed);
    if (!(clip >= 0)) throw new RangeError(`Trainer: clip must not be negative, got ${clip}`);
    this.optimizer = new Optimizer(model.weights, options.optimizer, clip);
  }

  /**
   * Trains until the last step, until validation stops getting better, or until `signal` aborts.
   * Ends with the best weights in place, except when aborted: then training can go on from `snapshot()`.
   */
  async *run(): AsyncGenerator<TrainingEvent, void> {
    const { options, state } = this;
    while (true) {
      if (options.validation && this.validationIsDue()) {
        const validation = await this.validate();
        if (validation) yield validation;
      }
      const reason = options.signal?.aborted ? "aborted" : state.stale >= (options.patience ?? Infinity) ? "patience" : state.step >= options.steps ? "steps" : null;
      if (reason) {
        try {
          yield { type: "end", step: state.step, reason }; // a snapshot taken now has the last weights too
        } finally {
          if (reason !== "aborted" && this.best) this.model.weights.write(this.best);
        }
        return;
      }
      yield this.step();
      await breathe();
    }
  }

  /** A copy of everything that `restore` needs. */
  snapshot(): Snapshot {
    const { weights } = this.model;
    const training = new Map<string, WeightArray>();
    for (const [kind, block] of [["weights", weights.address] as const, ...this.optimizer.moments]) {
      for (const [name, array] of weights.read(block)) training.set(`${kind}.${name}`, array);
    }
    return { state: { ...this.state }, best: this.best ?? weights.read(), training };
  }

  /** Takes up a training where a snapshot left it. Names and shapes have been checked by the reader. */
  restore({ state, best, training }: Snapshot): void {
    const { weights } = this.model;
    for (const [kind, block] of [["weights", weights.address] as const, ...this.optimizer.moments]) {
      weights.write(new Map([...weights.parameters.keys()].map((name) => [name, training.get(`${kind}.${name}`)!])), block);
    }
    Object.assign(this.state, state);
    this.best = state.bestLoss === null ? undefined : best;
  }

  dispose(): void {
    this.optimizer.dispose();
  }

  private step(): TrainingEvent {
    const { model, options, state } = this;
    const { cells } = this.optimizer;
    const { microBatches = 1, seed = 0 } = options;
    const batches = Array.from({ length: microBatches }, (_, i) => this.data.batch(state.step, i));
    for (const batch of batches) model.check(batch);
    // What may fail comes before the first gradient is added.
    const programs = batches.map((batch) => lossProgram(model, batch, cells, true));
    programs.forEach((compiled, microBatch) => {
      writeBatch(compiled, batches[microBatch]!);
      compiled.program.seed(seed, state.step, microBatch);
      compiled.program.run();
    });
    const rate = learningRate(options.schedule, state.step + 1, options.steps);
    const { gradientNorm, applied } = this.optimizer.step(rate, state.updates + 1);
    const { loss, tokens } = takeLoss(model.weights.runtime, cells);
    state.step++;
    if (applied) state.updates++;
    else state.skipped++;
    return { type: "step", step: state.step, loss, tokens, learningRate: rate, gradientNorm, applied };
  }

  private validationIsDue(): boolean {
    const { step, validatedStep } = this.state;
    const { validateEvery = 1, steps } = this.options;
    return step > validatedStep && (step % validateEvery === 0 || step === steps);
  }

  private async validate(): Promise<TrainingEvent | undefined> {
    const { model, options, state } = this;
    let loss: number;
    try {
      ({ loss } = await evaluate(model, options.validation!(), options.signal));
    } catch (error) {
      if (options.signal?.aborted) return undefined; // it is made up for when training goes on
      throw error;
    }
    state.validatedStep = state.step;
    const best = loss < (state.bestLoss ?? Infinity); // NaN never is
    if (best) {
      state.bestLoss = loss;
      state.bestStep = state.step;
      state.stale = 0;
      this.best = model.weights.read();
    } else state.stale++;
    return { type: "validation", step: state.step, loss, best };
  }
}
