import { Cell } from "../../assembly/layouts";
import type { Block } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { State } from "../graph/tensor";

/** The training cells: values that change between two runs of one program, and values that a run reports (see `Cell` in layouts.ts). */
export class Cells {
  readonly state: State;
  private readonly block: Block;

  constructor(runtime: Runtime, owner: string) {
    this.block = runtime.memory.allocate(Cell.Bytes, owner, "cells");
    this.state = new State(this.block, [Cell.Bytes / 4]);
  }

  /** Returns the loss sum and the number of tokens that counted since the last call, and clears both. */
  takeLoss(): { sum: number; tokens: number } {
    const sums = this.block.f64(Cell.LossSum, 2);
    const [sum = 0, tokens = 0] = sums;
    sums.fill(0);
    return { sum, tokens };
  }

  /**
   * Sets what the optimizer is about to apply.
   * @param update  the number of updates, including this one (Adam's t)
   */
  setUpdate(learningRate: number, update: number): void {
    this.block.f32(Cell.LearningRate, 1)[0] = learningRate;
    this.block.i32(Cell.Step, 1)[0] = update;
  }

  /** The last update's gradient norm before clipping, and whether it was applied: false if a loss or gradient was not finite. */
  get update(): { gradientNorm: number; applied: boolean } {
    return { gradientNorm: this.block.f64(Cell.GradientNorm, 1)[0]!, applied: !Number.isNaN(this.block.f32(Cell.GradientScale, 1)[0]!) };
  }

  dispose(): void {
    this.block.free();
  }
}
