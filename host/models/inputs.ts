import { formatShape, sizeOf } from "../graph/shape";
import type { Tensor } from "../graph/tensor";

/** What a model declares about one of its inputs. */
export interface InputSpec<D extends "i32" | "f32" = "i32" | "f32"> {
  readonly dtype: D;
  /** Axes: a name ("B", "T") if the length varies between batches, a number if it is fixed. A name has one length within a batch. */
  readonly shape: readonly (string | number)[];
  /** For i32: values lie in [0, below), or equal `ignored`. */
  readonly below?: number;
  /** For i32: the value that marks an element to ignore. */
  readonly ignored?: number;
  /** For i32: values are lengths along this axis. */
  readonly along?: string;
}

/** A model's inputs by name. */
export type InputSpecs = Readonly<Record<string, InputSpec>>;

/** A model's inputs as symbolic tensors of a graph. */
export type Inputs<S extends InputSpecs> = { readonly [Name in keyof S]: Tensor<S[Name]["dtype"]> };

/** The typed array that holds each dtype in a batch. */
export interface BatchArrays {
  i32: Int32Array;
  f32: Float32Array;
}

/** The arrays of a batch, one for each input. */
export type BatchOf<S extends InputSpecs> = {
  readonly [Name in keyof S]: { readonly shape: readonly number[]; readonly data: BatchArrays[S[Name]["dtype"]] };
};

/**
 * Declares token ids or other class indices: i32 in [0, below), or `ignored`.
 *
 * @example
 * ids(["B", "T"], 65, -1).dtype; // "i32"
 */
export const ids = (shape: readonly (string | number)[], below: number, ignored?: number) =>
  ({ dtype: "i32", shape, below, ignored }) as const;

/**
 * Declares lengths along an axis: i32 from 0 to the length of the axis.
 *
 * @example
 * lengths(["B"], "S").along; // "S"
 */
export const lengths = (shape: readonly (string | number)[], along: string) => ({ dtype: "i32", shape, along }) as const;

/**
 * Declares numbers such as pixels: f32.
 *
 * @example
 * numbers(["B", 28, 28]).dtype; // "f32"
 */
export const numbers = (shape: readonly (string | number)[]) => ({ dtype: "f32", shape }) as const;

/**
 * Checks that a batch can be run.
 * @param model   the model's name, for error messages
 * @param limits  the maximum length of an axis, by its name
 * @throws TypeError if an array is missing, unknown or of the wrong kind; RangeError if a shape or a value does not fit
 */
export function checkBatch(
  model: string, specs: InputSpecs, limits: Readonly<Record<string, number>>, batch: Record<string, unknown>,
): void {
  const expected = `${model}: expected a batch with the arrays ${Object.keys(specs).join(", ")}`;
  if (typeof batch !== "object" || batch === null) throw new TypeError(`${expected}, got ${String(batch)}`);
  if (typeof (batch as { then?: unknown }).then === "function") {
    throw new TypeError(`${expected}, got a promise: make batches synchronously`);
  }
  for (const name of Object.keys(batch)) if (!Object.hasOwn(specs, name)) throw new TypeError(`${expected}, got unknown array ${name}`);
  const axes = new Map<string, number>();
  for (const [name, spec] of Object.entries(specs)) {
    const array = batch[name] as { shape: readonly number[]; data: ArrayLike<number> } | undefined;
    const where = `${model}: ${name}`;
    if (!array) throw new TypeError(`${expected}, but ${name} is missing`);
    const type = spec.dtype === "i32" ? Int32Array : Float32Array;
    if (!Array.isArray(array.shape) || !(array.data instanceof type)) {
      throw new TypeError(`${where}: expected { shape, data } with ${type.name} data`);
    }
    bindAxes(where, spec, limits, array.shape, axes);
    const size = sizeOf(array.shape);
    if (array.data.length !== size) {
      throw new RangeError(`${where}: expected ${size} numbers for the shape ${formatShape(array.shape)}, got ${array.data.length}`);
    }
  }
  for (const [name, { below, ignored, along }] of Object.entries(specs)) {
    const { data } = batch[name] as { data: Int32Array };
    if (along !== undefined) checkRange(`${model}: ${name}: lengths`, data, axes.get(along)! + 1);
    else if (below !== undefined) checkRange(`${model}: ${name}: ids`, data, below, ignored);
  }
}

function bindAxes(
  where: string, spec: InputSpec, limits: Readonly<Record<string, number>>, shape: readonly number[], axes: Map<string, number>,
): void {
  const fits = shape.length === spec.shape.length && shape.every((length, i) => {
    const axis = spec.shape[i]!;
    return Number.isSafeInteger(length) && length >= 1 && length === (typeof axis === "number" ? axis : (axes.get(axis) ?? length));
  });
  if (!fits) {
    const known = spec.shape.map((axis) => (typeof axis === "string" && axes.has(axis) ? `${axis}=${axes.get(axis)}` : axis));
    throw new RangeError(`${where}: expected the shape [${known.join(",")}], got ${formatShape(shape)}`);
  }
  spec.shape.forEach((axis, i) => {
    if (typeof axis !== "string") return;
    const limit = limits[axis] ?? Infinity;
    if (shape[i]! > limit) throw new RangeError(`${where}: the model takes at most ${limit} along ${axis}, got ${shape[i]}`);
    axes.set(axis, shape[i]!);
  });
}

function checkRange(what: string, values: ArrayLike<number>, below: number, ignored?: number): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value !== ignored && !(value >= 0 && value < below)) {
      const orIgnored = ignored === undefined ? "" : ` or be ${ignored}`;
      throw new RangeError(`${what} must be in [0, ${below})${orIgnored}, got ${value} at position ${i}`);
    }
  }
}

/** @throws RangeError naming the first id that is not an integer in [0, vocabulary) */
export function checkIds(what: string, values: ArrayLike<number>, vocabulary: number): void {
  for (let i = 0; i < values.length; i++) {
    const id = values[i];
    if (!Number.isInteger(id) || id! < 0 || id! >= vocabulary) {
      throw new RangeError(`${what}: token ids must be integers in [0, ${vocabulary}), got ${String(id)} at position ${i}`);
    }
  }
}
