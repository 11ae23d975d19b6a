import { Cell } from "../../assembly/opcodes";
import type { Batch } from "../batch";
import type { Runtime } from "../core/runtime";
import type { Loss } from "../graph/ops/crossentropy";
import { Graph, type GraphOptions } from "../graph/graph";
import { compile, type Program } from "../graph/program";
import type { Tensor } from "../graph/tensor";
import { Layer } from "../nn/layer";
import { Weights } from "../nn/weights";

/** A program with the symbols its recording returned. */
export interface Compiled<T> {
  readonly program: Program;
  readonly tensors: T;
}

/**
 * What every model is: layers, weights in a runtime's memory, and programs compiled per shape.
 *
 * @example
 * const model = new GPT({ vocabulary: 65, block: 32, layers: 1, heads: 2, width: 16 }).place(runtime, { seed: 1 });
 * [...model.weights.read().keys()].slice(0, 2); // ["embedding.weight", "positions.weight"]
 * model.dispose();
 */
export abstract class Model extends Layer {
  #weights: Weights | undefined;
  #cells = 0;
  readonly #programs = new Map<string, Compiled<unknown>>();

  /** The loss of a batch; the input tensors have the batch's names and shapes. */
  abstract loss(inputs: Record<string, Tensor>): Loss;

  /**
   * @throws RangeError when the batch cannot be run: ids outside the vocabulary, sequences longer than the model takes
   */
  abstract check(batch: Batch): void;

  /**
   * Reserves the weights in a runtime's memory and draws them from `seed`.
   * @throws HeedError `memory` when they do not fit, saying how much they need; RangeError for a seed that is no integer in [0, 2⁵³)
   */
  place(runtime: Runtime, { seed = 0 }: { seed?: number } = {}): this {
    if (this.#weights) throw new TypeError("place: the model already has its memory; dispose it first");
    this.nameLayers();
    const weights = new Weights(runtime, this.parameters());
    try {
      weights.initialize(seed);
    } catch (error) {
      weights.dispose();
      throw error;
    }
    this.#weights = weights;
    return this;
  }

  get weights(): Weights {
    if (!this.#weights) throw new TypeError("the model has no memory yet: call model.place(runtime) first");
    return this.#weights;
  }

  /** The compiled program for `key`; `record` is called once for each key. */
  program<T>(key: string, record: (graph: Graph) => T, options: GraphOptions = {}): Compiled<T> {
    let compiled = this.#programs.get(key) as Compiled<T> | undefined;
    if (!compiled) {
      const graph = new Graph(this.weights.runtime, options);
      const tensors = record(graph);
      compiled = { program: compile(graph), tensors };
      this.#programs.set(key, compiled);
    }
    return compiled;
  }

  /** Address of the cells that evaluation sums up in (see `Cell`). */
  cells(): number {
    return (this.#cells ||= this.weights.runtime.memory.allocate(Cell.Bytes, "the evaluation cells"));
  }

  /** Releases weights and programs. */
  dispose(): void {
    if (this.#cells) this.weights.runtime.memory.free(this.#cells);
    this.#cells = 0;
    for (const { program } of this.#programs.values()) program.dispose();
    this.#programs.clear();
    this.#weights?.dispose();
    this.#weights = undefined;
  }
}

/** @throws RangeError naming the first of a model's sizes that is no integer of at least 1 */
export function checkSizes(model: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`${model}: ${name} must be an integer of at least 1, got ${size}`);
  }
}

/** @throws RangeError naming the first id that is not a whole number in [0, vocabulary) */
export function checkIds(name: string, ids: ArrayLike<number>, vocabulary: number, ignored?: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id !== ignored && !(Number.isInteger(id) && id >= 0 && id < vocabulary)) {
      throw new RangeError(`${name}: token ids must lie in [0, ${vocabulary}), got ${id} at position ${i}`);
    }
  }
}
