import { Op } from "../../assembly/opcodes";
import { align, formatBytes, MEMORY_LIMIT } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { HeedError } from "../errors";
import { f32, Graph } from "../graph/graph";
import { compile } from "../graph/program";
import type { Parameter } from "../graph/tensor";

/** A named array of weights outside the runtime: what files hold. */
export interface WeightArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A run of bytes of the block that the optimizer treats alike. */
export interface WeightGroup {
  /** Offset from the block's start, in bytes. */
  readonly offset: number;
  /** Elements, padding between parameters included; padding stays 0. */
  readonly length: number;
  readonly decays: boolean;
}

/**
 * A model's parameters in one block of linear memory, each on a cache line of its own, those that decay first.
 * Gradients and an optimizer's moments take blocks of the same layout, so an update is two or three instructions.
 *
 * @example
 * const layer = new Linear(64, 256);
 * const weights = new Weights(runtime, layer.parameters());
 * weights.initialize(1);
 * weights.read().get("weight")?.data.length; // 16384
 */
export class Weights {
  readonly address: number;
  readonly bytes: number;
  readonly groups: readonly WeightGroup[];
  private readonly offsets = new Map<string, number>();
  private gradients = 0;

  constructor(
    readonly runtime: Runtime,
    readonly parameters: ReadonlyMap<string, Parameter>,
  ) {
    for (const [name, { address }] of parameters) {
      if (address) throw new TypeError(`${name}: the parameter has its place in another model; dispose that one first`);
    }
    const groups: WeightGroup[] = [];
    let end = 0;
    for (const decays of [true, false]) {
      const offset = end;
      for (const [name, parameter] of parameters) {
        if (parameter.decays !== decays) continue;
        this.offsets.set(name, end);
        end += align(parameter.size * 4);
      }
      if (end > offset) groups.push({ offset, length: (end - offset) / 4, decays });
    }
    this.groups = groups;
    this.bytes = end;
    if (end > MEMORY_LIMIT) {
      throw new HeedError("memory", `the model's weights need ${formatBytes(end)}; WebAssembly's 32-bit memory ends at ${formatBytes(MEMORY_LIMIT)}`);
    }
    this.address = runtime.memory.allocate(end, "the model's weights");
    for (const [name, parameter] of parameters) parameter.address = this.address + this.offsets.get(name)!;
  }

  /** Draws every parameter from its initializer; the same seed gives the same weights. */
  initialize(seed: number): void {
    const graph = new Graph(this.runtime);
    for (const parameter of this.parameters.values()) {
      const out = graph.use(parameter);
      const { initializer } = parameter;
      const stream = graph.stream();
      if (initializer.kind === "constant") {
        graph.emit({ name: "fill", op: Op.Fill, outputs: [out], inputs: [], numbers: [out.size, f32(initializer.value)] });
      } else if (initializer.kind === "normal") {
        graph.emit({
          name: "randomNormal", op: Op.RandomNormal,
          outputs: [out], inputs: [graph.random()], numbers: [out.size, f32(initializer.deviation), stream],
        });
      } else {
        graph.emit({
          name: "randomUniform", op: Op.RandomUniform,
          outputs: [out], inputs: [graph.random()], numbers: [out.size, f32(-initializer.bound), f32(initializer.bound), stream],
        });
      }
    }
    const program = compile(graph);
    program.seed(seed, 0);
    program.run();
    program.dispose();
  }

  /** Where gradients stand; the first call reserves them and lets graphs find them. */
  gradientBlock(): number {
    if (!this.gradients) {
      this.gradients = this.runtime.memory.allocate(this.bytes, "the gradients");
      for (const [name, parameter] of this.parameters) parameter.gradientAddress = this.gradients + this.offsets.get(name)!;
    }
    return this.gradients;
  }

  /** Copies the arrays of a block (the weights by default) out of linear memory. */
  read(block = this.address): Map<string, WeightArray> {
    const arrays = new Map<string, WeightArray>();
    for (const [name, { shape, size }] of this.parameters) {
      arrays.set(name, { shape, data: this.runtime.memory.f32(block + this.offsets.get(name)!, size).slice() });
    }
    return arrays;
  }

  /**
   * Copies arrays into a block (the weights by default). The caller has checked names and shapes.
   */
  write(arrays: ReadonlyMap<string, { data: ArrayLike<number> }>, block = this.address): void {
    for (const [name, { size }] of this.parameters) {
      this.runtime.memory.f32(block + this.offsets.get(name)!, size).set(arrays.get(name)!.data);
    }
  }

  /**
   * A function that copies values into a parameter, a chunk at a time, starting at an element's offset.
   * It takes a new view of linear memory for each chunk, since growth detaches views.
   *
   * @throws RangeError for a name that the model lacks, and the function for a chunk that does not fit
   */
  writer(name: string): (values: Float32Array, from: number) => void {
    const parameter = this.parameters.get(name);
    if (!parameter) throw new RangeError(`Weights.writer: expected a parameter's name, got ${JSON.stringify(name)}`);
    const { size } = parameter;
    const address = this.address + this.offsets.get(name)!;
    return (values, from) => {
      if (!Number.isInteger(from) || from < 0 || from + values.length > size) {
        throw new RangeError(`Weights.writer: ${name}: expected a range within [0, ${size}), got [${from}, ${from + values.length})`);
      }
      this.runtime.memory.f32(address + 4 * from, values.length).set(values);
    };
  }

  /** Gives the memory back; the parameters have no place afterwards. */
  dispose(): void {
    this.runtime.memory.free(this.address);
    if (this.gradients) this.runtime.memory.free(this.gradients);
    this.gradients = 0;
    for (const parameter of this.parameters.values()) {
      parameter.address = 0;
      parameter.gradientAddress = 0;
    }
  }
}
