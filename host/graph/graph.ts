import { Rng } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectRuntime, type Runtime } from "../core/runtime";
import { callback, checkConfig, type Fields, flag, optional } from "../fields";
import { expectFormat, formats } from "./formats";
import type { Operands } from "./instructions";
import { kernelOf, type Operand, operandsOf } from "./operands";
import { Parameter, Table } from "./parameter";
import { expectAxes, formatShape, sameShape } from "./shape";
import { type Address, type DType, Slice, State, type Storage, Tensor, tensorOf } from "./tensor";

/** One instruction of a program; its operands are still symbols. */
export interface Instruction {
  readonly op: Op;
  /** In the kernel's order. */
  readonly operands: readonly (Address | number | null)[];
  /** Floating-point operations; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes read and written, if not simply each operand once. */
  readonly bytes?: number;
  /** Path of the layer that recorded it: `encoder.layers.0.attention`; "" outside layers. */
  readonly layer: string;
  /** Whether it belongs to that layer's backward pass. */
  readonly backward: boolean;
}

/** What an instruction costs, for `describe` and for sharing the work among threads. */
export interface Cost {
  flops?: number;
  bytes?: number;
}

/** The arrays that an instruction writes (or updates), and those it only reads, including working memory. */
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

/** Bytes of the operands. Each tensor counts once; working memory does not count. */
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

/** A recorded differentiable op: `backward` propagates the gradient of `output` to the op's inputs. */
interface Recording {
  readonly output: Tensor;
  readonly backward: (dOut: Tensor) => void;
  readonly layer: string;
}

/** Options of a `Graph`. */
export interface GraphOptions {
  /** Whether to record dropout and what the backward pass needs; false by default. */
  training?: boolean;
  /** Layers, by path, whose attention weights are computed and kept in `attentionWeights`; none by default. */
  weightsOf?: (layer: string) => boolean;
}

const fields: Fields<GraphOptions> = { training: optional(flag), weightsOf: optional(callback) };

/**
 * A recording of one program: ops append instructions, and `backward` appends the backward pass.
 *
 * Nothing is computed until the graph is compiled and its program is run.
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
  /** The weights of attention layers, f32 [B, H, Tq, Tk], by the layers' paths: see `GraphOptions.weightsOf`. */
  readonly attentionWeights = new Map<string, Tensor>();

  private readonly recordings: Recording[] = [];
  private readonly states = new Map<object, Tensor<DType>>();
  private readonly gradients = new Map<Tensor, Tensor>();
  /** By gradient storage: the tensors whose backward op has yet to read it. */
  private readonly readers = new Map<Storage, Set<Tensor>>();
  /** Storage of the gradients passed to `backward`. */
  private readonly seeds = new Set<Storage>();
  /** Working memory, by bytes per thread. */
  private readonly scratches = new Map<number, Tensor>();
  private streams = 0;
  private compiled = false;
  private differentiated = false;
  private layer = "";
  private rng: Tensor<"i32"> | undefined;
  private readonly weightsOf: (layer: string) => boolean;

  /** @throws TypeError if `runtime` is not a runtime, and for unknown options */
  constructor(
    readonly runtime: Runtime,
    options: GraphOptions = {},
  ) {
    expectRuntime("Graph", runtime);
    checkConfig("Graph", options, fields);
    this.training = options.training ?? false;
    this.weightsOf = options.weightsOf ?? (() => false);
  }

  /**
   * A tensor that the host writes. It keeps its values until they are overwritten or another program runs.
   * @throws RangeError if an axis is not a positive integer; TypeError for an unknown dtype, and for a gradient of a dtype other than f32
   */
  input<D extends DType = "f32">(shape: readonly number[], dtype = "f32" as D, needsGradient = false): Tensor<D> {
    this.expectOpen();
    const tensor = this.tensor(shape, { dtype, needsGradient });
    this.inputs.add(tensor.storage);
    return tensor;
  }

  /** A tensor for an instruction of this graph to write. */
  tensor<D extends DType = "f32">(
    shape: readonly number[],
    { dtype = "f32" as D, needsGradient = false }: { dtype?: D; needsGradient?: boolean } = {},
  ): Tensor<D> {
    expectAxes("tensor", shape);
    expectFormat("tensor", dtype);
    if (needsGradient && dtype !== "f32") throw new TypeError(`tensor: only f32 tensors have gradients, got ${dtype}`);
    return new Tensor(this, shape, dtype, { bytes: formats[dtype].bytes(shape) }, needsGradient);
  }

  /** The tensor that represents a parameter, a table or a state in this graph. A tensor of this graph is returned as it is. */
  use(source: Tensor | Parameter | Table): Tensor;
  use<D extends DType>(source: Tensor<D> | State<D>): Tensor<D>;
  use(source: Tensor<DType> | Parameter | Table | State<DType>): Tensor<DType> {
    if (source instanceof Tensor) {
      if (source.graph !== this) throw foreign("use");
      return source;
    }
    if (!(source instanceof State || source instanceof Parameter || source instanceof Table)) {
      throw new TypeError(`use: expected a tensor, a parameter, a table or a state, got ${String(source)}`);
    }
    const state = source instanceof State ? source : source.state;
    if (!state) throw new TypeError("the model has no memory yet: call model.place(runtime) first");
    let tensor = this.states.get(source);
    if (!tensor) {
      const { block, shape, dtype, offset } = state;
      if (block.memory !== this.runtime.memory) {
        const expected = "use a model, trainer or session of the graph's own runtime";
        throw new TypeError(`${block.owner}: ${block.name} belongs to another runtime; ${expected}`);
      }
      block.expectLive();
      const isTrained = source instanceof Parameter && this.training && source.trainable;
      tensor = new Tensor(this, shape, dtype, { bytes: formats[dtype].bytes(shape), block, offset }, isTrained);
      this.states.set(source, tensor);
      if (isTrained && source.gradient) this.gradients.set(tensor as Tensor, this.use(source.gradient));
    }
    return tensor;
  }

  /** The random cell: seed, step and micro-batch. `Program.seed` writes it before each run. */
  random(): Tensor<"i32"> {
    this.rng ??= this.input([Rng.Bytes / 4], "i32");
    return this.rng;
  }

  /** The random cell if any op has used it; undefined if a program of this graph draws no random numbers. */
  get randomCell(): Tensor<"i32"> | undefined {
    return this.rng;
  }

  /** A number that no other random op of this graph has. It keeps their Philox streams apart. */
  stream(): number {
    return this.streams++;
  }

  /**
   * Appends an instruction. Operands have the names of the kernel's parameters.
   * @throws TypeError if an operand is missing, unknown, of the wrong kind or from another graph, or if the graph is already compiled
   */
  emit<O extends keyof Operands>(op: O, operands: Operands[O], cost: Cost = {}): void {
    this.expectOpen();
    const kernel = kernelOf(op);
    const signature = operandsOf(op);
    const values = signature.map((operand) => this.checkOperand(kernel, operand, operands[operand.name as keyof Operands[O]]));
    const unknown = Object.keys(operands).find((name) => !signature.some((operand) => operand.name === name));
    if (unknown !== undefined) {
      const names = signature.map(({ name }) => name).join(", ");
      throw new TypeError(`${kernel}: there is no operand ${unknown}; its operands are ${names}`);
    }
    const { flops = 0, bytes } = cost;
    this.instructions.push({ op, operands: values, flops, bytes, layer: this.layer, backward: this.differentiated });
  }

  private checkOperand(kernel: string, { name, kind, dtype, isOptional }: Operand, value: unknown): Address | number | null {
    if (kind === "scratch") {
      if (!Number.isInteger(value)) throw new TypeError(`${kernel}: ${name}: expected a number of bytes, got ${String(value)}`);
      return this.scratch(value as number);
    }
    if (kind === "flag" && typeof value === "boolean") return value ? 1 : 0;
    if (kind === "count" || kind === "flag" || kind === "scalar") {
      const isValid = kind === "scalar" ? typeof value === "number" : Number.isInteger(value) && value === ((value as number) | 0);
      const expected = kind === "scalar" ? "a number" : "a 32-bit integer";
      if (!isValid) throw new TypeError(`${kernel}: ${name}: expected ${expected}, got ${String(value)}`);
      return value as number;
    }
    if (value === null && isOptional) return null;
    if (!(value instanceof Tensor || value instanceof Slice)) {
      throw new TypeError(`${kernel}: ${name}: expected a tensor, got ${String(value)}`);
    }
    const tensor: Tensor<DType> = tensorOf(value);
    if (tensor.graph !== this) throw foreign(kernel);
    if (dtype !== undefined && tensor.dtype !== dtype) {
      throw new TypeError(`${kernel}: ${name}: expected ${dtype}, got ${tensor.dtype}`);
    }
    if (dtype === undefined && formats[tensor.dtype].code === undefined) {
      throw new TypeError(`${kernel}: ${name}: expected a weight format, got ${tensor.dtype}`);
    }
    return value;
  }

  /** Working memory of `bytes` per thread, shared by all instructions that need this size: each thread reuses its own part. */
  private scratch(bytes: number): Tensor {
    let tensor = this.scratches.get(bytes);
    if (!tensor) {
      const elements = Math.ceil((bytes * this.runtime.threads) / 4);
      tensor = new Tensor(this, [elements], "f32", { bytes: elements * 4, isScratch: true }, false);
      this.scratches.set(bytes, tensor);
    }
    return tensor;
  }

  /** Lets an attention op record its weights, if they are wanted of the layer that records it. */
  tapAttention(shape: readonly number[], record: (weights: Tensor) => void): void {
    if (!this.weightsOf(this.layer)) return;
    const weights = this.keep(this.tensor(shape));
    record(weights);
    this.attentionWeights.set(this.layer, weights);
  }

  /** Runs `record`, and attributes what it records, and its backward pass, to `layer`. */
  within<T>(layer: string, record: () => T): T {
    const outer = this.layer;
    this.layer = layer;
    try {
      return record();
    } finally {
      this.layer = outer;
    }
  }

  /** Registers the backward pass of an op. Ignored if no gradient can flow to `output`. */
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
   * Records the backward pass from the outputs and their gradients: the ops in reverse, each passing gradients to its inputs.
   * Parameter gradients are added to the values in their memory; all other gradients are in the arena.
   * @throws TypeError if the graph already has a backward pass: ops shared by both passes would miss the gradient of the second
   */
  backward(...seeds: readonly (readonly [output: Tensor, dOut: Tensor])[]): void {
    for (const [output, dOut] of seeds) {
      if (!sameShape(output.shape, dOut.shape)) {
        throw new RangeError(`backward: expected a gradient of shape ${formatShape(output.shape)}, got ${formatShape(dOut.shape)}`);
      }
    }
    if (this.differentiated) {
      throw new TypeError("backward: this graph already has a backward pass; pass all outputs in one call, or add the losses");
    }
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
      this.gradients.delete(output); // later ops may change it in place
    }
    this.recordings.length = 0;
  }

  /** The gradient recorded for an input or a parameter, if any. Gradients of op outputs do not outlive the backward pass. */
  gradient(source: Tensor | Parameter): Tensor | undefined {
    return this.gradients.get(this.use(source));
  }

  /** Where an accumulating kernel puts its contribution to the gradient of `x`: the first contribution writes, later ones add. */
  accumulate(x: Tensor): { d: Tensor; accumulate: 0 | 1 } {
    if (this.gradients.has(x)) return { d: this.writableGradient(x), accumulate: 1 };
    const d = this.tensor(x.shape);
    this.setGradient(x, d);
    return { d, accumulate: 0 };
  }

  /** The same for a kernel that always adds: a gradient in the arena is set to zero before its first contribution. */
  cleared(x: Tensor): Tensor {
    const { d, accumulate } = this.accumulate(x);
    if (!accumulate) this.emit(Op.Fill, { out: d, n: x.size, value: 0 });
    return d;
  }

  /** Adds `d` to the gradient of `x`. The first contribution is used as it is, without a copy. */
  addGradient(x: Tensor, d: Tensor): void {
    if (!x.needsGradient) return;
    if (!this.gradients.has(x)) return this.setGradient(x, d);
    const sum = this.writableGradient(x);
    this.emit(Op.Add, { out: sum, a: sum, b: d, n: x.size }, { flops: x.size });
  }

  /** Ends the recording: from now on, nothing can be added. */
  seal(): void {
    this.compiled = true;
  }

  private expectOpen(): void {
    if (this.compiled) throw new TypeError("the graph is already compiled and cannot be changed; record a new one");
  }

  private setGradient(x: Tensor, d: Tensor): void {
    this.gradients.set(x, d);
    const readers = this.readers.get(d.storage) ?? new Set();
    this.readers.set(d.storage, readers.add(x));
  }

  // A residual connection passes the same gradient to both branches, so it is changed in place only if no other tensor still reads it.
  // Gradients passed to `backward` are never changed: they may be inputs that the next run reads again, or tensors other ops need.
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

const foreign = (op: string): TypeError =>
  new TypeError(`${op}: a tensor of another graph cannot be used here; record both ops in one graph`);
