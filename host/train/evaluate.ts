import { Cell } from "../../assembly/opcodes";
import type { Runtime } from "../core/runtime";
import type { Graph } from "../graph/graph";
import type { Tensor } from "../graph/tensor";
import type { Batch, Compiled, Model } from "../models/model";
import { cellsOf } from "./optimizer";

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
 */
export function lossProgram(model: Model, batch: Batch, cells: number, training: boolean): LossProgram {
  const shapes = Object.entries(batch).map(([name, { shape }]) => `${name}[${shape.join(",")}]`);
  const record = (graph: Graph): Record<string, Tensor> => {
    const inputs = Object.fromEntries(Object.entries(batch).map(([name, { shape }]) => [name, graph.input(shape, "i32")]));
    const loss = model.loss(inputs);
    if (training) loss.backward(cellsOf(graph, cells));
    else loss.forward(cellsOf(graph, cells));
    return inputs;
  };
  return model.program(`${training ? "train" : "evaluate"} ${cells} ${shapes.join(" ")}`, record, { training });
}

/** Writes a batch to its program's inputs. */
export function writeBatch({ program, tensors }: LossProgram, batch: Batch): void {
  for (const [name, tensor] of Object.entries(tensors)) program.write(tensor, batch[name]!.data);
}

/** Lets timers, signals and a page's events run; a long computation calls it between programs. */
export const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
    if (setImmediate) setImmediate(resolve);
    else setTimeout(resolve);
  });

/** Σ loss and the tokens that counted since the cells were last cleared. */
export function takeLoss(runtime: Runtime, cells: number): Evaluation {
  const sums = runtime.memory.f64(cells, 2);
  const [sum = 0, tokens = 0] = [sums[Cell.LossSum / 8], sums[Cell.TokenCount / 8]];
  sums.fill(0);
  return { loss: sum / tokens, tokens };
}

/**
 * Mean loss over batches, without dropout.
 * @param signal  stops between batches; the promise rejects with its reason
 * @throws RangeError when a batch does not fit the model
 *
 * @example
 * const { loss } = await evaluate(model, batches);
 * console.log(`perplexity ${Math.exp(loss)}`);
 */
export async function evaluate(model: Model, batches: Iterable<Batch>, signal?: AbortSignal): Promise<Evaluation> {
  const { runtime } = model.weights;
  const cells = model.cells();
  takeLoss(runtime, cells);
  for (const batch of batches) {
    signal?.throwIfAborted();
    model.check(batch);
    const compiled = lossProgram(model, batch, cells, false);
    writeBatch(compiled, batch);
    compiled.program.run();
    await breathe();
  }
  return takeLoss(runtime, cells);
}
