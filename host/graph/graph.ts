import { Rng } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectRuntime, type Runtime } from "../core/runtime";
import { checkConfig, type Fields, flag, optional } from "../fields";
import { expectFormat, formats } from "./formats";
import type { Operands } from "./instructions";
import { kernelOf, type Operand, operandsOf } from "./operands";
import { Parameter, Table } from "./parameter";
import { expectAxes, formatShape, sameShape } from "./shape";
import { type Address, type DType, Slice, State, type Storage, Tensor, tensorOf } from "./tensor";

/** One line of a program, its operands still symbols. */
export interface Instruction {
  readonly op: Op;
  /** In the kernel's order. */
  readonly operands: readonly (Address | number | null)[];
  /** Floating-point operations, multiply and add counted each. */
  readonly flops: number;
  /** Bytes read and written, where they are not each operand once. */
  readonly bytes?: number;
  /** Path of the layer that recorded it: `encoder.layers.0.attention`; "" outside layers. */
  readonly layer: string;
  /** Whether it belongs to that layer's backward pass. */
  readonly backward: boolean;
}

/** What an instruction costs: for `describe`, and to share the work among threads. */
export interface Cost {
  flops?: number;
  bytes?: number;
}

/** The arrays that an instruction writes (or updates), and those that it only reads, working memory included. */
export function accessesOf({ op, operands }: Instruction): { writes: Address[]; reads: Address[] } {
  const writes: Address[] = [];
  const reads: Address[] = [];
  operandsOf(op).forEach(({ kind }, i) => {
    const operand = operands[i];
    if (operand === null || typeof operand !== "object") return;
    (kind === "out" || kind === "inOut" ? writes : reads).push(operand);
  });
  return { writes, reads };
}

/** Bytes of operands, each tensor counted once, working memory not at all. */
export function bytesOf(operands: readonly Address[]): number {
  const storages = new Map<Storage, number>();
  for (const address of operands) {
    const { storage, dtype } = tensorOf(address);
    if (storage.isScratch) continue;
    const bytes = formats[dtype].bytes(address instanceof Slice ? [address.size] : address.shape);
    storages.set(storage, Math.max(bytes, storages.get(storage) ?? 0));
  }
  return [...storages.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** A differentiable op as recorded: how the gradient of `output` becomes gradients of what it was made of. */
interface Recording {
  readonly output: Tensor;
  readonly backward: (dOut: Tensor) => void;
  readonly layer: string;
}

/** What a graph is recorded for. */
export interface GraphOptions {
  /** Record dropout, and what the backward pass needs. */
  training?: boolean;
}

const fields: Fields<GraphOptions> = { training: optional(flag) };

/**
 * A recording of one program: ops append instructions to it, `backward` appends the gradients.
 *
 * Nothing is computed until the graph is compiled and its program run.
 *
 * @example
 * const graph = new Graph(runtime);
 * const x = graph.input([2, 3]);
 * const y = graph.keep(add(x, x));
 * const program = compile(graph);
 * program.write(x, [1, 2, 3, 4, 5, 6]);
 * program.run();
 * program.read(y); // Float32Array [2, 4, 6, 8, 10, 12]
 */
export class Graph {
  readonly training: boolean;
  readonly instructions: Instruction[] = [];
  /** Arena tensors that the host writes before a run. */
  readonly inputs = new Set<Storage>();
  /** Arena tensors that the host reads after it. */
  readonly kept = new Set<Storage>();

  private readonly recordings: Recording[] = [];
  private readonly states = new Map<object, Tensor<DType>>();
  private readonly gradients = new Map<Tensor, Tensor>();
  /** For gradients' storage: tensors whose own backward still has to read it. */
  private readonly readers = new Map<Storage, Set<Tensor>>();
  /** Of gradients that `backward` was given. */
  private readonly seeds = new Set<Storage>();
  /** By bytes for each thread. */
  private readonly scratches = new Map<number, Tensor>();
  private streams = 0;
  private compiled = false;
  private differentiated = false;
  private layer = "";
  private rng: Tensor<"i32"> | undefined;

  /** @throws TypeError for something else than a runtime, and for unknown options */
  constructor(
    readonly runtime: Runtime,
    options: GraphOptions = {},
  ) {
    expectRuntime("Graph", runtime);
    checkConfig("Graph", options, fields);
    this.training = options.training ?? false;
  }

  /**
   * A tensor that the host writes. It keeps its values until they are written again, or another program runs.
   * @throws RangeError when an axis is not a positive integer; TypeError for an unknown dtype, and for a gradient of another than f32
   */
  input<D extends DType = "f32">(shape: readonly number[], dtype = "f32" as D, needsGradient = false): Tensor<D> {
    this.expectOpen();
    const tensor = this.tensor(shape, { dtype, needsGradient });
    this.inputs.add(tensor.storage);
    return tensor;
  }

  /** A tensor that an instruction of this graph will write. */
  tensor<D extends DType = "f32">(shape: readonly number[], { dtype = "f32" as D, needsGradient = false }: { dtype?: D; needsGradient?: boolean } = {}): Tensor<D> {
    expectAxes("tensor", shape);
    expectFormat("tensor", dtype);
    if (needsGradient && dtype !== "f32") throw new TypeError(`tensor: only f32 tensors have gradients, got ${dtype}`);
    return new Tensor(this, shape, dtype, { bytes: formats[dtype].bytes(shape) }, needsGradient);
  }

  /** The symbol of a parameter, a table or a state in this graph; a tensor of this graph stands for itself. */
  use(source: Tensor | Parameter | Table): Tensor;
  use<D extends DType>(source: Tensor<D> | State<D>): Tensor<D>;
  use(source: Tensor<DType> | Parameter | Table | State<DType>): Tensor<DType> {
    if (source instanceof Tensor) {
      if (source.graph !== this) throw foreign("use");
      return source;
    }
    if (!(source instanceof State || source instanceof Parameter || source instanceof Table)) throw new TypeError(`use: expected a tensor, a parameter, a table or a state, got ${String(source)}`);
    const state = source instanceof State ? source : source.state;
    if (!state) throw new TypeError("the model has no memory yet: call model.place(runtime) first");
    let tensor = this.states.get(source);
    if (!tensor) {
      const { block, shape, dtype, offset } = state;
      if (block.memory !== this.runtime.memory) {
        throw new TypeError(`${block.owner}: ${block.name} belongs to another runtime; a graph uses what lies in the memory of its own`);
      }
      block.expectLive();
      const isTrained = source instanceof Parameter && this.training && source.trainable;
      tensor = new Tensor(this, shape, dtype, { bytes: formats[dtype].bytes(shape), block, offset }, isTrained);
      this.states.set(source, tensor);
      if (isTrained && source.gradient) this.gradients.set(tensor as Tensor, this.use(source.gradient));
    }
    return tensor;
  }

  /** The random cell: seed, step and micro-batch, written before each run by `Program.seed`. */
  random(): Tensor<"i32"> {
    this.rng ??= this.input([Rng.Bytes / 4], "i32");
    return this.rng;
  }

  /** Whether a program of this graph draws random numbers. */
  get randomCell(): Tensor<"i32"> | undefined {
    return this.rng;
  }

  /** A number no other random op of this graph has: it keeps their Philox streams apart. */
  stream(): number {
    return this.streams++;
  }

  /**
   * Appends an instruction; its operands are named as the kernel's parameters.
   * @throws TypeError for an operand that is missing, unknown, of the wrong kind or of another graph, and once the graph is compiled
   */
  emit<O extends keyof Operands>(op: O, operands: Operands[O], cost: Cost = {}): void {
    this.expectOpen();
    const kernel = kernelOf(op);
    const signature = operandsOf(op);
    const values = signature.map((operand) => this.checkOperand(kernel, operand, operands[operand.name as keyof Operands[O]]));
    const unknown = Object.keys(operands).find((name) => !signature.some((operand) => operand.name === name));
    if (unknown !== undefined) throw new TypeError(`${kernel}: there is no operand ${unknown}; its operands are ${signature.map(({ name }) => name).join(", ")}`);
    this.instructions.push({ op, operands: values, flops: cost.flops ?? 0, bytes: cost.bytes, layer: this.layer, backward: this.differentiated });
  }

  private checkOperand(kernel: string, { name, kind, dtype, isOptional }: Operand, value: unknown): Address | number | null {
    if (kind === "scratch") {
      if (!Number.isInteger(value)) throw new TypeError(`${kernel}: ${name}: expected a number of bytes, got ${String(value)}`);
      return this.scratch(value as number);
    }
    if (kind === "flag" && typeof value === "boolean") return value ? 1 : 0;
    if (kind === "count" || kind === "flag" || kind === "scalar") {
      const isValid = kind === "scalar" ? typeof value === "number" : Number.isInteger(value) && value === ((value as number) | 0);
      if (!isValid) throw new TypeError(`${kernel}: ${name}: expected ${kind === "scalar" ? "a number" : "a 32-bit integer"}, got ${String(value)}`);
      return value as number;
    }
    if (value === null && isOptional) return null;
    if (!(value instanceof Tensor || value instanceof Slice)) throw new TypeError(`${kernel}: ${name}: expected a tensor, got ${String(value)}`);
    const tensor: Tensor<DType> = tensorOf(value);
    if (tensor.graph !== this) throw foreign(kernel);
    if (dtype !== undefined && tensor.dtype !== dtype) throw new TypeError(`${kernel}: ${name}: expected ${dtype}, got ${tensor.dtype}`);
    if (dtype === undefined && formats[tensor.dtype].code === undefined) throw new TypeError(`${kernel}: ${name}: expected a format of weights, got ${tensor.dtype}`);
    return value;
  }

  /** Working memory of an instruction, `bytes` for each thread. All that need as much share it: none need wait for another's to be free. */
  private scratch(bytes: number): Tensor {
    let tensor = this.scratches.get(bytes);
    if (!tensor) {
      const elements = Math.ceil((bytes * this.runtime.threads) / 4);
      tensor = new Tensor(this, [elements], "f32", { bytes: elements * 4, isScratch: true }, false);
      this.scratches.set(bytes, tensor);
    }
    return tensor;
  }

  /** Notes on all that `record` records, and on its backward pass, which layer it is. */
  within<T>(layer: string, record: () => T): T {
    const outer = this.layer;
    this.layer = layer;
    try {
      return record();
    } finally {
      this.layer = outer;
    }
  }

  /** Tells how gradients pass an op. Ignored where none can flow. */
  differentiate(output: Tensor, backward: (dOut: Tensor) => void): void {
    if (output.needsGradient) this.recordings.push({ output, backward, layer: this.layer });
  }

  /** Keeps `tensor` readable after a run. */
  keep<D extends DType>(tensor: Tensor<D>): Tensor<D> {
    if (!(tensor instanceof Tensor)) throw new TypeError(`keep: expected a tensor, got ${String(tensor)}`);
    if (tensor.graph !== this) throw foreign("keep");
    this.expectOpen();
    this.kept.add(tensor.storage);
    return tensor;
  }

  /**
   * Records the backward pass from outputs, given their gradients: ops in reverse, each handing gradients to its inputs.
   * Parameters' gradients add to what their memory holds; all others live in the arena.
   * @throws TypeError when the graph already has a backward pass: ops that both share would miss the second one's gradient
   */
  backward(...seeds: readonly (readonly [output: Tensor, dOut: Tensor])[]): void {
    for (const [output, dOut] of seeds) {
      if (!sameShape(output.shape, dOut.shape)) {
        throw new RangeError(`backward: expected a gradient of shape ${formatShape(output.shape)}, got ${formatShape(dOut.shape)}`);
      }
    }
    if (this.differentiated) throw new TypeError("backward: this graph's backward pass is already recorded; pass all outputs in one call, or add the losses");
    this.differentiated = true;
    for (const [output, dOut] of seeds) {
      this.seeds.add(dOut.storage);
      this.addGradient(output, dOut);
    }
    for (const { output, backward, layer } of this.recordings.reverse()) {
      const gradient = this.gradients.get(output);
      if (!gradient) continue; // the loss does not depend on this output
      this.within(layer, () => backward(gradient));
      this.readers.get(gradient.storage)?.delete(output);
      this.gradients.delete(output); // what it points to may be changed in place from here on
    }
    this.recordings.length = 0;
  }

  /** The gradient recorded for an input or a parameter, if any; those of ops' outputs do not outlive the backward pass. */
  gradient(source: Tensor | Parameter): Tensor | undefined {
    return this.gradients.get(this.use(source));
  }

  /**
   * Where a kernel that can accumulate puts its contribution to the gradient of `x`: the first one writes, later ones add.
   */
  accumulate(x: Tensor): { d: Tensor; accumulate: 0 | 1 } {
    if (this.gradients.has(x)) return { d: this.writableGradient(x), accumulate: 1 };
    const d = this.tensor(x.shape);
    this.setGradient(x, d);
    return { d, accumulate: 0 };
  }

  /** The same for a kernel that always adds: an arena gradient is cleared before its first contribution. */
  cleared(x: Tensor): Tensor {
    const { d, accumulate } = this.accumulate(x);
    if (!accumulate) this.emit(Op.Fill, { out: d, n: x.size, value: 0 });
    return d;
  }

  /** Adds `d`, already computed, to the gradient of `x`. The first contribution is taken as it is, without a copy. */
  addGradient(x: Tensor, d: Tensor): void {
    if (!x.needsGradient) return;
    if (!this.gradients.has(x)) return this.setGradient(x, d);
    const sum = this.writableGradient(x);
    this.emit(Op.Add, { out: sum, a: sum, b: d, n: x.size }, { flops: x.size });
  }

  /** Ends the recording: a program has been made of it. */
  seal(): void {
    this.compiled = true;
  }

  private expectOpen(): void {
    if (this.compiled) throw new TypeError("the graph is compiled; nothing can be added to it (record a new one)");
  }

  private setGradient(x: Tensor, d: Tensor): void {
    this.gradients.set(x, d);
    const readers = this.readers.get(d.storage) ?? new Set();
    this.readers.set(d.storage, readers.add(x));
  }

  // A residual connection gives both its branches the same gradient. Before one is changed in place, the other must have been read.
  // What `backward` was given stays as it is: an input that the next run reads again, or a tensor that other ops still need.
  private writableGradient(x: Tensor): Tensor {
    const shared = this.gradients.get(x)!;
    const readers = this.readers.get(shared.storage);
    if (!readers?.has(x)) return shared; // a parameter's
    if (readers.size === 1 && !this.seeds.has(shared.storage) && !this.kept.has(shared.storage)) return shared;
    readers.delete(x);
    const own = this.tensor(x.shape);
    this.emit(Op.Copy, { out: own, x: shared, n: x.size });
    this.setGradient(x, own);
    return own;
  }
}

const foreign = (op: string): TypeError => new TypeError(`${op}: a tensor of another graph cannot be used here; record both ops in one graph`);
