import { Reduction } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import type { Block } from "../core/memory";
import { byKind, checkConfig, type FieldsByName, oneOf, optional, type RequiredField } from "../fields";
import { Graph } from "../graph/graph";
import { compile, type Program } from "../graph/program";
import { State, type Tensor } from "../graph/tensor";
import type { Weights } from "../nn/weights";
import { Cells } from "./cells";

/** An optimizer is plain data, so that a checkpoint can hold it. As in nanoGPT, decay applies to matrices only. */
export type OptimizerConfig =
  /** Adam with decoupled decay (Loshchilov & Hutter 2019, arXiv:1711.05101); decay 0 is Adam (Kingma & Ba 2015). */
  | { readonly kind: "adamw"; readonly beta1?: number; readonly beta2?: number; readonly epsilon?: number; readonly decay?: number }
  | { readonly kind: "sgd"; readonly momentum?: number; readonly decay?: number };

/** Adam with the constants of Vaswani 2017, section 5.3. */
export const vaswaniAdam: OptimizerConfig = { kind: "adamw", beta1: 0.9, beta2: 0.98, epsilon: 1e-9, decay: 0 };

const number = (expected: string, accepts: (value: number) => boolean): RequiredField => ({
  expected, isType: (value) => typeof value === "number", accepts: (value) => Number.isFinite(value) && accepts(value as number),
});
// Ranges are checked in f32, as the core sees the values. Values outside them would make weights NaN.
const share = optional(number("a number in [0, 1)", (value) => value >= 0 && Math.fround(value) < 1));
const decay = optional(number("a number of at least 0", (value) => value >= 0 && Math.fround(value) < Infinity));
/** The fields of each kind of optimizer. */
export const optimizerFields: Readonly<Record<OptimizerConfig["kind"], FieldsByName>> = {
  adamw: {
    kind: oneOf("adamw"), beta1: share, beta2: share,
    epsilon: optional(number("a number above 0", (value) => Math.fround(value) > 0)),
    decay,
  },
  sgd: { kind: oneOf("sgd"), momentum: share, decay },
};

/** @throws TypeError for an unknown kind or field, RangeError for a number that would make weights NaN */
export function checkOptimizer(config: OptimizerConfig): void {
  checkConfig("optimizer", ...byKind(config, optimizerFields));
}

/**
 * The update program: computes the gradient norm, clips, updates the weights, and resets the gradients to 0.
 * If the loss or a gradient is not finite, weights and moments do not change.
 */
export class Optimizer {
  readonly cells: Cells;
  /** The optimizer's state by name, in blocks with the layout of the trainable weights. */
  readonly moments: ReadonlyMap<string, Block>;
  readonly program: Program;
  private readonly gradients: Block;

  constructor(weights: Weights, config: OptimizerConfig, clip: number) {
    checkOptimizer(config);
    const { runtime, groups, trainableBytes } = weights;
    if (trainableBytes === 0) throw new TypeError("Trainer: expected a model with trainable parameters, got none");
    this.gradients = weights.gradientBlock();
    const names = config.kind === "adamw" ? ["m", "v"] : (config.momentum ?? 0) > 0 ? ["velocity"] : [];
    this.cells = new Cells(runtime, "trainer");
    this.moments = new Map(names.map((name) => [name, runtime.memory.allocate(trainableBytes, "trainer", `optimizer state ${name}`)]));

    const graph = new Graph(runtime);
    const cells = graph.use(this.cells.state);
    const all = graph.use(new State(this.gradients, [trainableBytes / 4]));
    const partials = graph.tensor([Math.ceil(all.size / Reduction.Chunk)], { dtype: "f64" });
    graph.within("optimizer", () => {
      graph.emit(Op.SquareSum, { partials, x: all, n: all.size }, { flops: 2 * all.size });
      graph.emit(Op.ClipGradient, { cells, partials, count: partials.size, maxNorm: clip });
      for (const { offset, length: n, decays } of groups) {
        const at = (block: Block): Tensor => graph.use(new State(block, [n], "f32", offset));
        const moment = (name: string): Tensor => at(this.moments.get(name)!);
        const decay = decays ? (config.decay ?? 0) : 0;
        const shared = { weight: at(weights.block), gradient: at(this.gradients), cells, n, decay };
        if (config.kind === "adamw") {
          const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = config;
          const operands = { ...shared, m: moment("m"), v: moment("v"), beta1, beta2, epsilon };
          graph.emit(Op.AdamwStep, operands, { flops: 12 * n, bytes: 7 * 4 * n });
        } else {
          const { momentum = 0 } = config;
          graph.emit(Op.SgdStep, { ...shared, velocity: names.length ? moment("velocity") : null, momentum }, { flops: 4 * n });
        }
      }
      graph.emit(Op.Fill, { out: all, n: all.size, value: 0 });
    });
    this.program = compile(graph);
  }

  /**
   * Applies one update.
   * @param update  the number of updates, including this one (Adam's t)
   * @returns the gradient norm before clipping; `applied` is false if the update was skipped
   */
  step(learningRate: number, update: number): { gradientNorm: number; applied: boolean } {
    this.cells.setUpdate(learningRate, update);
    this.program.run();
    return this.cells.update;
  }

  /** Discards the gradients and losses accumulated since the last update. */
  discard(): void {
    this.gradients.f32().fill(0);
    this.cells.takeLoss();
  }

  /** @throws TypeError after `dispose` */
  expectLive(): void {
    this.cells.state.block.expectLive();
  }

  dispose(): void {
    this.program.dispose();
    this.cells.dispose();
    for (const block of this.moments.values()) block.free();
  }
}
