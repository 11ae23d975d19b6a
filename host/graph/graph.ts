import { Rng } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import type { Runtime } from "../core/runtime";
import { bytesPer, formatShape, type DType, type Parameter, sameShape, type Storage, sizeOf, Tensor } from "./tensor";

/** An f32 operand of an instruction. */
export class Scalar {
  constructor(readonly value: number) {}
}
export const f32 = (value: number): Scalar => new Scalar(value);

/** A tensor from its `offset`-th element on. */
export class Slice {
  constructor(
    readonly tensor: Tensor,
    readonly offset: number,
    /** How many elements of it the instruction takes, if not the whole tensor's. */
    readonly size = tensor.size,
  ) {}
}

/** An address operand: a tensor, a part of one, or nothing. */
export type Address = Tensor | Slice | null;

export const tensorOf = (address: Address): Tensor | undefined => (address instanceof Slice ? address.tensor : (address ?? undefined));

export const storageOf = (address: Address): Storage | undefined => tensorOf(address)?.storage;

/** Bytes of operands, each tensor counted once, working memory not at all. */
export function bytesOf(operands: readonly Address[]): number {
  const storages = new Map<Storage, number>();
  for (const address of operands) {
    const tensor = tensorOf(address);
    if (!tensor || tensor.storage.isScratch) continue;
    const size = address instanceof Slice ? address.size : tensor.size;
    storages.set(tensor.storage, Math.max(size * bytesPer(tensor.dtype), storages.get(tensor.storage) ?? 0));
  }
  return [...storages.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** One line of a program, its operands still symbols. */
export interface Instruction {
  readonly op: Op;
  /** The kernel's name, for `describe()`. */
  readonly name: string;
  readonly outputs: readonly Address[];
  readonly inputs: readonly Address[];
  /** Counts, scalars and flags, in the kernel's order. */
  readonly numbers: readonly (number | Scalar)[];
  /** Floating-point operations, multiply and add counted each. */
  readonly flops: number;
  /** Bytes read and written, where they are not each operand once. */
  readonly bytes?: number;
  /** Path of the layer that recorded it: `encoder.layers.0.attention`; "" outside layers. */
  readonly layer: string;
  /** Whether it belongs to that layer's backward pass. */
  readonly backward: boolean;
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
  private readonly parameters = new Map<Parameter, Tensor>();
  private readonly gradients = new Map<Tensor, Tensor>();
  /** For gradients' storage: tensors whose own backward still has to read it. */
  private readonly readers = new Map<Storage, Set<Tensor>>();
  /** By bytes for each thread. */
  private readonly scratches = new Map<number, Tensor>();
  private streams = 0;
  private compiled = false;
  private differentiated = false;
  private layer = "";
  private rng: Tensor | undefined;

  constructor(
    readonly runtime: Runtime,
    { training = false }: GraphOptions = {},
  ) {
    this.training = training;
  }

  /** A tensor that the host writes before each run. */
  input(shape: readonly number[], dtype: DType = "f32", needsGradient = false): Tensor {
    this.expectOpen();
    const tensor = this.tensor(shape, { dtype, needsGradient });
    this.inputs.add(tensor.storage);
    return tensor;
  }

  /** A tensor that an instruction of this graph will write. */
  tensor(shape: readonly number[], { dtype = "f32", needsGradient = false }: { dtype?: DType; needsGradient?: boolean } = {}): Tensor {
    if (shape.some((length) => !Number.isInteger(length) || length < 1)) {
      throw new RangeError(`shape: every axis must be a positive integer, got ${formatShape(shape)}`);
    }
    return new Tensor(this, shape, dtype, { bytes: sizeOf(shape) * bytesPer(dtype) }, needsGradient);
  }

  /** Memory outside the arena: it keeps its contents between runs and may be shared by programs. */
  fixed(address: number, shape: readonly number[], dtype: DType = "f32"): Tensor {
    return new Tensor(this, shape, dtype, { bytes: sizeOf(shape) * bytesPer(dtype), address }, false);
  }

  /** Working memory of an instruction, `bytes` for each thread. All that need as much have the same: none need wait for another's to be free. */
  scratch(bytes: number): Tensor {
    let tensor = this.scratches.get(bytes);
    if (!tensor) {
      const elements = Math.ceil((bytes * this.runtime.threads) / 4);
      tensor = new Tensor(this, [elements], "f32", { bytes: elements * 4, isScratch: true }, false);
      this.scratches.set(bytes, tensor);
    }
    return tensor;
  }

  /** A parameter's symbol in this graph; a tensor stands for itself. */
  use(source: Tensor | Parameter): Tensor {
    if (source instanceof Tensor) {
      if (source.graph !== this) throw foreign("use");
      return source;
    }
    let tensor = this.parameters.get(source);
    if (!tensor) {
      if (!source.address) throw new TypeError("the model has no memory yet: call model.place(runtime) first");
      tensor = new Tensor(this, source.shape, "f32", { bytes: source.size * 4, address: source.address }, this.training);
      this.parameters.set(source, tensor);
      if (source.gradientAddress) this.gradients.set(tensor, this.fixed(source.gradientAddress, source.shape));
    }
    return tensor;
  }

  /** The random cell: seed, step and micro-batch, written before each run by `Program.seed`. */
  random(): Tensor {
    this.rng ??= this.input([Rng.Bytes / 4], "i32");
    return this.rng;
  }

  /** Whether a program of this graph draws random numbers. */
  get randomCell(): Tensor | undefined {
    return this.rng;
  }

  /** A number no other random op of this graph has: it keeps their Philox streams apart. */
  stream(): number {
    return this.streams++;
  }

  /**
   * Appends an instruction.
   * @throws TypeError for a tensor of another graph, and once the graph is compiled
   */
  emit(instruction: Omit<Instruction, "flops" | "layer" | "backward"> & { flops?: number }): void {
    this.expectOpen();
    for (const address of [...instruction.outputs, ...instruction.inputs]) {
      const tensor = address instanceof Slice ? address.tensor : address;
      if (tensor && tensor.graph !== this) throw foreign(instruction.name);
    }
    this.instructions.push({ flops: 0, ...instruction, layer: this.layer, backward: this.differentiated });
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
  keep(tensor: Tensor): Tensor {
    this.expectOpen();
    this.kept.add(tensor.storage);
    return tensor;
  }

  /**
   * Records the backward pass from `output`, given its gradient: ops in reverse, each handing gradients to its inputs.
   * Parameters' gradients add to what their memory holds; all others live in the arena.
   * @throws TypeError when the graph has a backward pass already: ops that both share would miss the second one's gradient
   */
  backward(output: Tensor, dOut: Tensor): void {
    if (!sameShape(output.shape, dOut.shape)) {
      throw new RangeError(`backward: expected a gradient of shape ${formatShape(output.shape)}, got ${formatShape(dOut.shape)}`);
    }
    if (this.differentiated) throw new TypeError("backward: this graph's backward pass is already recorded; add the losses up, or use a graph for each");
    this.differentiated = true;
    this.addGradient(output, dOut);
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
    if (!accumulate) this.emit({ name: "fill", op: Op.Fill, outputs: [d], inputs: [], numbers: [x.size, f32(0)] });
    return d;
  }

  /** Adds `d`, already computed, to the gradient of `x`. The first contribution is taken as it is, without a copy. */
  addGradient(x: Tensor, d: Tensor): void {
    if (!x.needsGradient) return;
    if (!this.gradients.has(x)) return this.setGradient(x, d);
    const sum = this.writableGradient(x);
    this.emit({ name: "add", op: Op.Add, outputs: [sum], inputs: [sum, d], numbers: [x.size], flops: x.size });
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
  private writableGradient(x: Tensor): Tensor {
    const shared = this.gradients.get(x)!;
    const readers = this.readers.get(shared.storage);
    if (!readers || (readers.size === 1 && readers.has(x))) return shared;
    readers.delete(x);
    const own = this.tensor(x.shape);
    this.emit({ name: "copy", op: Op.Copy, outputs: [own], inputs: [shared], numbers: [x.size] });
    this.setGradient(x, own);
    return own;
  }
}

const foreign = (op: string): TypeError => new TypeError(`${op}: a tensor of another graph cannot be used here; record both ops in one graph`);
