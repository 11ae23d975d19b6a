/**
 * heed's GPT and Transformer for the peers: one definition in terms of a few ops, which jax.mjs and tfjs.mjs implement in the fastest way
 * for each library. Parameters have heed's names; the weights of linear layers are [in, out], activations are [tokens, width].
 *
 * `ops.again(x)` returns `x` for a use that is not its last, because jax-js counts references.
 */

/** Mean loss of nanoGPT: learned positions, pre-norm, GELU, tied output. `batch`: { tokens, targets } of shape [B·T]. */
export function gpt(ops, p, { tokens, targets }, { B, T, layers, heads, width }) {
  const embedding = p["embedding.weight"];
  let x = ops.addPositions(ops.embed(ops.again(embedding), tokens), p["positions.weight"], B);
  for (let i = 0; i < layers; i++) x = selfAttentionAndFeedForward(ops, p, `layers.${i}`, x, ops.gelu, { B, T, heads, width, causal: true });
  return ops.crossEntropy(ops.logits(norm(ops, p, "norm", x), embedding), targets, { smoothing: 0 });
}

/**
 * Mean loss of the Transformer of Vaswani et al. 2017, with pre-norm.
 * `batch`: { source [B·S], bias [B, 1, 1, S] (−1e9 at padding), target [B·T], targets [B·T], counts [B·T] (0 at padding) }.
 * @param positions  the table of sinusoids, [T, C]
 */
export function transformer(ops, p, { source, bias, target, targets, counts, positions }, { B, T, encoderLayers, decoderLayers, heads, width, smoothing }) {
  const table = p["embedding.weight"];
  const embed = (ids, positions) => ops.addPositions(ops.scale(ops.embed(ops.again(table), ids), Math.sqrt(width)), positions, B);
  const shape = { B, T, heads, width };
  let memory = embed(source, ops.again(positions));
  for (let i = 0; i < encoderLayers; i++) memory = selfAttentionAndFeedForward(ops, p, `encoder.layers.${i}`, memory, ops.relu, { ...shape, bias: ops.again(bias) });
  memory = norm(ops, p, "encoder.norm", memory);
  let x = embed(target, positions);
  for (let i = 0; i < decoderLayers; i++) {
    const layer = `decoder.layers.${i}`;
    x = selfAttention(ops, p, `${layer}.norm1`, `${layer}.selfAttention`, x, { ...shape, causal: true });
    const last = i === decoderLayers - 1;
    const q = linear(ops, p, `${layer}.crossAttention.query`, norm(ops, p, `${layer}.norm2`, ops.again(x)));
    const kv = linear(ops, p, `${layer}.crossAttention.keyValue`, last ? memory : ops.again(memory));
    const attended = ops.attention([q, ...ops.split(kv, 2)], { ...shape, bias: last ? bias : ops.again(bias) });
    x = ops.add(x, linear(ops, p, `${layer}.crossAttention.output`, attended));
    x = feedForward(ops, p, `${layer}.norm3`, `${layer}.feedForward`, x, ops.relu);
  }
  return ops.crossEntropy(ops.logits(norm(ops, p, "decoder.norm", x), table), targets, { counts, smoothing });
}

function selfAttentionAndFeedForward(ops, p, layer, x, activation, shape) {
  x = selfAttention(ops, p, `${layer}.norm1`, `${layer}.attention`, x, shape);
  return feedForward(ops, p, `${layer}.norm2`, `${layer}.feedForward`, x, activation);
}

function selfAttention(ops, p, normName, name, x, shape) {
  const qkv = linear(ops, p, `${name}.queryKeyValue`, norm(ops, p, normName, ops.again(x)));
  return ops.add(x, linear(ops, p, `${name}.output`, ops.attention(ops.split(qkv, 3), shape)));
}

function feedForward(ops, p, normName, name, x, activation) {
  const hidden = activation(linear(ops, p, `${name}.up`, norm(ops, p, normName, ops.again(x))));
  return ops.add(x, linear(ops, p, `${name}.down`, hidden));
}

const linear = (ops, p, name, x) => ops.linear(x, p[`${name}.weight`], p[`${name}.bias`]);
const norm = (ops, p, name, x) => ops.norm(x, p[`${name}.weight`], p[`${name}.bias`]);

/** heed's weights in the peers' layout: weights of linear layers transposed to [in, out], embeddings unchanged. */
export function peerWeights(weights) {
  const transposes = (name, { shape }) => shape.length === 2 && !/^(embedding|positions)\./.test(name);
  return new Map([...weights].map(([name, array]) => [name, transposes(name, array) ? transposed(array) : array]));
}

/** [R, C] → [C, R] */
export function transposed({ shape: [R, C], data }) {
  return { shape: [C, R], data: Float32Array.from(data, (_, i) => data[(i % R) * C + Math.floor(i / R)]) };
}
