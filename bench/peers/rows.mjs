/** Row-wise and pointwise ops of the peers, built in or composed. */
import { jaxContestant, tfjsContestant } from "./load.mjs";
import { model, node } from "./onnx.mjs";
import { random } from "../random.mjs";

export const softmaxPeers = (peers, x, R, C) =>
  contestants(peers, x, R, C, {
    onnx: node("Softmax", ["x"], ["out"], { axis: -1 }),
    tfjs: (tf, x) => tf.softmax(x),
    jax: ({ nn }, x) => nn.softmax(x, -1),
  });

export const layerNormPeers = (peers, x, R, C) =>
  contestants(peers, x, R, C, {
    onnx: node("LayerNormalization", ["x", "weight", "bias"], ["out"], { axis: -1, epsilon: 1e-5 }),
    constants: { weight: { shape: [C], data: random(C, 2) }, bias: { shape: [C], data: random(C, 3) } },
    tfjs: (tf, x, weight, bias) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(weight).add(bias);
    },
    jax: ({ nn }, x, weight, bias) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias),
  });

export const geluPeers = (peers, x, R, C) =>
  contestants(peers, x, R, C, {
    onnx: node("Gelu", ["x"], ["out"], { approximate: "tanh" }),
    tfjs: (tf, x) => x.mul(0.5).mul(x.add(x.square().mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI)).tanh().add(1)),
    jax: ({ nn }, x) => nn.gelu(x, { approximate: true }),
  });

async function contestants({ ortWeb, ortNode, tfjs: tf, jax }, x, R, C, { onnx, tfjs, jax: ofJax, constants = {} }) {
  const found = [];
  for (const ort of [ortWeb, ortNode].filter(Boolean)) {
    found.push(await ort.contestant(model([onnx], { x: [R, C] }, { out: [R, C] }, constants), { x: { shape: [R, C], data: x } }));
  }
  const arrays = [{ shape: [R, C], data: x }, ...Object.values(constants)];
  if (tf) {
    const inputs = arrays.map(({ shape, data }) => tf.tensor(data, shape));
    found.push({ ...tfjsContestant(tf, () => tf.tidy(() => tfjs(tf, ...inputs))), release: () => tf.dispose(inputs) });
  }
  if (jax) {
    const inputs = arrays.map(({ shape, data }) => jax.numpy.array(data).reshape(shape));
    found.push(jaxContestant(jax, (...inputs) => ofJax(jax, ...inputs), inputs));
  }
  return found;
}
