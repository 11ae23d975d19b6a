import { Op } from "../../assembly/opcodes";
import { addPositions } from "../graph/ops/embedding";
import type { Tensor } from "../graph/tensor";
import { Layer } from "./layer";

/**
 * The paper's positional encoding, added to x [B, T, C] (Vaswani 2017, section 3.5):
 * PE(pos, 2i) = sin(pos/10000^(2i/C)), PE(pos, 2i+1) = cos(pos/10000^(2i/C)).
 * It has no parameters; the table is computed by the program that uses it.
 *
 * @example
 * new SinusoidalPositions().forward(graph.input([2, 10, 64])).shape; // [2, 10, 64]
 */
export class SinusoidalPositions extends Layer {
  forward(x: Tensor): Tensor {
    const graph = x.graph;
    const [, T = 0, C = 0] = x.shape;
    const table = graph.tensor([T, C]);
    graph.emit({ name: "sinusoidalPositions", op: Op.SinusoidalPositions, outputs: [table], inputs: [], numbers: [T, C] });
    return addPositions(x, table);
  }
}
