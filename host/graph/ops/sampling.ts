import { Sampling, SampleScratch } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import { formatShape } from "../shape";
import type { Tensor } from "../tensor";

/**
 * The id of the largest logit of each row, the lowest id on ties; −1 for a row with NaN.
 * @param logits  f32 [R, V]
 * @returns i32 [R]
 *
 * @example
 * argmax(graph.input([2, 65])).shape; // [2]
 */
export function argmax(logits: Tensor): Tensor<"i32"> {
  const graph = logits.graph;
  const out = graph.tensor([logits.rows], { dtype: "i32" });
  graph.emit(Op.Argmax, { out, logits, R: logits.rows, V: logits.columns }, { flops: logits.size });
  return out;
}

/**
 * One id of each row, drawn from softmax(logits/temperature) over the `topK` largest logits; −1 for a row with NaN.
 * @param logits    f32 [R, V]
 * @param settings  a `samplingSettings` tensor, written before each run
 * @returns i32 [R]
 *
 * @example
 * const settings = graph.input([4], "i32");
 * const next = graph.keep(sample(graph.input([2, 65]), settings));
 * const program = compile(graph);
 * program.write(settings, samplingSettings(0.8, 40));
 * program.seed(1, 0); // seed, step
 * program.run();
 * program.read(next).length; // 2
 */
export function sample(logits: Tensor, settings: Tensor<"i32">): Tensor<"i32"> {
  const graph = logits.graph;
  if (logits.shape.length !== 2) throw new RangeError(`sample: expected logits of shape [R,V], got ${formatShape(logits.shape)}`);
  const out = graph.tensor([logits.rows], { dtype: "i32" });
  const V = logits.columns;
  graph.emit(Op.Sample, {
    out, logits, settings, rng: graph.random(), scratch: SampleScratch.Base + SampleScratch.PerToken * V, R: logits.rows, V, stream: graph.stream(),
  }, { flops: 4 * logits.size });
  return out;
}

/**
 * Temperature (f32) and top-k (i32) as the words that the core reads.
 *
 * @example
 * samplingSettings(1, 40)[1]; // 40
 */
export function samplingSettings(temperature: number, topK: number): Int32Array {
  const words = new Int32Array(Sampling.Bytes / 4);
  new Float32Array(words.buffer)[Sampling.Temperature / 4] = temperature;
  words[Sampling.TopK / 4] = Math.min(topK, 2 ** 31 - 1);
  return words;
}
