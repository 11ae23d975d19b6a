import { addPositions } from "../graph/ops/embedding";
import { rotary } from "../graph/ops/rotary";
import { Table } from "../graph/parameter";
import { expectAxes } from "../graph/shape";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";

/**
 * Sinusoidal positional encoding, added to x [B, T, width] (Vaswani 2017, section 3.5):
 * PE(pos, 2i) = sin(pos/10000^(2i/width)), PE(pos, 2i+1) = cos(pos/10000^(2i/width)).
 * It has no parameters; the table is computed once, when the model is placed.
 *
 * @example
 * new SinusoidalPositions(128, 64).table.shape; // [128, 64]
 */
export class SinusoidalPositions extends Layer {
  readonly table: Table;

  /**
   * @param length  the longest sequence, in tokens
   * @throws RangeError unless both are positive integers
   */
  constructor(length: number, width: number) {
    super();
    expectAxes("SinusoidalPositions(length, width)", [length, width]);
    this.table = new Table([length, width], { kind: "sinusoidal" });
  }

  /** @param past  i32 [B]: the position of each row's first token; 0 by default */
  forward(x: Tensor, past?: Tensor<"i32">): Tensor {
    return this.within(x, () => addPositions(x, this.table, past));
  }
}

/**
 * Rotary positions (Su et al. 2021, arXiv:2104.09864): rotates each pair (d, d + size/2) of a head by position · base^(−2d/size).
 * It has no parameters; the table of cosines and sines is computed once, when the model is placed.
 *
 * @example
 * new RotaryPositions(128, 16).table.shape; // [128, 16]
 */
export class RotaryPositions extends Layer {
  readonly table: Table;

  /**
   * @param length    the longest sequence, in tokens
   * @param headSize  width of a head
   * @throws RangeError unless both are positive integers, the head size is even, and the base is a positive number
   */
  constructor(length: number, headSize: number, base = 10_000) {
    super();
    expectAxes("RotaryPositions(length, headSize)", [length, headSize]);
    if (headSize % 2 !== 0) throw new RangeError(`RotaryPositions: expected an even head size, got ${headSize}`);
    if (!(base > 0 && base < Infinity)) throw new RangeError(`RotaryPositions: expected a base above 0, got ${base}`);
    this.table = new Table([length, headSize], { kind: "rotary", base });
  }

  /**
   * @param x      f32 [B, T, C]: `heads` heads, followed by columns that are copied unchanged
   * @param past   i32 [B]: the position of each row's first token; 0 by default
   */
  forward(x: Tensor, heads: number, past?: Tensor<"i32">): Tensor {
    return this.within(x, () => rotary(x, this.table, { heads, headSize: this.table.shape[1]! }, past));
  }
}
