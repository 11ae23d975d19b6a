import { Rng } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { formatBytes } from "../core/memory";
import { seedKey } from "../seed";
import { type Address, bytesOf, type Graph, type Instruction, Scalar, Slice, tensorOf } from "./graph";
import { checkIndices } from "./indices";
import { lifetimes, plan, type Plan } from "./planner";
import { share, shareBits, type Sharing } from "./sharing";
import { bytesPer, formatShape, type Tensor } from "./tensor";

/** One instruction as `describe` tells it. */
export interface InstructionInfo {
  readonly name: string;
  readonly outputs: string[];
  readonly inputs: string[];
  readonly flops: number;
  /** Bytes of all operands: what the instruction would move if nothing were cached. */
  readonly bytes: number;
  /** Path of the layer that recorded it: `encoder.layers.0.attention`; "" outside layers. */
  readonly layer: string;
  /** Whether it belongs to that layer's backward pass. */
  readonly backward: boolean;
}

/** What `Program.describe` tells. */
export interface ProgramInfo {
  readonly instructions: InstructionInfo[];
  readonly flops: number;
  /** Peak memory of the intermediates, in bytes. */
  readonly arenaBytes: number;
  /** Size of the instruction list, in bytes. */
  readonly codeBytes: number;
}

/** Numbers the host may write to a tensor. */
export type Values = ArrayLike<number>;

/**
 * Plans memory and turns a graph into a program.
 * @throws HeedError `memory` when the arena does not fit
 *
 * @example
 * const x = graph.input([2]);
 * const y = graph.keep(scale(x, 3));
 * const program = compile(graph);
 * program.write(x, [1, 2]);
 * program.run();
 * program.read(y); // Float32Array [3, 6]
 */
export function compile(graph: Graph, options: { reuse?: boolean; grain?: number } = {}): Program {
  graph.seal();
  const placed = plan(lifetimes(graph), options);
  const { threads } = graph.runtime;
  return new Program(graph, placed, threads > 1 ? share(graph, placed, threads, options.grain) : undefined);
}

/**
 * A compiled graph: a list of instructions in linear memory, run by a single call into the core.
 *
 * Programs of one runtime share the arena: inputs are written right before `run`, and results read right after it.
 *
 * @example
 * const x = graph.input([2]);
 * const y = graph.keep(scale(x, 3));
 * const program = compile(graph);
 * program.write(x, [1, 2]);
 * program.run();
 * program.read(y); // Float32Array [3, 6]
 * program.describe().instructions[0].name; // "scale"
 * program.dispose();
 */
export class Program {
  private readonly words: number;
  private code = 0;
  private linkedTo = -1;
  private disposed = false;

  constructor(
    private readonly graph: Graph,
    private readonly plan: Plan,
    private readonly sharing?: readonly Sharing[],
  ) {
    this.words = 1 + graph.instructions.reduce((words, instruction) => words + 2 + operands(instruction).length, 0);
    graph.runtime.reserveArena(plan.bytes);
  }

  /**
   * Replays the instructions.
   * @throws TypeError when the inputs were not written, or another program has used the arena since
   */
  run(): void {
    this.link();
    if (this.graph.inputs.size > 0) this.expectOwnArena("run");
    this.graph.runtime.arenaOwner = this;
    this.graph.runtime.run(this.code);
  }

  /**
   * Runs as `run` does, but calls the core for each instruction, to time it: the whole takes up to 0.1 µs an instruction longer.
   * @param now  a clock
   * @returns how long each instruction took, in the clock's unit
   */
  time(now: () => number): Float64Array {
    this.link();
    if (this.graph.inputs.size > 0) this.expectOwnArena("time");
    const { runtime, instructions } = this.graph;
    runtime.arenaOwner = this;
    const words = runtime.memory.i32(this.code, this.words);
    const times = new Float64Array(instructions.length);
    let at = 0;
    for (let i = 0; i < times.length; i++) {
      const end = at + (words[at + 1]! & 0xffff);
      const next = words[end]!;
      words[end] = Op.End;
      try {
        const start = now();
        runtime.run(this.code + 4 * at);
        times[i] = now() - start;
      } finally {
        words[end] = next;
      }
      at = end;
    }
    return times;
  }

  /**
   * Writes an input.
   * @throws RangeError when the number of values is not the tensor's, or an index is out of range; TypeError when it is no input
   */
  write(tensor: Tensor, values: Values): void {
    if (tensor.storage.address === undefined && !this.graph.inputs.has(tensor.storage)) throw new TypeError("write: the tensor is not an input of this program");
    if (values.length !== tensor.size) {
      throw new RangeError(`write: a tensor of shape ${formatShape(tensor.shape)} takes ${tensor.size} values, got ${values.length}`);
    }
    checkIndices(tensor, values);
    this.view(tensor).set(values);
    this.graph.runtime.arenaOwner = this;
  }

  /**
   * A copy of a tensor that was kept.
   * @throws TypeError when it was not kept, or another program has used the arena since
   */
  read(tensor: Tensor): Float32Array | Int32Array | Float64Array {
    if (tensor.storage.address === undefined && !this.graph.kept.has(tensor.storage)) {
      throw new TypeError("read: the tensor's memory is reused within the program; keep it while recording (graph.keep)");
    }
    const view = this.view(tensor);
    if (tensor.storage.address === undefined) this.expectOwnArena("read");
    return view.slice();
  }

  /**
   * Sets the seed and the share of the random stream that the next run draws.
   * @throws RangeError for a seed that is no integer in [0, 2⁵³)
   */
  seed(seed: number, step: number, microBatch = 0): void {
    const [low, high] = seedKey(seed);
    const cell = this.graph.randomCell;
    if (!cell) return;
    const view = this.view(cell);
    view[Rng.SeedLow / 4] = low;
    view[Rng.SeedHigh / 4] = high;
    view[Rng.Step / 4] = step;
    view[Rng.MicroBatch / 4] = microBatch;
    this.graph.runtime.arenaOwner = this;
  }

  /** Releases the instruction list; the program cannot be used afterwards. */
  dispose(): void {
    if (this.code) this.graph.runtime.memory.free(this.code);
    this.code = 0;
    this.disposed = true;
  }

  /** Every instruction with its shapes, FLOPs and bytes, and the peak memory. */
  describe(): ProgramInfo {
    const instructions = this.graph.instructions.map(({ name, outputs, inputs, flops, bytes, layer, backward }) => ({
      name, outputs: outputs.map(formatOperand), inputs: inputs.map(formatOperand), flops, bytes: bytes ?? bytesOf(outputs) + bytesOf(inputs), layer, backward,
    }));
    const flops = instructions.reduce((sum, instruction) => sum + instruction.flops, 0);
    return { instructions, flops, arenaBytes: this.plan.bytes, codeBytes: this.words * 4 };
  }

  /** `describe` as a table. */
  toString(): string {
    const { instructions, flops, arenaBytes, codeBytes } = this.describe();
    const lines = instructions.map(
      (line, i) => `${String(i).padStart(4)}  ${line.name.padEnd(28)} ${line.outputs.join(" ")} ← ${line.inputs.join(" ")}  ${line.flops} FLOP, ${formatBytes(line.bytes)}${line.layer && `  ${line.layer}`}${line.backward ? " (backward)" : ""}`,
    );
    lines.push(`${instructions.length} instructions, ${(flops / 1e9).toFixed(3)} GFLOP, arena ${formatBytes(arenaBytes)}, code ${formatBytes(codeBytes)}`);
    return lines.join("\n");
  }

  private expectOwnArena(op: string): void {
    if (this.graph.runtime.arenaOwner === this) return;
    throw new TypeError(`${op}: the arena holds another program's numbers by now; write the inputs again, run, and read at once`);
  }

  private view(tensor: Tensor): Float32Array | Int32Array | Float64Array {
    this.link();
    return this.graph.runtime.memory[tensor.dtype](this.addressOf(tensor), tensor.size);
  }

  private addressOf(operand: Address): number {
    if (operand === null) return 0;
    const tensor = operand instanceof Slice ? operand.tensor : operand;
    const offset = operand instanceof Slice ? operand.offset * bytesPer(tensor.dtype) : 0;
    const { storage } = tensor;
    const base = storage.address ?? this.linkedTo + this.plan.offsets.get(storage)!;
    return base + offset;
  }

  /** Writes the instructions with the addresses that hold while the arena stays where it is. */
  private link(): void {
    if (this.disposed) throw new TypeError("the program was disposed, or the model that it belongs to");
    const { runtime, instructions } = this.graph;
    const arena = runtime.reserveArena(this.plan.bytes);
    if (arena === this.linkedTo && this.code) return;
    this.code ||= runtime.memory.allocate(this.words * 4, "a program");
    this.linkedTo = arena;
    const ints = runtime.memory.i32(this.code, this.words);
    const floats = runtime.memory.f32(this.code, this.words);
    let at = 0;
    instructions.forEach((instruction, i) => {
      const list = operands(instruction);
      ints[at++] = instruction.op;
      ints[at++] = 2 + list.length + (this.sharing ? shareBits(this.sharing[i]!) : 0);
      for (const operand of list) {
        if (operand instanceof Scalar) floats[at++] = operand.value;
        else ints[at++] = typeof operand === "number" ? operand : this.addressOf(operand);
      }
    });
    ints[at] = Op.End;
  }
}

const operands = ({ outputs, inputs, numbers }: Instruction): (Address | number | Scalar)[] => [...outputs, ...inputs, ...numbers];

const formatOperand = (address: Address): string => {
  if (address === null) return "–";
  const tensor = tensorOf(address)!;
  return `${tensor.dtype}${formatShape(tensor.shape)}${address instanceof Slice && address.offset ? `+${address.offset}` : ""}`;
};
