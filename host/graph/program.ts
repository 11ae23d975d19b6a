import { Rng } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { type Block, formatBytes } from "../core/memory";
import { seedKey } from "../seed";
import { type ArrayOf, expectNumbers, formats } from "./formats";
import { accessesOf, bytesOf, Graph } from "./graph";
import { checkIndices } from "./indices";
import { kernelOf, operandsOf } from "./operands";
import { lifetimes, plan, type Plan } from "./planner";
import { formatShape } from "./shape";
import { share, shareBits, type Sharing } from "./sharing";
import { type Address, byteOffset, type DType, Slice, type Storage, type Tensor, tensorOf } from "./tensor";

/** One instruction, as `describe` reports it. */
export interface InstructionInfo {
  readonly name: string;
  readonly outputs: string[];
  readonly inputs: string[];
  readonly flops: number;
  /** Bytes of all operands: the memory traffic of the instruction if nothing were cached. */
  readonly bytes: number;
  /** Path of the layer that recorded it: `encoder.layers.0.attention`; "" outside layers. */
  readonly layer: string;
  /** Whether it belongs to that layer's backward pass. */
  readonly backward: boolean;
}

/** What `Program.describe` reports. */
export interface ProgramInfo {
  readonly instructions: InstructionInfo[];
  readonly flops: number;
  /** Peak memory of the intermediates, in bytes. */
  readonly arenaBytes: number;
  /** Size of the instruction list, in bytes. */
  readonly codeBytes: number;
}

/**
 * Plans memory and turns a graph into a program.
 * @throws HeedError `memory` if the arena does not fit in memory
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
  if (!(graph instanceof Graph)) throw new TypeError(`compile: expected a graph, got ${String(graph)}`);
  graph.seal();
  const placed = plan(lifetimes(graph), options);
  const { threads } = graph.runtime;
  return new Program(graph, placed, threads > 1 ? share(graph, placed, threads, options.grain) : undefined);
}

/**
 * A compiled graph: a list of instructions in linear memory, run by a single call into the core.
 *
 * Programs of one runtime share the arena. A program's inputs keep their values across its own runs, and its results can be read,
 * until another program is written to or run. After that, running the program with the old inputs or reading its results throws.
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
  /** The storages outside the arena. */
  private readonly external: ReadonlySet<Storage>;
  /** The inputs whose values are still in the arena. */
  private readonly written = new Set<Storage>();
  private hasRun = false;
  private code: Block | undefined;
  private arena: Block | undefined;
  private linkedAt = -1;
  private disposed = false;

  constructor(
    private readonly graph: Graph,
    private readonly plan: Plan,
    private readonly sharing?: readonly Sharing[],
  ) {
    this.words = 1 + graph.instructions.reduce((words, { operands }) => words + 2 + operands.length, 0);
    const addresses = graph.instructions.flatMap((instruction) => Object.values(accessesOf(instruction)).flat());
    this.external = new Set(addresses.map((address) => tensorOf(address).storage).filter(({ block }) => block));
    this.arena = graph.runtime.reserveArena(plan.bytes);
  }

  /**
   * Runs all instructions.
   * @throws TypeError if an input was never written, if another program has used the arena since, or if memory that the program uses
   *   was freed
   */
  run(): void {
    this.prepare("run");
    this.graph.runtime.run(this.code!.address);
    this.hasRun = true;
  }

  /**
   * Runs like `run`, but calls the core once per instruction to time each one. This adds up to 0.1 µs per instruction.
   * @param now  a clock
   * @returns the duration of each instruction, in the clock's unit
   */
  time(now: () => number): Float64Array {
    this.prepare("time");
    const { runtime, instructions } = this.graph;
    const words = this.code!.i32(0, this.words);
    const times = new Float64Array(instructions.length);
    let at = 0;
    for (let i = 0; i < times.length; i++) {
      const end = at + (words[at + 1]! & 0xffff);
      const next = words[end]!;
      words[end] = Op.End;
      try {
        const start = now();
        runtime.run(this.code!.address + 4 * at);
        times[i] = now() - start;
      } finally {
        words[end] = next;
      }
      at = end;
    }
    this.hasRun = true;
    return times;
  }

  /**
   * Writes an input or a state.
   * @throws RangeError if the number of values is not the tensor's size, or an index is out of range; TypeError if the tensor is not an
   *   input, or a value is not a number
   */
  write(tensor: Tensor<DType>, values: ArrayLike<number>): void {
    this.expectMine(tensor, "write");
    if (!tensor.storage.block && !this.graph.inputs.has(tensor.storage)) {
      throw new TypeError("write: the tensor is not an input of this program");
    }
    if (values.length !== tensor.size) {
      const expected = `${tensor.size} values for a tensor of shape ${formatShape(tensor.shape)}`;
      throw new RangeError(`write: expected ${expected}, got ${values.length}`);
    }
    checkIndices(tensor, values);
    expectNumbers("write", tensor.dtype, values);
    const { block, offset } = this.placeOf(tensor);
    formats[tensor.dtype].write(block, offset, tensor.shape, values, 0, "write");
    if (tensor.storage.block) return;
    this.own();
    this.written.add(tensor.storage);
  }

  /**
   * Returns a copy of a kept tensor.
   * @throws TypeError if the tensor was not kept, if the program has not run, or if another program has used the arena since
   */
  read<D extends DType>(tensor: Tensor<D>): ArrayOf<D> {
    this.expectMine(tensor, "read");
    if (!tensor.storage.block) {
      if (!this.graph.kept.has(tensor.storage)) {
        throw new TypeError("read: the tensor was not kept, so its memory is reused; call graph.keep while recording");
      }
      if (this.graph.runtime.arenaOwner !== this || !this.hasRun) {
        const hint = "run it, and read before another program is written to or run";
        throw new TypeError(`read: the arena holds no result of this program; ${hint}`);
      }
    }
    const { block, offset } = this.placeOf(tensor);
    return formats[tensor.dtype].read(block, offset, tensor.shape) as ArrayOf<D>;
  }

  /**
   * Sets the seed, step and micro-batch that determine the random numbers of the next run.
   * @throws RangeError if the seed is not an integer in [0, 2⁵³)
   */
  seed(seed: number, step: number, microBatch = 0): void {
    const [low, high] = seedKey(seed);
    const cell = this.graph.randomCell;
    if (!cell) return;
    const words = new Int32Array(Rng.Bytes / 4);
    words[Rng.SeedLow / 4] = low;
    words[Rng.SeedHigh / 4] = high;
    words[Rng.Step / 4] = step;
    words[Rng.MicroBatch / 4] = microBatch;
    this.write(cell, words);
  }

  /** Frees the instruction list. The program cannot be used afterwards. */
  dispose(): void {
    this.code?.free();
    this.code = undefined;
    this.disposed = true;
    if (this.graph.runtime.arenaOwner === this) this.graph.runtime.arenaOwner = undefined;
  }

  /** Every instruction with its shapes, FLOPs and bytes, and the peak memory. */
  describe(): ProgramInfo {
    const instructions = this.graph.instructions.map((instruction) => {
      const { op, flops, bytes, layer, backward } = instruction;
      const { writes, reads } = accessesOf(instruction);
      return {
        name: kernelOf(op),
        outputs: formatOperands(instruction, true),
        inputs: formatOperands(instruction, false),
        flops,
        bytes: bytes ?? bytesOf([...writes, ...reads]),
        layer,
        backward,
      };
    });
    const flops = instructions.reduce((sum, instruction) => sum + instruction.flops, 0);
    return { instructions, flops, arenaBytes: this.plan.bytes, codeBytes: this.words * 4 };
  }

  /** `describe` as a table. */
  toString(): string {
    const { instructions, flops, arenaBytes, codeBytes } = this.describe();
    const lines = instructions.map((line, i) => {
      const operands = `${line.outputs.join(" ")} ← ${line.inputs.join(" ")}`;
      const layer = `${line.layer && `  ${line.layer}`}${line.backward ? " (backward)" : ""}`;
      return `${String(i).padStart(4)}  ${line.name.padEnd(28)} ${operands}  ${line.flops} FLOP, ${formatBytes(line.bytes)}${layer}`;
    });
    const memory = `arena ${formatBytes(arenaBytes)}, code ${formatBytes(codeBytes)}`;
    lines.push(`${instructions.length} instructions, ${(flops / 1e9).toFixed(3)} GFLOP, ${memory}`);
    return lines.join("\n");
  }

  /** Links the program and checks that the arena holds every input. */
  private prepare(op: string): void {
    this.link();
    const { inputs, runtime } = this.graph;
    if (inputs.size > 0 && (runtime.arenaOwner !== this || this.written.size < inputs.size)) {
      const missing = runtime.arenaOwner === this ? [...inputs].findIndex((storage) => !this.written.has(storage)) : 0;
      const hint = [...inputs][missing] === this.graph.randomCell?.storage ? " (it is the random cell: call program.seed)" : "";
      throw new TypeError(
        runtime.arenaOwner === this || this.written.size === 0
          ? `${op}: input ${missing} of ${inputs.size} was never written${hint}`
          : `${op}: another program has used the arena since the inputs were written; write all of them again`,
      );
    }
    this.own();
    this.hasRun = false;
  }

  /** Takes over the arena. The values of other programs are lost, and so are those that this one wrote before another took over. */
  private own(): void {
    const { runtime } = this.graph;
    if (runtime.arenaOwner === this) return;
    runtime.arenaOwner = this;
    this.written.clear();
    this.hasRun = false;
  }

  private expectMine(tensor: Tensor<DType>, op: string): void {
    if (tensor?.graph !== this.graph) {
      throw new TypeError(`${op}: expected a tensor of the graph that this program was compiled from`);
    }
    this.link();
  }

  private placeOf({ storage }: Tensor<DType>): { block: Block; offset: number } {
    if (storage.block) return { block: storage.block, offset: storage.offset! };
    return { block: this.arena!, offset: this.plan.offsets.get(storage)! };
  }

  private addressOf(address: Address): number {
    const tensor = tensorOf(address);
    const { block, offset } = this.placeOf(tensor);
    return block.address + offset + (address instanceof Slice ? byteOffset(tensor, address.offset) : 0);
  }

  /** Writes the instructions with current addresses, which are valid until a block moves or is freed. */
  private link(): void {
    if (this.disposed) throw new TypeError("the program was disposed, or the model that it belongs to was");
    const { runtime, instructions } = this.graph;
    this.arena = runtime.reserveArena(this.plan.bytes);
    if (this.linkedAt === runtime.memory.stamp) return;
    for (const { block, offset, bytes } of this.external) block!.expectRange(offset!, bytes);
    this.code ??= runtime.memory.allocate(this.words * 4, "programs", "instructions");
    const ints = this.code.i32();
    const floats = this.code.f32();
    let at = 0;
    instructions.forEach(({ op, operands }, i) => {
      const signature = operandsOf(op);
      ints[at++] = op;
      ints[at++] = 2 + operands.length + (this.sharing ? shareBits(this.sharing[i]!) : 0);
      operands.forEach((operand, j) => {
        if (operand !== null && typeof operand === "object") ints[at++] = this.addressOf(operand);
        else if (signature[j]!.kind === "scalar") floats[at++] = operand as number;
        else ints[at++] = operand ?? 0;
      });
    });
    ints[at] = Op.End;
    this.linkedAt = runtime.memory.stamp;
  }
}

/** The dtypes and shapes of the arrays that an instruction writes, or of those that it reads. */
function formatOperands({ op, operands }: Graph["instructions"][number], written: boolean): string[] {
  return operandsOf(op).flatMap(({ kind }, i) => {
    const operand = operands[i];
    const isNumber = kind === "count" || kind === "flag" || kind === "scalar";
    if (isNumber || (kind === "out" || kind === "inOut") !== written) return [];
    if (operand === null || typeof operand !== "object") return ["–"];
    const { dtype, shape } = tensorOf(operand);
    return [`${dtype}${formatShape(shape)}${operand instanceof Slice && operand.offset ? `+${operand.offset}` : ""}`];
  });
}
