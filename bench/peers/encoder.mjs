/** A post-norm encoder as produced by ORT's BERT optimizer: fused attention, SkipLayerNormalization and BiasGelu. */
import { model, node } from "./onnx.mjs";
import { transposed } from "./models.mjs";

/**
 * @param {Map<string, { shape: number[], data: Float32Array }>} weights  heed's
 * @returns {Uint8Array} an ONNX model, x [B, T, C] → out [B, T, C]
 */
export function encoderModel(weights, { B, T, width, heads, layers }) {
  const constants = Object.fromEntries([...weights].map(([name, array]) => [name, array.shape.length === 2 ? transposed(array) : array]));
  const nodes = [];
  let x = "x";
  for (let i = 0; i < layers; i++) {
    const name = (end) => `layers.${i}.${end}`;
    const out = (end) => (i === layers - 1 && end === "feedForward.out" ? "out" : name(end));
    const addAndNorm = (skip, y, norm, bias, to) => {
      nodes.push(node("com.microsoft.SkipLayerNormalization", [y, skip, name(`${norm}.weight`), name(`${norm}.bias`), name(bias)], [to], { epsilon: 1e-5 }));
      return to;
    };
    nodes.push(
      node("com.microsoft.Attention", [x, name("attention.queryKeyValue.weight"), name("attention.queryKeyValue.bias")], [name("heads")], { num_heads: heads }),
      node("MatMul", [name("heads"), name("attention.output.weight")], [name("attended")]),
    );
    x = addAndNorm(x, name("attended"), "norm1", "attention.output.bias", out("attention.out"));
    nodes.push(
      node("MatMul", [x, name("feedForward.up.weight")], [name("up")]),
      node("com.microsoft.BiasGelu", [name("up"), name("feedForward.up.bias")], [name("hidden")]),
      node("MatMul", [name("hidden"), name("feedForward.down.weight")], [name("down")]),
    );
    x = addAndNorm(x, name("down"), "norm2", "feedForward.down.bias", out("feedForward.out"));
  }
  return model(nodes, { x: [B, T, width] }, { out: [B, T, width] }, constants);
}
