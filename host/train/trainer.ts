import { yieldToEventLoop } from "../core/yieldtoeventloop";
import type { Block } from "../core/memory";
import { callback, checkConfig, count, type Fields, type FieldsByName, finiteOrNull, notNegative, object, optional, seed, whole } from "../fields";
import { ProgramCache } from "../graph/cache";
import type { BatchOf, InputSpecs } from "../models/inputs";
import type { Model } from "../models/model";
import type { WeightArray, Weights } from "../nn/weights";
import { evaluate } from "./evaluate";
import { lossProgram, writeBatch } from "./lossprogram";
import { Optimizer, type OptimizerConfig } from "./optimizer";
import { checkSchedule, learningRate, type Schedule } from "./schedule";
import type { AbortSignalLike } from "../webtypes";

/** Batches by step, so that an interrupted training run can be resumed anywhere. Steps count from 0. */
export interface TrainingData<S extends InputSpecs = InputSpecs> {
  batch(step: number, microBatch: number): BatchOf<S>;
}

/** How a training goes. */
export interface TrainerOptions<S extends InputSpecs = InputSpecs> {
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
  validation?: () => Iterable<BatchOf<S>>;
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

/** Every field of a `TrainerState`, for its check. */
export const trainerStateFields: Fields<TrainerState> = {
  step: whole, updates: whole, skipped: whole, validatedStep: whole, bestStep: whole, bestLoss: finiteOrNull, stale: whole,
};

/** All that a later session needs to go on as if nothing had happened. */
export interface Snapshot {
  state: TrainerState;
  /** The weights to use: the best so far, or the current ones where nothing was validated. */
  best: Map<string, WeightArray>;
  /** `weights.`, `m.`, `v.` (or `velocity.`) + parameter name. */
  training: Map<string, WeightArray>;
}

/** What an i32 holds. */
const MAX_STEPS = 2 ** 31 - 1;
/** Shapes of batches whose programs are kept. */
const PROGRAMS = 256;

const FIELDS: FieldsByName = {
  steps: { ...count, expected: `an integer from 1 to ${MAX_STEPS}`, accepts: (value) => count.accepts(value) && (value as number) <= MAX_STEPS },
  schedule: object,
  optimizer: object,
  seed: optional(seed),
  clip: optional({ ...notNegative, expected: "0, or a number that is above 0 as an f32", accepts: (value) => value === 0 || (notNegative.accepts(value) && Math.fround(value as number) > 0) }),
  microBatches: optional(count),
  validation: optional(callback),
  validateEvery: optional(count),
  patience: optional(count),
  signal: optional(object),
};

/**
 * Trains a model, one event at a time.
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
   * Trains until the last step, until validation stops getting better, or until `signal` aborts.
   * Ends with the best weights in place, except when aborted: then training can go on from `snapshot()`.
   * @throws TypeError once the trainer, or the memory of its model, was disposed
   */
  async *run(): AsyncGenerator<TrainingEvent, void> {
    const { options, state } = this;
    while (true) {
      this.expectLive();
      if (options.validation && this.validationIsDue()) {
        const validation = await this.validate();
        if (validation) yield validation;
      }
      const reason = options.signal?.aborted ? "aborted" : state.stale >= (options.patience ?? Infinity) ? "patience" : state.step >= options.steps ? "steps" : null;
      if (reason) {
        try {
          yield { type: "end", step: state.step, reason }; // a snapshot taken now has the last weights too
        } finally {
          if (reason !== "aborted" && this.best && !this.weights.block.isFree) this.weights.write(this.best);
        }
        return;
      }
      yield this.step();
      await yieldToEventLoop();
    }
  }

  /** A copy of everything that `restore` needs. @throws TypeError as `run` does */
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
   * @throws RangeError when its arrays are not the model's and the optimizer's, TypeError for a state that is none, and as `run` does;
   *   nothing has then changed
   */
  restore({ state, best, training }: Snapshot): void {
    const { weights } = this;
    this.expectLive();
    checkConfig("restore: state", state, trainerStateFields);
    const blocks = this.blocks();
    const parts = blocks.map(([kind]) => new Map([...training].flatMap(([name, array]) => (name.startsWith(`${kind}.`) ? [[name.slice(kind.length + 1), array] as const] : []))));
    const others = [...training.keys()].filter((name) => !blocks.some(([kind]) => name.startsWith(`${kind}.`)));
    if (others.length > 0) throw new RangeError(`restore: the optimizer has no arrays ${others.join(", ")}; expected those of ${blocks.map(([kind]) => kind).join(", ")}`);
    weights.checkArrays(best);
    blocks.forEach(([, block], i) => weights.checkArrays(parts[i]!, block));
    blocks.forEach(([, block], i) => weights.write(parts[i]!, block));
    Object.assign(this.state, state);
    this.best = state.bestLoss === null ? undefined : best;
  }

  /** Releases the optimizer's state and the programs; the model stays. */
  dispose(): void {
    this.programs.dispose();
    this.optimizer.dispose();
  }

  /** The blocks that a snapshot holds, by the prefix of their arrays' names. */
  private blocks(): [string, Block][] {
    return [["weights", this.weights.block], ...this.optimizer.moments];
  }

  private expectLive(): void {
    this.optimizer.expectLive();
    if (this.model.weights !== this.weights) throw new TypeError("Trainer: the model was disposed and placed again since; create a new trainer");
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
      optimizer.discard(); // the step can be tried again
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
