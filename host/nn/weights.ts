import { Op } from "../../assembly/opcodes";
import { align, type Block, formatBytes, MEMORY_LIMIT } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { HeedError } from "../errors";
import { hashWords } from "../hash";
import { type DType, formats, type WeightFormat, weightFormats } from "../graph/formats";
import type { Format } from "../graph/formats/format";
import { Graph } from "../graph/graph";
import type { Parameter, Table } from "../graph/parameter";
import { compile } from "../graph/program";
import { formatShape, sizeOf } from "../graph/shape";
import { State } from "../graph/tensor";

/** An array of weights outside linear memory, as files store it. */
export interface WeightArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A contiguous range of trainable parameters that the optimizer treats alike. */
export interface WeightGroup {
  /** Offset from the block's start, in bytes. */
  readonly offset: number;
  /** Number of elements, including the padding between parameters, which stays 0. */
  readonly length: number;
  readonly decays: boolean;
}

/** Options of `Weights`. */
export interface WeightsOptions {
  /** The owner that `runtime.memory.report()` shows. */
  owner?: string;
  /** Tables that layers compute once. */
  tables?: Iterable<Table>;
  /**
   * The format of the weights of products and embeddings, or of each parameter; f32 by default. Only f32 parameters can be trained.
   * For decoding, `panels` is the fastest of the exact formats; `int8` and `int4` are smaller and faster, and round.
   */
  format?: WeightFormat | ((name: string, parameter: Parameter) => WeightFormat);
  /** Whether a parameter is trained; by default, all f32 parameters are. */
  trainable?: (name: string, parameter: Parameter) => boolean;
}

/**
 * A model's parameters in one block of linear memory, each starting on a new cache line: first the trainable ones that decay, then the
 * other trainable ones, then the frozen ones. The blocks of gradients and of an optimizer's moments have the layout of the trainable
 * part, so an update takes two or three instructions.
 *
 * @example
 * const layer = new Linear(64, 256);
 * const weights = new Weights(runtime, layer.parameters());
 * weights.initialize(1);
 * weights.read().get("weight")?.data.length; // 16384
 */
export class Weights {
  readonly block: Block;
  readonly groups: readonly WeightGroup[];
  /** Bytes of the trainable parameters, at the block's start. */
  readonly trainableBytes: number;
  private readonly owner: string;
  private readonly tables: readonly Table[];
  private readonly tableBlock: Block | undefined;
  private gradients: Block | undefined;

  /**
   * @throws TypeError if a parameter is already placed, or a trainable one is not f32; HeedError `memory` if the weights do not fit
   */
  constructor(
    readonly runtime: Runtime,
    readonly parameters: ReadonlyMap<string, Parameter>,
    { owner = "model", tables = [], format = "f32", trainable }: WeightsOptions = {},
  ) {
    const places: { name: string; parameter: Parameter; dtype: DType; isTrained: boolean }[] = [];
    for (const [name, parameter] of parameters) {
      if (parameter.state) throw new TypeError(`${name}: the parameter is already placed as part of another model; dispose that one first`);
      const dtype = formatOf(format, name, parameter);
      const isTrained = trainable ? trainable(name, parameter) : dtype === "f32";
      if (isTrained && dtype !== "f32") throw new TypeError(`${name}: only f32 parameters can be trained, and this one is ${dtype}`);
      places.push({ name, parameter, dtype, isTrained });
    }
    const offsets = new Map<Parameter, number>();
    const groups: WeightGroup[] = [];
    let end = 0;
    const append = (chosen: typeof places): void => {
      for (const { parameter, dtype } of chosen) {
        offsets.set(parameter, end);
        end += align(formats[dtype].bytes(parameter.shape));
      }
    };
    for (const decays of [true, false]) {
      const offset = end;
      append(places.filter(({ parameter, isTrained }) => isTrained && parameter.decays === decays));
      if (end > offset) groups.push({ offset, length: (end - offset) / 4, decays });
    }
    this.groups = groups;
    this.trainableBytes = end;
    append(places.filter(({ isTrained }) => !isTrained));
    if (end > MEMORY_LIMIT) {
      const limit = `WebAssembly's 32-bit memory ends at ${formatBytes(MEMORY_LIMIT)}`;
      throw new HeedError("memory", `the model's weights need ${formatBytes(end)}; ${limit}`);
    }
    this.owner = owner;
    this.tables = [...tables].filter((table) => !table.state);
    this.block = runtime.memory.allocate(end, owner, "weights");
    this.tableBlock = this.placeTables();
    for (const { parameter, dtype, isTrained } of places) {
      parameter.format = dtype;
      parameter.trainable = isTrained;
      parameter.state = new State(this.block, parameter.shape, dtype, offsets.get(parameter)!);
    }
  }

  /** Initializes every parameter and computes the tables. The same seed gives the same weights. */
  initialize(seed: number): void {
    const graph = new Graph(this.runtime);
    const packed: { parameter: Parameter; drawn: ReturnType<Graph["tensor"]> }[] = [];
    for (const parameter of this.parameters.values()) {
      const { initializer, shape, size: n } = parameter;
      const out = parameter.format === "f32" ? graph.use(parameter) : graph.keep(graph.tensor(shape));
      if (parameter.format !== "f32") packed.push({ parameter, drawn: out });
      const stream = graph.stream();
      if (initializer.kind === "constant") graph.emit(Op.Fill, { out, n, value: initializer.value });
      else if (initializer.kind === "normal") {
        graph.emit(Op.RandomNormal, { out, rng: graph.random(), n, deviation: initializer.deviation, stream });
      } else graph.emit(Op.RandomUniform, { out, rng: graph.random(), n, low: -initializer.bound, high: initializer.bound, stream });
    }
    for (const table of this.tables) {
      const [T = 0, C = 0] = table.shape;
      const out = graph.use(table);
      if (table.rule.kind === "sinusoidal") graph.emit(Op.SinusoidalPositions, { out, T, C });
      else graph.emit(Op.RotaryTable, { out, factors: null, L: T, rotated: C, base: table.rule.base, scale: 1 });
    }
    const program = compile(graph);
    program.seed(seed, 0);
    program.run();
    for (const { parameter, drawn } of packed) parameter.state!.write(program.read(drawn));
    program.dispose();
  }

  /** The block of gradients. The first call allocates it, so that graphs recorded afterwards accumulate into it. */
  gradientBlock(): Block {
    if (!this.gradients) {
      this.gradients = this.runtime.memory.allocate(this.trainableBytes, this.owner, "gradients");
      for (const parameter of this.parameters.values()) {
        if (parameter.trainable) parameter.gradient = new State(this.gradients, parameter.shape, "f32", parameter.state!.offset);
      }
    }
    return this.gradients;
  }

  /**
   * Copies the arrays of a block (the weights by default) out of linear memory.
   * @param block  the weights, or a block with the layout of the trainable part: gradients or moments
   */
  read(block = this.block): Map<string, WeightArray> {
    const arrays = new Map<string, WeightArray>();
    for (const [name, state] of this.states(block)) arrays.set(name, { shape: state.shape, data: state.read() as Float32Array });
    return arrays;
  }

  /**
   * Copies arrays into a block (the weights by default).
   * @throws RangeError naming every array that is missing, unknown or of the wrong length; nothing is written in that case. Also if a value
   *   is not finite and the format stores integers
   */
  write(arrays: ReadonlyMap<string, { data: ArrayLike<number> }>, block = this.block): void {
    const states = this.checkArrays(arrays, block);
    for (const [name, state] of states) state.write(arrays.get(name)!.data, 0, name);
  }

  /** Checks arrays without writing them. @throws RangeError as `write` does */
  checkArrays(arrays: ReadonlyMap<string, { data: ArrayLike<number> }>, block = this.block): Map<string, State<DType>> {
    const states = this.states(block);
    const flaws = [...arrays.keys()].filter((name) => !states.has(name)).map((name) => `${name}: there is no such parameter`);
    for (const [name, { size, shape }] of states) {
      const data = arrays.get(name)?.data;
      if (!data) flaws.push(`${name}: missing`);
      else if (data.length !== size) flaws.push(`${name}: expected ${size} values for ${formatShape(shape)}, got ${data.length}`);
    }
    if (flaws.length > 0) throw new RangeError(`weights: the arrays do not fit the model:\n  ${flaws.join("\n  ")}`);
    return states;
  }

  /** A hash of the names, shapes and values, which tells models apart. It does not depend on how exact formats store them. */
  hash(): string {
    const entries = Array.from(this.states(this.block), ([name, state]) => {
      const values = state.read() as Float32Array;
      return [name, state.shape, hashWords(new Uint32Array(values.buffer, values.byteOffset, values.length))];
    });
    const text = JSON.stringify(entries);
    return hashWords(Uint32Array.from(text, (character) => character.codePointAt(0)!));
  }

  /**
   * Returns a function that writes consecutive elements of a parameter, row by row, so that a file can be read in pieces.
   * @throws RangeError if there is no such parameter; the returned function throws one for elements beyond the parameter's end, and if a
   *   value is not finite and the format stores integers
   */
  writer(name: string): (values: Float32Array, from: number) => void {
    const state = this.parameters.get(name)?.state;
    if (!state) throw new RangeError(`weights: there is no parameter ${name}`);
    const format: Format = formats[state.dtype];
    return format.wholeRows ? writeRows(state, name) : (values, from) => state.write(values, from, name);
  }

  /** Frees the memory. The parameters can then be placed again. */
  dispose(): void {
    this.block.free();
    this.tableBlock?.free();
    this.gradients?.free();
    this.gradients = undefined;
    for (const table of this.tables) table.state = undefined;
    for (const parameter of this.parameters.values()) parameter.state = parameter.gradient = undefined;
  }

  /** The arrays of a block by name: all parameters in the weights' block, only the trainable ones in others. */
  private states(block: Block): Map<string, State<DType>> {
    const found = new Map<string, State<DType>>();
    for (const [name, { state, trainable, shape }] of this.parameters) {
      if (!state) throw new TypeError("weights: the model was disposed");
      if (block === this.block) found.set(name, state);
      else if (trainable) found.set(name, new State(block, shape, "f32", state.offset));
    }
    return found;
  }

  private placeTables(): Block | undefined {
    if (this.tables.length === 0) return undefined;
    const sizes = this.tables.map(({ shape }) => align(4 * sizeOf(shape)));
    const block = this.runtime.memory.allocate(sizes.reduce((a, b) => a + b), this.owner, "tables");
    this.tables.forEach((table, i) => {
      table.state = new State(block, table.shape, "f32", sizes.slice(0, i).reduce((a, b) => a + b, 0));
    });
    return block;
  }
}

/** Collects consecutive pieces, and writes each row once it is complete. */
function writeRows(state: State<DType>, name: string): (values: Float32Array, from: number) => void {
  const columns = sizeOf(state.shape.slice(1));
  const row = new Float32Array(columns);
  let filled = 0;
  return (values, from) => {
    let used = 0;
    if (filled > 0) {
      used = Math.min(columns - filled, values.length);
      row.set(values.subarray(0, used), filled);
      filled += used;
      if (filled < columns) return;
      state.write(row, from + used - columns, name);
    }
    const whole = Math.floor((values.length - used) / columns) * columns;
    if (whole > 0) state.write(values.subarray(used, used + whole), from + used, name);
    filled = values.length - used - whole;
    row.set(values.subarray(used + whole));
  };
}

/** @throws TypeError unless the parameter can be stored in that format */
function formatOf(format: NonNullable<WeightsOptions["format"]>, name: string, parameter: Parameter): WeightFormat {
  if (typeof format === "string" && parameter.formats === "f32") return "f32";
  const dtype = typeof format === "string" ? format : format(name, parameter);
  if (!weightFormats.includes(dtype)) {
    throw new TypeError(`${name}: expected one of the weight formats ${weightFormats.join(", ")}, got ${JSON.stringify(dtype)}`);
  }
  if (dtype !== "f32" && parameter.formats === "f32") {
    throw new TypeError(`${name}: only the weights of products and embeddings can be stored as ${dtype}`);
  }
  return dtype;
}
