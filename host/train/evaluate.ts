import { Cell } from "../../assembly/opcodes";
import { breathe } from "../core/breathe";
import type { Runtime } from "../core/runtime";
import { HeedError } from "../errors";
import type { Graph } from "../graph/graph";
import { formatShape, sizeOf, type Tensor } from "../graph/tensor";
import type { Batch } from "../batch";
import type { Compiled, Model } from "../models/model";
import type { AbortSignalLike } from "../webtypes";
import { cellsOf } from "./optimizer";

/** What `evaluate` measures. */
export interface Evaluation {
  /** Mean loss of a token, in nats. */
  loss: number;
  /** How many tokens counted. */
  tokens: number;
}

type LossProgram = Compiled<Record<string, Tensor>>;

/**
 * The program that adds a batch's loss to the cells, and its gradients to the parameters' if `training`.
 * Compiled once for each shape.
 * @throws RangeError when an array is not as long as its shape says
 */
export function lossProgram(model: Model, batch: Batch, cells: number, training: boolean): LossProgram {
  const shapes = Object.entries(batch).map(([name, { shape, data }]) => `${name} ${dtypeOf(data)}[${shape.join(",")}]`);
  for (const [name, { shape, data }] of Object.entries(batch)) {
    if (data.length !== sizeOf(shape)) throw new RangeError(`${name}: a batch of shape ${formatShape(shape)} holds ${sizeOf(shape)} numbers, got ${data.length}`);
  }
  const record = (graph: Graph): Record<string, Tensor> => {
    const inputs = Object.fromEntries(Object.entries(batch).map(([name, { shape, data }]) => [name, graph.input(shape, dtypeOf(data))]));
    const loss = model.loss(inputs);
    graph.within("loss", () => (training ? loss.backward(cellsOf(graph, cells)) : loss.forward(cellsOf(graph, cells))));
    return inputs;
  };
  return model.program(`${training ? "train" : "evaluate"} ${cells} ${shapes.join(" ")}`, record, { training });
}

const dtypeOf = (data: Int32Array | Float32Array): "i32" | "f32" => (data instanceof Float32Array ? "f32" : "i32");

/** Writes a batch to its program's inputs. */
export function writeBatch({ program, tensors }: LossProgram, batch: Batch): void {
  for (const [name, tensor] of Object.entries(tensors)) program.write(tensor, batch[name]!.data);
}

/** The sum and the mean of the loss, and the tokens that counted, since the cells were last taken; clears them. */
export function takeLoss(runtime: Runtime, cells: number): Evaluation & { sum: number } {
  const sums = runtime.memory.f64(cells, 2);
  const [sum = 0, tokens = 0] = [sums[Cell.LossSum / 8], sums[Cell.TokenCount / 8]];
  sums.fill(0);
  return { sum, loss: sum / tokens, tokens };
}

/**
 * Mean loss over batches, without dropout.
 * @param signal  stops between batches; the promise rejects with its reason
 * @throws RangeError when a batch does not fit the model, HeedError `data` when no target counts
 *
 * @example
 * const { loss } = await evaluate(model, batches);
 * console.log(`perplexity ${Math.exp(loss)}`);
 */
export async function evaluate(model: Model, batches: Iterable<Batch>, signal?: AbortSignalLike): Promise<Evaluation> {
  const { runtime } = model.weights;
  const cells = model.cells();
  let [total, count] = [0, 0];
  for (const batch of batches) {
    signal?.throwIfAborted();
    model.check(batch);
    const compiled = lossProgram(model, batch, cells, false);
    writeBatch(compiled, batch);
    compiled.program.run();
    const { sum, tokens } = takeLoss(runtime, cells); // before anyone else can use the cells
    total += sum;
    count += tokens;
    await breathe();
  }
  if (count === 0) throw new HeedError("data", "evaluate: no target to predict; are the batches empty?");
  return { loss: total / count, tokens: count };
}
