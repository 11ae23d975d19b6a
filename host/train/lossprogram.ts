import type { Compiled, ProgramCache } from "../graph/cache";
import type { Graph } from "../graph/graph";
import type { Tensor } from "../graph/tensor";
import type { BatchOf, Inputs, InputSpecs } from "../models/inputs";
import type { Model } from "../models/model";
import type { Cells } from "./cells";

/** A program that computes a loss, and its inputs. */
export type LossProgram<S extends InputSpecs> = Compiled<Inputs<S>>;

/**
 * The program that adds a batch's loss to the cells and, if `training`, its gradients to those of the parameters.
 * It is compiled once per shape.
 * @param programs  the cache to keep it in, used with these cells only
 */
export function lossProgram<S extends InputSpecs>(
  model: Model<S>, programs: ProgramCache, batch: BatchOf<S>, cells: Cells, training: boolean,
): LossProgram<S> {
  const arrays = Object.keys(model.inputs).map((name) => [name, batch[name]!.shape] as const);
  const key = `${training ? "train" : "evaluate"} ${arrays.map(([name, shape]) => `${name}[${shape.join(",")}]`).join(" ")}`;
  const record = (graph: Graph): Inputs<S> => {
    const symbols = arrays.map(([name, shape]) => [name, graph.input(shape, model.inputs[name]!.dtype)] as const);
    const inputs = Object.fromEntries(symbols) as unknown as Inputs<S>;
    const loss = model.loss(inputs);
    graph.within("loss", () => (training ? loss.backward(graph.use(cells.state)) : loss.forward(graph.use(cells.state))));
    return inputs;
  };
  return programs.get(key, record, { training });
}

/** Writes a batch to its program's inputs. */
export function writeBatch<S extends InputSpecs>({ program, tensors }: LossProgram<S>, batch: BatchOf<S>): void {
  for (const [name, tensor] of Object.entries<Tensor<"i32" | "f32">>(tensors)) program.write(tensor, batch[name]!.data);
}
