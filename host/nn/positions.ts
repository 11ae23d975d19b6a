import { addPositions } from "../graph/ops/embedding";
import { Table } from "../graph/parameter";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";

/**
 * The paper's positional encoding, added to x [B, T, width] (Vaswani 2017, section 3.5):
 * PE(pos, 2i) = sin(pos/10000^(2i/width)), PE(pos, 2i+1) = cos(pos/10000^(2i/width)).
 * It has no parameters; the table is computed once, when the model is placed.
 *
 * @example
 * new SinusoidalPositions(128, 64).table.shape; // [128, 64]
 */
export class SinusoidalPositions extends Layer {
  readonly table: Table;

  /** @param length  the longest sequence, in tokens */
  constructor(length: number, width: number) {
    super();
    this.table = new Table([length, width], { kind: "sinusoidal" });
  }

  forward(x: Tensor): Tensor {
    return this.within(x, () => addPositions(x, this.table));
  }
}
