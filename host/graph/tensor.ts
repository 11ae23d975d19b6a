import type { Graph } from "./graph";

export type DType = "f32" | "i32" | "f64";
export const bytesPer = (dtype: DType): number => (dtype === "f64" ? 8 : 4);

/**
 * A piece of memory that a graph's instructions read and write.
 * Either the planner places it in the arena, or it stands at an address of its own (weights, caches, cells).
 */
export interface Storage {
  readonly bytes: number;
  /** Set for storage outside the arena. */
  readonly address?: number;
  /** Set for working memory: nothing in it outlives an instruction. */
  readonly isScratch?: boolean;
}

/**
 * A symbol for an array: what layers pass to each other while they record a program.
 * It holds no numbers; those are written and read through the compiled `Program`.
 *
 * @example
 * const x = graph.input([2, 10, 64]);
 * [x.size, x.rows, x.columns]; // [1280, 20, 64]
 */
export class Tensor {
  constructor(
    readonly graph: Graph,
    readonly shape: readonly number[],
    readonly dtype: DType,
    readonly storage: Storage,
    /** Whether a gradient flows to it. */
    readonly needsGradient: boolean,
  ) {}

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Length of the last axis. */
  get columns(): number {
    return this.shape.at(-1) ?? 1;
  }

  /** Product of all axes but the last. */
  get rows(): number {
    return this.size / this.columns;
  }
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

export const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((length, i) => length === b[i]);

/** `[2,3]` */
export const formatShape = (shape: readonly number[]): string => `[${shape.join(",")}]`;

/** How a trainable array starts. Random ones draw from Philox, keyed by the model's seed and the parameter's place in it. */
export type Initializer =
  | { readonly kind: "constant"; readonly value: number }
  /** N(0, deviation²) */
  | { readonly kind: "normal"; readonly deviation: number }
  /** U(−bound, bound) */
  | { readonly kind: "uniform"; readonly bound: number };

/** Every element starts as `value`. */
export const constant = (value: number): Initializer => ({ kind: "constant", value });
/** N(0, deviation²) */
export const normal = (deviation: number): Initializer => ({ kind: "normal", deviation });
/** Glorot & Bengio 2010: U(−√(6/(in+out)), √(6/(in+out))). */
export const xavierUniform = (inputs: number, outputs: number): Initializer => ({ kind: "uniform", bound: Math.sqrt(6 / (inputs + outputs)) });

/**
 * A trainable array. Layers create it; `Weights` gives it its place in a runtime's memory.
 *
 * @example
 * new Parameter([256, 64], xavierUniform(64, 256)).size; // 16384
 */
export class Parameter {
  /** Bytes; 0 until the model is placed. */
  address = 0;
  /** Address of its gradient; 0 unless the model is being trained. */
  gradientAddress = 0;

  constructor(
    readonly shape: readonly number[],
    readonly initializer: Initializer,
  ) {}

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Weight decay applies to matrices, not to biases and gains (as nanoGPT groups them). */
  get decays(): boolean {
    return this.shape.length >= 2;
  }
}
