import { type DType } from "./formats";
import { expectAxes, sizeOf } from "./shape";
import type { State } from "./tensor";

/** How a parameter is initialized. Random values come from Philox, keyed by the model's seed and the parameter's index. */
export type Initializer =
  | { readonly kind: "constant"; readonly value: number }
  /** N(0, deviation²) */
  | { readonly kind: "normal"; readonly deviation: number }
  /** U(−bound, bound) */
  | { readonly kind: "uniform"; readonly bound: number };

/**
 * Every element starts as `value`.
 * @throws RangeError unless the value is a finite number
 *
 * @example
 * constant(1); // { kind: "constant", value: 1 }
 */
export function constant(value: number): Initializer {
  if (!Number.isFinite(value)) throw new RangeError(`constant: expected a finite number, got ${value}`);
  return { kind: "constant", value };
}

/**
 * N(0, deviation²).
 * @throws RangeError unless the deviation is a number of at least 0
 *
 * @example
 * normal(0.02); // { kind: "normal", deviation: 0.02 }
 */
export function normal(deviation: number): Initializer {
  if (!(Number.isFinite(deviation) && deviation >= 0)) throw new RangeError(`normal: expected a deviation of at least 0, got ${deviation}`);
  return { kind: "normal", deviation };
}

/** Glorot & Bengio 2010: U(−√(6/(in+out)), √(6/(in+out))). */
export const xavierUniform = (inputs: number, outputs: number): Initializer => ({
  kind: "uniform",
  bound: Math.sqrt(6 / (inputs + outputs)),
});

/** Whether `value` is what `constant`, `normal` or `xavierUniform` returns. */
export const isInitializer = (value: unknown): value is Initializer =>
  ["constant", "normal", "uniform"].includes((value as Initializer | null | undefined)?.kind as string);

/**
 * An array that a model learns. Layers create it; `Weights` allocates it in a runtime's memory.
 *
 * @example
 * new Parameter([256, 64], xavierUniform(64, 256)).size; // 16384
 */
export class Parameter {
  /** Its memory; undefined until the model is placed. */
  state: State<DType> | undefined;
  /** The memory of its gradient; undefined unless the model is being trained. */
  gradient: State | undefined;
  /** Its format in memory, and whether it is trained. Both are fixed when the model is placed. */
  format: DType = "f32";
  trainable = true;

  /**
   * @param formats  "all" for a weight that only products and embedding lookups read, because they decode every weight format
   * @throws RangeError if an axis of the shape is not a positive integer; TypeError if `initializer` is not an initializer
   */
  constructor(
    readonly shape: readonly number[],
    readonly initializer: Initializer,
    readonly formats: "f32" | "all" = "f32",
  ) {
    expectAxes("Parameter", shape);
    if (!isInitializer(initializer)) {
      throw new TypeError(`Parameter: expected an initializer, such as normal(0.02), got ${String(initializer)}`);
    }
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Whether weight decay applies: to matrices, but not to biases and gains (the groups of nanoGPT). */
  get decays(): boolean {
    return this.shape.length >= 2;
  }
}

/** How a table is computed from a layer's settings. A table is neither trained nor saved. */
export type TableRule =
  /** Sines and cosines of positions, Vaswani 2017, section 3.5. */
  | { readonly kind: "sinusoidal" }
  /** Cosines, then sines, of position · base^(−2i/columns) (Su et al. 2021). */
  | { readonly kind: "rotary"; readonly base: number };

/**
 * An array that a layer computes once, when the model is placed.
 *
 * @example
 * new Table([64, 16], { kind: "sinusoidal" }).shape; // [64, 16]
 */
export class Table {
  state: State | undefined;

  /** @throws RangeError if an axis of the shape is not a positive integer; TypeError if `rule` is not a rule */
  constructor(
    readonly shape: readonly number[],
    readonly rule: TableRule,
  ) {
    expectAxes("Table", shape);
    if (!["sinusoidal", "rotary"].includes(rule?.kind)) {
      throw new TypeError(`Table: expected a rule of kind sinusoidal or rotary, got ${String(rule)}`);
    }
  }
}
