import type { Batch } from "../../host/batch";
import type { Graph } from "../../host/graph/graph";
import type { Tensor } from "../../host/graph/tensor";
import type { AnyModel } from "../../host/io/model";
import { Transformer } from "../../host/models/transformer";

/** The logits after every token of a batch, [B, T, V], from one program over whole sequences, without a cache, as in training. */
export function logitsOf(model: AnyModel, batch: Batch): Float32Array {
  const names = model instanceof Transformer ? ["source", "sourceLengths", "target"] : ["tokens"];
  const shapes = names.map((name) => batch[name]!.shape);
  const { program, tensors } = model.programs.get(`logits ${JSON.stringify(shapes)}`, (graph: Graph) => {
    const inputs = shapes.map((shape) => graph.input(shape, "i32"));
    return { inputs, logits: graph.keep(model.logits(statesOf(model, inputs))) };
  });
  tensors.inputs.forEach((tensor, i) => program.write(tensor, batch[names[i]!]!.data));
  program.run();
  return program.read(tensors.logits);
}

function statesOf(model: AnyModel, inputs: readonly Tensor<"i32">[]): Tensor {
  if (!(model instanceof Transformer)) return model.forward(inputs[0]!);
  const [source, lengths, target] = inputs as [Tensor<"i32">, Tensor<"i32">, Tensor<"i32">];
  return model.forward(target, { memory: model.encode(source, lengths), lengths });
}
