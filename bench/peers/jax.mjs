/** Training in jax-js: one jitted function maps parameters, moments and a batch to the next parameters and moments. */

const ops = ({ lax, nn, numpy: np }) => ({
  again: (x) => x.ref,
  embed: (table, ids) => np.matmul(nn.oneHot(ids, table.shape[0]), table),
  addPositions: (x, positions, B) => {
    const [N, C] = x.shape;
    return x.reshape([B, N / B, C]).add(positions).reshape([N, C]);
  },
  linear: (x, weight, bias) => (bias ? np.matmul(x, weight).add(bias) : np.matmul(x, weight)),
  logits: (x, embedding) => np.matmul(x, embedding.transpose()),
  norm: (x, weight, bias) => {
    const y = nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight);
    return bias ? y.add(bias) : y;
  },
  add: (x, y) => x.add(y),
  scale: (x, factor) => x.mul(factor),
  gelu: (x) => nn.gelu(x, { approximate: false }),
  relu: (x) => nn.relu(x),
  split: (x, n) => np.split(x, n, -1),
  attention: (operands, { B, T, heads, width, causal = false, bias }) => {
    const [q, k, v] = operands.map((x) => x.reshape([B, T, heads, width / heads]));
    return nn.dotProductAttention(q, k, v, { isCausal: causal, bias }).reshape([B * T, width]);
  },
  crossEntropy: (logits, targets, { counts, smoothing }) => {
    // Written by hand, because nn.logSoftmax takes ten times as long when jitted together with the projection.
    const [N, V] = logits.shape;
    const largest = lax.stopGradient(logits.ref.max(-1, { keepdims: true }));
    const sums = np.exp(logits.ref.sub(largest.ref)).sum(-1);
    const wanted = nn.oneHot(targets, V).mul(1 - smoothing).add(smoothing / V);
    const losses = np.log(sums).add(largest.reshape([N])).sub(logits.mul(wanted).sum(-1));
    if (!counts) return losses.mean();
    return losses.mul(counts.ref).sum().div(counts.sum());
  },
});

/**
 * @param {object} jax
 * @param {(ops: object, p: object, batch: object) => object} model  mean loss
 * @param {Map<string, { shape: number[], data: Float32Array }>} weights
 * @param {(step: number) => Record<string, { shape: number[], data: Float32Array | Int32Array }>} batchAt
 * @returns a trainer whose `step()` resolves to the loss
 */
export function jaxTrainer(jax, model, weights, batchAt, { rate, beta1, beta2, epsilon, decay, clip }) {
  const { numpy: np, tree } = jax;
  const lossOf = (p, batch) => model(ops(jax), p, batch);
  const update = jax.jit((p, m, v, roots, batch) => {
    const [loss, gradient] = jax.valueAndGrad(lossOf)(tree.ref(p), batch);
    const square = Object.values(gradient).map((g) => np.square(g.ref).sum()).reduce((sum, x) => sum.add(x));
    const scale = np.minimum(np.array(1), np.array(clip).div(np.sqrt(square)));
    const [rate1, root2] = np.split(roots, 2, 0); // rate / (1 − β1^t), 1 / √(1 − β2^t)
    const next = { p: {}, m: {}, v: {} };
    for (const name of Object.keys(p)) {
      const g = gradient[name].mul(scale.ref);
      const m1 = m[name].mul(beta1).add(g.ref.mul(1 - beta1));
      const v1 = v[name].mul(beta2).add(np.square(g).mul(1 - beta2));
      const change = m1.ref.mul(rate1.ref).div(np.sqrt(v1.ref).mul(root2.ref).add(epsilon));
      const keep = p[name].shape.length > 1 ? 1 - rate * decay : 1;
      next.p[name] = p[name].mul(keep).sub(change);
      next.m[name] = m1;
      next.v[name] = v1;
    }
    for (const x of [scale, rate1, root2]) x.dispose();
    return { ...next, loss };
  });
  const array = ({ shape, data }) => np.array(data).reshape(shape);
  const zeros = ({ shape }) => np.zeros(shape);
  const start = (make) => Object.fromEntries([...weights].map(([name, value]) => [name, make(value)]));
  let [p, m, v] = [start(array), start(zeros), start(zeros)];
  let t = 0;
  return {
    async step() {
      const batch = Object.fromEntries(Object.entries(batchAt(t++)).map(([name, value]) => [name, array(value)]));
      const roots = np.array(Float32Array.of(rate / (1 - beta1 ** t), 1 / Math.sqrt(1 - beta2 ** t)));
      const next = update(p, m, v, roots, batch);
      ({ p, m, v } = next);
      await jax.blockUntilReady(next);
      const [loss] = await next.loss.data();
      return loss;
    },
    dispose: () => {
      tree.dispose([p, m, v]);
      update.dispose();
    },
  };
}
