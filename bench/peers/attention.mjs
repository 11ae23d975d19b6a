/**
 * Multi-head self-attention as users of the peers write it: qkv [B, T, 3C] → [B, T, C], and its gradient.
 * If there is a mask, it is added to the scores.
 */
import { jaxContestant, tfjsContestant } from "./load.mjs";
import { model, node } from "./onnx.mjs";

/** Forward: for ORT both composed of standard ops and as its fused op; for the others composed. */
export async function attentionPeers({ ortWeb, ortNode, tfjs: tf, jax }, { qkv }, shape) {
  const { B, H, T, D } = shape;
  const inputs = { qkv: { shape: [B, T, 3 * H * D], data: qkv } };
  const found = [];
  for (const ort of [ortWeb, ortNode].filter(Boolean)) {
    found.push(await ort.contestant(composed(shape), inputs, `${ort.name} composed`));
    found.push(await ort.contestant(fused(shape), inputs, `${ort.name} fused`));
  }
  if (tf) {
    const x = tf.tensor(qkv, inputs.qkv.shape);
    const mask = shape.causal ? tf.tensor(causalMask(T), [T, T]) : null;
    found.push({ ...tfjsContestant(tf, () => tf.tidy(() => tfjsAttention(tf, x, shape, mask))), release: () => tf.dispose([x, mask].filter(Boolean)) });
  }
  if (jax) found.push(jaxContestant(jax, (x) => jaxAttention(jax, x, shape), [jax.numpy.array(qkv).reshape(inputs.qkv.shape)]));
  return found;
}

/** Forward and backward: the gradient of Σ out·dOut with respect to qkv. */
export function gradientPeers({ tfjs: tf, jax }, { qkv, dOut }, shape) {
  const { B, H, T, D } = shape;
  const shapes = [[B, T, 3 * H * D], [B, T, H * D]];
  const found = [];
  if (tf) {
    const [x, dy] = [qkv, dOut].map((data, i) => tf.tensor(data, shapes[i]));
    const mask = shape.causal ? tf.tensor(causalMask(T), [T, T]) : null;
    const gradient = tf.grad((x) => tfjsAttention(tf, x, shape, mask));
    found.push({ ...tfjsContestant(tf, () => tf.tidy(() => gradient(x, dy))), release: () => tf.dispose([x, dy, mask].filter(Boolean)) });
  }
  if (jax) {
    const inputs = [qkv, dOut].map((data, i) => jax.numpy.array(data).reshape(shapes[i]));
    found.push(jaxContestant(jax, (x, dy) => jax.grad((x) => jaxAttention(jax, x, shape).mul(dy.ref).sum())(x), inputs));
  }
  return found;
}

function tfjsAttention(tf, qkv, { B, H, T, D }, mask) {
  const [q, k, v] = tf.split(qkv, 3, -1).map((x) => x.reshape([B, T, H, D]));
  let scores = tf.matMul(q.transpose([0, 2, 1, 3]), k.transpose([0, 2, 3, 1])).mul(1 / Math.sqrt(D));
  if (mask) scores = scores.add(mask);
  return tf.matMul(tf.softmax(scores), v.transpose([0, 2, 1, 3])).transpose([0, 2, 1, 3]).reshape([B, T, H * D]);
}

function jaxAttention({ nn, numpy: np }, qkv, { B, H, T, D, causal }) {
  const [q, k, v] = np.split(qkv, 3, -1).map((x) => x.reshape([B, T, H, D]));
  return nn.dotProductAttention(q, k, v, { isCausal: causal }).reshape([B, T, H * D]);
}

function composed({ B, H, T, D, causal }) {
  const heads = (name, perm) => [node("Reshape", [name, "heads"], [`${name}4`]), node("Transpose", [`${name}4`], [`${name}T`], { perm })];
  const nodes = [
    node("Split", ["qkv"], ["q", "k", "v"], { axis: -1, num_outputs: 3 }),
    ...heads("q", [0, 2, 1, 3]), ...heads("k", [0, 2, 3, 1]), ...heads("v", [0, 2, 1, 3]),
    node("MatMul", ["qT", "kT"], ["products"]),
    node("Mul", ["products", "scale"], ["scores"]),
    ...(causal ? [node("Add", ["scores", "mask"], ["masked"])] : []),
    node("Softmax", [causal ? "masked" : "scores"], ["weights"], { axis: -1 }),
    node("MatMul", ["weights", "vT"], ["sums"]),
    node("Transpose", ["sums"], ["rows"], { perm: [0, 2, 1, 3] }),
    node("Reshape", ["rows", "width"], ["out"]),
  ];
  const constants = {
    heads: { shape: [4], data: BigInt64Array.of(BigInt(B), BigInt(T), BigInt(H), BigInt(D)) },
    width: { shape: [3], data: BigInt64Array.of(BigInt(B), BigInt(T), BigInt(H * D)) },
    scale: { shape: [], data: Float32Array.of(1 / Math.sqrt(D)) },
    ...(causal ? { mask: { shape: [T, T], data: causalMask(T) } } : {}),
  };
  return model(nodes, { qkv: [B, T, 3 * H * D] }, { out: [B, T, H * D] }, constants);
}

function fused({ B, H, T, D, causal }) {
  const nodes = [
    node("Split", ["qkv"], ["q", "k", "v"], { axis: -1, num_outputs: 3 }),
    node("com.microsoft.MultiHeadAttention", ["q", "k", "v"], ["out"], { num_heads: H, unidirectional: Number(causal) }),
  ];
  return model(nodes, { qkv: [B, T, 3 * H * D] }, { out: [B, T, H * D] });
}

/** 0 where a query may attend, a large negative number elsewhere. */
export function causalMask(T) {
  return Float32Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 0 : -1e9));
}
