import { Cell, Reduction } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { f32, Graph } from "../graph/graph";
import { compile, type Program } from "../graph/program";
import type { Tensor } from "../graph/tensor";
import type { Weights } from "../nn/weights";

/** Optimizers are data, so that a checkpoint can hold them. Decay acts on matrices only, as nanoGPT groups parameters. */
export type OptimizerConfig =
  /** Adam with decoupled decay (Loshchilov & Hutter 2019, arXiv:1711.05101); decay 0 is Adam (Kingma & Ba 2015). */
  | { readonly kind: "adamw"; readonly beta1?: number; readonly beta2?: number; readonly epsilon?: number; readonly decay?: number }
  | { readonly kind: "sgd"; readonly momentum?: number; readonly decay?: number };

/** Adam with the constants of Vaswani 2017, section 5.3. */
export const vaswaniAdam: OptimizerConfig = { kind: "adamw", beta1: 0.9, beta2: 0.98, epsilon: 1e-9, decay: 0 };

/** @throws TypeError for another kind, RangeError for a number that would make weights NaN (as the core sees it, in f32) */
function checkConfig(config: OptimizerConfig): void {
  if (config.kind !== "adamw" && config.kind !== "sgd") throw new TypeError(`optimizer: expected the kind adamw or sgd, got ${JSON.stringify((config as OptimizerConfig).kind)}`);
  const isShare = (value: number): boolean => value >= 0 && Math.fround(value) < 1;
  const limits = {
    beta1: ["in [0, 1)", isShare], beta2: ["in [0, 1)", isShare], momentum: ["in [0, 1)", isShare],
    epsilon: ["above 0", (value: number) => Math.fround(value) > 0 && value < Infinity],
    decay: ["of at least 0", (value: number) => value >= 0 && value < Infinity],
  } as const;
  for (const [name, [expected, accepts]] of Object.entries(limits)) {
    const value = (config as Record<string, unknown>)[name];
    if (value !== undefined && !accepts(value as number)) throw new RangeError(`optimizer: ${name}: expected a number ${expected}, got ${value as number}`);
  }
}

/**
 * The update program: the gradient's norm, its clipping, the update, and gradients back to 0.
 * A gradient or a loss that is not finite leaves weights and moments as they are.
 */
export class Optimizer {
  /** The optimizer's state by name: blocks laid out as the weights are. */
  readonly moments: ReadonlyMap<string, number>;
  /** The training cells, and the moments behind them; 0 once disposed. */
  private block: number;
  readonly program: Program;

  constructor(
    private readonly weights: Weights,
    config: OptimizerConfig,
    clip: number,
  ) {
    checkConfig(config);
    const { runtime, groups, bytes, address } = weights;
    const gradients = weights.gradientBlock();
    const names = config.kind === "adamw" ? ["m", "v"] : (config.momentum ?? 0) > 0 ? ["velocity"] : [];
    this.block = runtime.memory.allocate(Cell.Bytes + names.length * bytes, "the optimizer's state");
    this.moments = new Map(names.map((name, i) => [name, this.block + Cell.Bytes + i * bytes]));

    const graph = new Graph(runtime);
    const cells = cellsOf(graph, this.cells);
    const gradient = graph.fixed(gradients, [bytes / 4]);
    const partials = graph.tensor([Math.ceil(gradient.size / Reduction.Chunk)], { dtype: "f64" });
    graph.within("optimizer", () => {
      graph.emit({ name: "squareSum", op: Op.SquareSum, outputs: [partials], inputs: [gradient], numbers: [gradient.size], flops: 2 * gradient.size });
      graph.emit({ name: "clipGradient", op: Op.ClipGradient, outputs: [cells], inputs: [partials], numbers: [partials.size, f32(clip)] });
      for (const { offset, length, decays } of groups) {
        const at = (block: number): Tensor => graph.fixed(block + offset, [length]);
        const outputs = [at(address), at(gradients), ...names.map((name) => at(this.moments.get(name)!))];
        const decay = f32(decays ? (config.decay ?? 0) : 0);
        if (config.kind === "adamw") {
          const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = config;
          const numbers = [length, f32(beta1), f32(beta2), f32(epsilon), decay];
          graph.emit({ name: "adamwStep", op: Op.AdamW, outputs, inputs: [cells], numbers, flops: 12 * length, bytes: 7 * 4 * length });
        } else {
          const velocity = names.length ? [] : [null];
          graph.emit({ name: "sgdStep", op: Op.Sgd, outputs: [...outputs, ...velocity], inputs: [cells], numbers: [length, f32(config.momentum ?? 0), decay], flops: 4 * length });
        }
      }
      graph.emit({ name: "fill", op: Op.Fill, outputs: [gradient], inputs: [], numbers: [gradient.size, f32(0)] });
    });
    this.program = compile(graph);
  }

  /** Address of the training cells (see `Cell`). */
  get cells(): number {
    if (!this.block) throw new TypeError("the trainer was disposed");
    return this.block;
  }

  /**
   * Applies one update.
   * @param update  how many updates will have been applied after it (Adam's t)
   * @returns the gradient's norm before clipping; the update was skipped if `applied` is false
   */
  step(learningRate: number, update: number): { gradientNorm: number; applied: boolean } {
    const { memory } = this.weights.runtime;
    memory.f32(this.cells + Cell.LearningRate, 1)[0] = learningRate;
    memory.i32(this.cells + Cell.Step, 1)[0] = update;
    this.program.run();
    const gradientNorm = memory.f64(this.cells + Cell.GradientNorm, 1)[0]!;
    const applied = !Number.isNaN(memory.f32(this.cells + Cell.GradientScale, 1)[0]!);
    return { gradientNorm, applied };
  }

  dispose(): void {
    if (!this.block) return;
    this.program.dispose();
    this.weights.runtime.memory.free(this.block);
    this.block = 0;
  }
}

/** The training cells' symbol in a graph. */
export const cellsOf = (graph: Graph, address: number): Tensor => graph.fixed(address, [Cell.Bytes / 4]);
