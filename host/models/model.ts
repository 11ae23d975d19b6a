import { expectRuntime, type Runtime } from "../core/runtime";
import { callback, checkConfig, type Fields, optional, seed as seedField, typed } from "../fields";
import { ProgramCache } from "../graph/cache";
import type { Loss } from "../graph/loss";
import { Layer } from "../nn/layer";
import { Weights, type WeightsOptions } from "../nn/weights";
import { type BatchOf, checkBatch, type Inputs, type InputSpecs } from "./inputs";

/** Options of `Model.place`. */
export interface PlaceOptions extends Pick<WeightsOptions, "format" | "trainable"> {
  /** The same seed draws the same weights; 0 by default. */
  seed?: number;
}

const format = typed("a weight format or a function", (value) => typeof value === "string" || typeof value === "function");
const fields: Fields<PlaceOptions> = { seed: optional(seedField), format: optional(format), trainable: optional(callback) };

/** Evaluation programs that a model keeps, one per batch shape. */
const PROGRAMS = 64;

/**
 * What every model is: layers, declared inputs, a loss, and weights in a runtime's memory.
 *
 * @example
 * const model = new GPT({ vocabulary: 65, block: 32, layers: 1, heads: 2, width: 16 }).place(runtime, { seed: 1 });
 * [...model.weights.read().keys()].slice(0, 2); // ["embedding.weight", "positions.weight"]
 * model.dispose();
 */
export abstract class Model<S extends InputSpecs = InputSpecs> extends Layer {
  #weights: Weights | undefined;
  #programs: ProgramCache | undefined;

  /** The inputs of `loss` by name: the arrays that a batch must hold. */
  abstract readonly inputs: S;
  /** The maximum length of an input axis, by its name. */
  readonly limits: Readonly<Record<string, number>> = {};

  /** The loss of a batch. */
  abstract loss(inputs: Inputs<S>): Loss;

  /**
   * Checks that a batch fits the model.
   * @throws TypeError if an array is missing, unknown or of the wrong kind; RangeError if shapes do not fit each other or the model, or
   *   an id is out of range
   */
  check(batch: BatchOf<S>): void {
    checkBatch(this.constructor.name, this.inputs, this.limits, batch);
  }

  /**
   * Allocates the weights in a runtime's memory and initialises them from `seed`.
   * @throws HeedError `memory` if they do not fit, saying how much they need; RangeError for a seed that is not an integer in [0, 2⁵³)
   */
  place(runtime: Runtime, options: PlaceOptions = {}): this {
    expectRuntime("place", runtime);
    checkConfig("place", options, fields);
    const { seed = 0, format, trainable } = options;
    if (this.#weights) throw new TypeError("place: the model already has memory; dispose it first");
    this.nameLayers();
    const weights = new Weights(runtime, this.parameters(), { owner: this.constructor.name, tables: this.tables(), format, trainable });
    try {
      weights.initialize(seed);
    } catch (error) {
      weights.dispose();
      throw error;
    }
    this.#weights = weights;
    this.#programs = new ProgramCache(runtime, PROGRAMS);
    return this;
  }

  /** Whether the model has memory. */
  get isPlaced(): boolean {
    return this.#weights !== undefined;
  }

  get weights(): Weights {
    if (!this.#weights) throw new TypeError("the model has no memory yet: call model.place(runtime) first");
    return this.#weights;
  }

  /** Programs that live as long as the weights. */
  get programs(): ProgramCache {
    if (!this.#programs) throw new TypeError("the model has no memory yet: call model.place(runtime) first");
    return this.#programs;
  }

  /** Releases weights and programs. */
  dispose(): void {
    this.#programs?.dispose();
    this.#programs = undefined;
    this.#weights?.dispose();
    this.#weights = undefined;
  }
}
