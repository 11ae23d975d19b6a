import { callback, checkConfig, type FieldsByName, optional } from "../fields";
import { Graph } from "../graph/graph";
import { compile } from "../graph/program";
import type { Tensor } from "../graph/tensor";
import type { BatchOf, Inputs, InputSpecs } from "./inputs";
import type { Model } from "./model";

/** The weights of an attention layer for a batch. */
export interface AttentionWeights {
  /** [B, heads, queries, keys] */
  readonly shape: readonly number[];
  /** Each query's weights sum to 1; those of keys that it does not attend to are 0. */
  readonly data: Float32Array;
}

/** Options of `attentionWeights`. */
export interface AttentionWeightsOptions {
  /** Chooses layers by their paths, such as `decoder.layers.0.crossAttention`; all attention layers by default. */
  layers?: (path: string) => boolean;
}

const fields: FieldsByName = { layers: optional(callback) };

/**
 * Computes what each position of a batch attends to, in any model and without changing it: self-attention, and cross-attention from the
 * target to the source. The batch is that of `model.loss`; its targets have no effect.
 * @returns the weights by the layers' paths
 * @throws TypeError or RangeError if the batch does not fit the model; HeedError `memory` if the weights do not fit: choose fewer layers
 *
 * @example
 * const weights = attentionWeights(model, pairBatch([{ source: [5, 6, 7], target: [8, 9] }], { pad: 0, bos: 1, eos: 2 }));
 * weights.get("decoder.layers.0.crossAttention")?.shape; // [1, 2, 3, 8]
 */
export function attentionWeights<S extends InputSpecs>(
  model: Model<S>, batch: BatchOf<S>, options: AttentionWeightsOptions = {},
): Map<string, AttentionWeights> {
  checkConfig("attentionWeights", options, fields);
  model.check(batch);
  const graph = new Graph(model.weights.runtime, { weightsOf: options.layers ?? (() => true) });
  const inputs = Object.entries(model.inputs).map(([name, { dtype }]) => [name, graph.input(batch[name]!.shape, dtype)] as const);
  model.loss(Object.fromEntries(inputs) as unknown as Inputs<S>);
  const program = compile(graph);
  try {
    for (const [name, tensor] of inputs) program.write(tensor as Tensor<"i32" | "f32">, batch[name]!.data);
    program.run();
    return new Map(Array.from(graph.attentionWeights, ([path, tensor]) => [path, { shape: tensor.shape, data: program.read(tensor) }]));
  } finally {
    program.dispose();
  }
}
