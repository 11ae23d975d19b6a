/** Training in tfjs. */

const ops = (tf, matMul) => ({
  again: (x) => x,
  embed: (table, ids) => matMul(tf.oneHot(ids, table.shape[0]).cast("float32"), table),
  addPositions: (x, positions, B) => {
    const [N, C] = x.shape;
    return x.reshape([B, N / B, C]).add(positions).reshape([N, C]);
  },
  linear: (x, weight, bias) => (bias ? matMul(x, weight).add(bias) : matMul(x, weight)),
  logits: (x, embedding) => matMul(x, embedding.transpose()),
  norm: (x, weight, bias) => {
    const { mean, variance } = tf.moments(x, -1, true);
    const y = x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(weight);
    return bias ? y.add(bias) : y;
  },
  add: (x, y) => x.add(y),
  scale: (x, factor) => x.mul(factor),
  gelu: (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)),
  relu: (x) => x.relu(),
  split: (x, n) => tf.split(x, n, -1),
  attention: (operands, { B, T, heads, width, causal, bias }) => {
    const [q, k, v] = operands.map((x) => x.reshape([B, T, heads, width / heads]));
    let scores = matMul(q.transpose([0, 2, 1, 3]), k.transpose([0, 2, 3, 1])).mul(Math.sqrt(heads / width));
    if (causal) scores = scores.add(causalBias(tf, T));
    if (bias) scores = scores.add(bias);
    return matMul(tf.softmax(scores), v.transpose([0, 2, 1, 3])).transpose([0, 2, 1, 3]).reshape([B * T, width]);
  },
  crossEntropy: (logits, targets, { counts, smoothing }) => {
    const V = logits.shape[1];
    const wanted = tf.oneHot(targets, V).cast("float32").mul(1 - smoothing).add(smoothing / V);
    const losses = tf.logSoftmax(logits).mul(wanted).sum(-1);
    if (!counts) return losses.mean().neg();
    return losses.mul(counts).sum().div(counts.sum()).neg();
  },
});

/**
 * A product whose gradient transposes its operands first. The gradient of tf.matMul multiplies transposed matrices instead, which
 * runs at a tenth of the speed in this backend.
 */
const tunedMatMul = (tf) =>
  tf.customGrad((a, b, save) => {
    save([a, b]);
    const axes = [...a.shape.keys()];
    axes.push(...axes.splice(-2).reverse());
    const gradFunc = (dy, [a, b]) => [tf.matMul(dy, b.transpose(axes)), tf.matMul(a.transpose(axes), dy)];
    return { value: tf.matMul(a, b), gradFunc };
  });

const masks = new Map();
const causalBias = (tf, T) => {
  if (!masks.has(T)) masks.set(T, tf.keep(tf.tensor(Float32Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 0 : -1e9)), [T, T])));
  return masks.get(T);
};

/** Like `jaxTrainer` in jax.mjs, with tfjs's own gradients or, if `tuned`, with our gradient for products. */
export const tfjsTrainer = (tf, ...rest) => trainer(tf, ops(tf, tf.matMul), ...rest);
export const tunedTfjsTrainer = (tf, ...rest) => trainer(tf, ops(tf, tunedMatMul(tf)), ...rest);

function trainer(tf, ops, model, weights, batchAt, { rate, beta1, beta2, epsilon, decay, clip }) {
  const tensor = ({ shape, data }) => tf.tensor(data, shape, data instanceof Int32Array ? "int32" : "float32");
  const variables = (make) => Object.fromEntries([...weights].map(([name, value]) => [name, tf.variable(make(value))]));
  const [p, m, v] = [variables(tensor), variables(({ shape }) => tf.zeros(shape)), variables(({ shape }) => tf.zeros(shape))];
  const parameters = Object.values(p);
  let t = 0;
  return {
    async step() {
      const arrays = batchAt(t++);
      const [rate1, root2] = [rate / (1 - beta1 ** t), 1 / Math.sqrt(1 - beta2 ** t)];
      const loss = tf.tidy(() => {
        const batch = Object.fromEntries(Object.entries(arrays).map(([name, value]) => [name, tensor(value)]));
        const { value, grads } = tf.variableGrads(() => model(ops, p, batch), parameters);
        const gradients = Object.entries(p).map(([name, variable]) => [name, grads[variable.name]]);
        const norm = tf.addN(gradients.map(([, g]) => g.square().sum())).sqrt();
        const scale = tf.minimum(1, tf.div(clip, norm));
        for (const [name, gradient] of gradients) {
          const g = gradient.mul(scale);
          m[name].assign(m[name].mul(beta1).add(g.mul(1 - beta1)));
          v[name].assign(v[name].mul(beta2).add(g.square().mul(1 - beta2)));
          const change = m[name].mul(rate1).div(v[name].sqrt().mul(root2).add(epsilon));
          const keep = p[name].shape.length > 1 ? 1 - rate * decay : 1;
          p[name].assign(p[name].mul(keep).sub(change));
        }
        return value;
      });
      const [value] = await loss.data();
      loss.dispose();
      return value;
    },
    dispose: () => tf.dispose([p, m, v]),
  };
}
