import { MatmulScratch, Quantized } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import { formats } from "../formats";
import type { IntegerFormat } from "../formats/integers";
import type { Cost, Graph } from "../graph";
import { type Address, type Tensor, tensorOf } from "../tensor";

interface IntegerProduct {
  out: Address<"f32">;
  a: Address<"f32">;
  b: Address;
  bias: Tensor | null;
  M: number;
  N: number;
  K: number;
  activation: number;
}

/** The sum of more products of 127·127 does not fit in 31 bits. */
const LONGEST = 133_120;

const formatOf = (b: Address): Partial<IntegerFormat> => formats[tensorOf(b).dtype];

/** Whether a weight is stored as integers. */
export const isIntegers = (b: Address): boolean => formatOf(b).bits !== undefined;

/** Appends a product with a weight of integers, and before it the quantization of `a`, unless an earlier product has done it. */
export function emitIntegerProduct(graph: Graph, { out, a, b, bias, M, N, K, activation }: IntegerProduct, cost: Cost): void {
  const { bits, group } = formatOf(b) as IntegerFormat;
  const size = group(K);
  if (size > LONGEST) throw new RangeError(`${tensorOf(b).dtype}: expected rows of at most ${LONGEST} elements, got ${K}`);
  const levels = bits === 8 ? Quantized.Int8Levels : Quantized.Int4Levels;
  const operands = { out, a: quantize(graph, a, M, K, size, levels), b, bias, scratch: MatmulScratch.Bytes, M, N, K, activation };
  if (bits === 8) graph.emit(Op.MatmulQ8NT, { ...operands, group: size }, cost);
  else graph.emit(Op.MatmulQ4NT, operands, cost);
}

/** By the activations: what they were quantized to, by group and levels. */
const quantized = new WeakMap<Tensor, Map<string, Tensor<"i32">>>();

/** Records the quantization of x [R, C], once for all products that read the same tensor. A state may change in between. */
function quantize(graph: Graph, x: Address<"f32">, R: number, C: number, group: number, levels: number): Tensor<"i32"> {
  const tensor = tensorOf(x);
  const isFixed = x === tensor && !tensor.storage.block;
  const known = (isFixed && quantized.get(tensor)) || new Map<string, Tensor<"i32">>();
  if (isFixed) quantized.set(tensor, known);
  const key = `${group} ${levels}`;
  let out = known.get(key);
  if (!out) {
    const blocks = 2 * R * Math.ceil(C / group);
    out = graph.tensor([(blocks * (Quantized.Header + Quantized.PerElement * group) + R * Quantized.PerRow) / 4], { dtype: "i32" });
    graph.emit(Op.QuantizeRows, { out, x, R, C, group, levels }, { flops: 12 * R * C });
    known.set(key, out);
  }
  return out;
}
