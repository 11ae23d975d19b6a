import { yieldToEventLoop } from "../core/yieldtoeventloop";
import type { Block } from "../core/memory";
import {
  callback, checkConfig, count, type Fields, type FieldsByName, finiteOrNull, notNegative, object, optional, seed, whole,
} from "../fields";
import { ProgramCache } from "../graph/cache";
import type { BatchOf, InputSpecs } from "../models/inputs";
import type { Model } from "../models/model";
import type { WeightArray, Weights } from "../nn/weights";
import { evaluate } from "./evaluate";
import { lossProgram, writeBatch } from "./lossprogram";
import { Optimizer, type OptimizerConfig } from "./optimizer";
import { checkSchedule, learningRate, type Schedule } from "./schedule";
import type { AbortSignalLike } from "../webtypes";

/** Batches by step, so that an interrupted training run can be resumed at any step. Steps count from 0. */
export interface TrainingData<S extends InputSpecs = InputSpecs> {
  batch(step: number, microBatch: number): BatchOf<S>;
}

/** Options of a training run. */
export interface TrainerOptions<S extends InputSpecs = InputSpecs> {
  /** Total number of updates. */
  steps: number;
  schedule: Schedule;
  optimizer: OptimizerConfig;
  /** Seeds dropout. */
  seed?: number;
  /** Maximum global gradient norm; larger gradients are scaled down to it. 0, the default, disables clipping. */
  clip?: number;
  /** Batches whose gradients are accumulated before each update; 1 by default. */
  microBatches?: number;
  /** Validation batches, evaluated without dropout. The weights with the lowest validation loss are kept. */
  validation?: () => Iterable<BatchOf<S>>;
  /** Steps between two validations; 1 by default. The last step is always followed by one. */
  validateEvery?: number;
  /** Validations without a new best loss before training stops; unlimited by default. */
  patience?: number;
  /** Stops training between two steps. */
  signal?: AbortSignalLike;
}

/** An event that `Trainer.run` yields, for a progress bar or a log. Losses are means in nats per token. */
export type TrainingEvent =
  /** One update; `loss` is the mean over its tokens. `applied` is false if the loss or a gradient was not finite. */
  | { type: "step"; step: number; loss: number; tokens: number; learningRate: number; gradientNorm: number; applied: boolean }
  | { type: "validation"; step: number; loss: number; best: boolean }
  | { type: "end"; step: number; reason: "steps" | "patience" | "aborted" };

/** The progress of a training run, without its arrays. */
export interface TrainerState {
  step: number;
  /** Updates applied, which excludes skipped steps. */
  updates: number;
  skipped: number;
  /** The step after which the last validation ran. */
  validatedStep: number;
  bestStep: number;
  bestLoss: number | null;
  /** Validations since the best one. */
  stale: number;
}

/** A check for every field of a `TrainerState`. */
export const trainerStateFields: Fields<TrainerState> = {
  step: whole, updates: whole, skipped: whole, validatedStep: whole, bestStep: whole, bestLoss: finiteOrNull, stale: whole,
};

/** Everything a later session needs to resume training with bit-identical results. */
export interface Snapshot {
  state: TrainerState;
  /** The weights to use: the best so far, or the current ones if none have been validated. */
  best: Map<string, WeightArray>;
  /** `weights.`, `m.`, `v.` (or `velocity.`) + parameter name. */
  training: Map<string, WeightArray>;
}

/** The largest i32: the core counts steps in one. */
const MAX_STEPS = 2 ** 31 - 1;
/** Batch shapes whose programs are kept. */
const PROGRAMS = 256;

const FIELDS: FieldsByName = {
  steps: {
    ...count, expected: `an integer from 1 to ${MAX_STEPS}`,
    accepts: (value) => count.accepts(value) && (value as number) <= MAX_STEPS,
  },
  schedule: object,
  optimizer: object,
  seed: optional(seed),
  clip: optional({
    ...notNegative, expected: "0, or a number that is above 0 as an f32",
    accepts: (value) => value === 0 || (notNegative.accepts(value) && Math.fround(value as number) > 0),
  }),
  microBatches: optional(count),
  validation: optional(callback),
  validateEvery: optional(count),
  patience: optional(count),
  signal: optional(object),
};

/**
 * Trains a model and yields an event for each step and validation.
 *
 * @example
 * const trainer = new Trainer(model, data, { steps: 1000, schedule: { kind: "cosine", peak: 1e-3, warmup: 100 }, optimizer: vaswaniAdam });
 * for await (const event of trainer.run()) if (event.type === "step") console.log(event.step, event.loss);
 */
export class Trainer<S extends InputSpecs = InputSpecs> {
  readonly state: TrainerState = { step: 0, updates: 0, skipped: 0, validatedStep: 0, bestStep: 0, bestLoss: null, stale: 0 };
  private readonly weights: Weights;
  private readonly optimizer: Optimizer;
  private readonly programs: ProgramCache;
  private best: Map<string, WeightArray> | undefined;

  /** @throws TypeError for options that are missing, unknown or of the wrong kind; RangeError for values out of range */
  constructor(
    private readonly model: Model<S>,
    private readonly data: TrainingData<S>,
    private readonly options: TrainerOptions<S>,
  ) {
    if (typeof data?.batch !== "function") throw new TypeError("Trainer: expected data with a function batch(step, microBatch)");
    checkConfig("Trainer", options, FIELDS);
    checkSchedule(options.schedule, options.steps);
    this.weights = model.weights;
    this.optimizer = new Optimizer(this.weights, options.optimizer, options.clip ?? 0);
    this.programs = new ProgramCache(this.weights.runtime, PROGRAMS);
  }

  /**
   * Trains until the last step, until the validation loss stops improving, or until `signal` aborts.
   * Ends with the best weights in place. After an abort, the current weights stay, and training can be resumed from `snapshot()`.
   * @throws TypeError if the trainer or its model has been disposed
   */
  async *run(): AsyncGenerator<TrainingEvent, void> {
    const { options, state } = this;
    while (true) {
      this.expectLive();
      if (options.validation && this.validationIsDue()) {
        const validation = await this.validate();
        if (validation) yield validation;
      }
      const reason = this.reasonToEnd();
      if (reason) {
        try {
          yield { type: "end", step: state.step, reason }; // a snapshot taken at this point still has the last weights
        } finally {
          if (reason !== "aborted" && this.best && !this.weights.block.isFree) this.weights.write(this.best);
        }
        return;
      }
      yield this.step();
      await yieldToEventLoop();
    }
  }

  /**
   * Copies everything that `restore` needs.
   * @throws TypeError as `run` does
   */
  snapshot(): Snapshot {
    const { weights } = this;
    this.expectLive();
    const training = new Map<string, WeightArray>();
    for (const [kind, block] of this.blocks()) {
      for (const [name, array] of weights.read(block)) training.set(`${kind}.${name}`, array);
    }
    return { state: { ...this.state }, best: this.best ?? weights.read(), training };
  }

  /**
   * Restores training from a snapshot.
   * If it throws, nothing has changed.
   * @throws RangeError if the arrays do not match the model and the optimizer; TypeError for an invalid state, and as `run` does
   */
  restore({ state, best, training }: Snapshot): void {
    const { weights } = this;
    this.expectLive();
    checkConfig("restore: state", state, trainerStateFields);
    const blocks = this.blocks();
    const parts = blocks.map(([kind]) => {
      const arrays = [...training].filter(([name]) => name.startsWith(`${kind}.`));
      return new Map(arrays.map(([name, array]) => [name.slice(kind.length + 1), array]));
    });
    const others = [...training.keys()].filter((name) => !blocks.some(([kind]) => name.startsWith(`${kind}.`)));
    if (others.length > 0) {
      const kinds = blocks.map(([kind]) => `${kind}.*`).join(", ");
      throw new RangeError(`restore: expected only the arrays ${kinds} of this optimizer, got ${others.join(", ")}`);
    }
    weights.checkArrays(best);
    blocks.forEach(([, block], i) => weights.checkArrays(parts[i]!, block));
    blocks.forEach(([, block], i) => weights.write(parts[i]!, block));
    Object.assign(this.state, state);
    this.best = state.bestLoss === null ? undefined : best;
  }

  /** Releases the optimizer's state and the programs, but not the model. */
  dispose(): void {
    this.programs.dispose();
    this.optimizer.dispose();
  }

  /** The blocks in a snapshot, each with the prefix of its array names. */
  private blocks(): [string, Block][] {
    return [["weights", this.weights.block], ...this.optimizer.moments];
  }

  private expectLive(): void {
    this.optimizer.expectLive();
    if (this.model.weights !== this.weights) {
      throw new TypeError("Trainer: the model has since been disposed and placed again; create a new trainer");
    }
  }

  private step(): TrainingEvent {
    const { model, options, optimizer, state } = this;
    const { microBatches = 1, seed = 0 } = options;
    try {
      for (let microBatch = 0; microBatch < microBatches; microBatch++) {
        const batch = this.data.batch(state.step, microBatch);
        model.check(batch);
        const compiled = lossProgram(model, this.programs, batch, optimizer.cells, true);
        writeBatch(compiled, batch);
        compiled.program.seed(seed, state.step, microBatch);
        compiled.program.run();
      }
    } catch (error) {
      optimizer.discard(); // so that the step can be retried
      throw error;
    }
    const rate = learningRate(options.schedule, state.step + 1, options.steps);
    const { gradientNorm, applied } = optimizer.step(rate, state.updates + 1);
    const { sum, tokens } = optimizer.cells.takeLoss();
    state.step++;
    if (applied) state.updates++;
    else state.skipped++;
    return { type: "step", step: state.step, loss: sum / tokens, tokens, learningRate: rate, gradientNorm, applied };
  }

  private reasonToEnd(): "aborted" | "patience" | "steps" | null {
    const { options, state } = this;
    if (options.signal?.aborted) return "aborted";
    if (state.stale >= (options.patience ?? Infinity)) return "patience";
    return state.step >= options.steps ? "steps" : null;
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
      if (options.signal?.aborted) return undefined; // it runs when training is resumed
      throw error;
    }
    state.validatedStep = state.step;
    const best = loss < (state.bestLoss ?? Infinity); // always false for NaN
    if (best) {
      state.bestLoss = loss;
      state.bestStep = state.step;
      state.stale = 0;
      this.best = model.weights.read();
    } else state.stale++;
    return { type: "validation", step: state.step, loss, best };
  }
}
