/**
 * One cold start in this process: `node cold.mjs NAME DIST` sends the time from the first import (heed's from the folder DIST) to the
 * first result of a tiny model, 8 rows through 64 → 256 → GELU → 64, and the result: { ms, cpu, result }, `cpu` being processor time.
 * Loading is timed, so nothing imported here may import heed.
 */
import { model, node } from "./onnx.mjs";
import { random } from "../random.mjs";

const [name, dist] = process.argv.slice(2);
const [B, width, hidden] = [8, 64, 256];
const x = random(B * width, 1);
const up = random(width * hidden, 2); //   [in, out], the peers' layout
const down = random(hidden * width, 3);

const turned = (data, R, C) => Float32Array.from(data, (_, i) => data[(i % R) * C + Math.floor(i / R)]);
const heedWeights = new Map([["up.weight", { data: turned(up, width, hidden) }], ["down.weight", { data: turned(down, hidden, width) }]]);
const onnx = () =>
  model(
    [node("MatMul", ["x", "up"], ["h"]), node("Gelu", ["h"], ["g"], { approximate: "tanh" }), node("MatMul", ["g", "down"], ["out"])],
    { x: [B, width] }, { out: [B, width] }, { up: { shape: [width, hidden], data: up }, down: { shape: [hidden, width], data: down } },
  );

async function heed(build) {
  const { Activation, compile, FeedForward, Graph, Runtime, Weights } = await import(new URL("index.js", dist));
  const runtime = await Runtime.create({ build });
  const layer = new FeedForward({ width, hidden, activation: Activation.GeluTanh, bias: false });
  new Weights(runtime, layer.parameters()).write(heedWeights);
  const graph = new Graph(runtime);
  const input = graph.input([B, width]);
  const out = graph.keep(layer.forward(input));
  const program = compile(graph);
  program.write(input, x);
  program.run();
  return program.read(out);
}

async function onnxruntime(ort, options, file) {
  const session = await ort.InferenceSession.create(file, options);
  const { out } = await session.run({ x: new ort.Tensor("float32", x, [B, width]) });
  return out.data;
}

const starts = {
  simd: () => () => heed("simd"),
  relaxed: () => () => heed("relaxed"),
  "onnxruntime-web": (file = onnx()) => async () => {
    const ort = await import("onnxruntime-web/wasm");
    ort.env.wasm.numThreads = 1;
    return onnxruntime(ort, { executionProviders: ["wasm"] }, file);
  },
  "onnxruntime-node": (file = onnx()) => async () => onnxruntime((await import("onnxruntime-node")).default, {}, file),
  "tfjs-wasm": () => async () => {
    console.warn = () => {};
    const [tf] = await Promise.all([import("@tensorflow/tfjs-core"), import("@tensorflow/tfjs-backend-wasm")]);
    await tf.setBackend("wasm");
    const h = tf.matMul(tf.tensor(x, [B, width]), tf.tensor(up, [width, hidden]));
    const inner = tf.mul(tf.add(h, tf.mul(tf.pow(h, 3), 0.044715)), Math.sqrt(2 / Math.PI));
    const gelu = tf.mul(tf.mul(h, 0.5), tf.add(tf.tanh(inner), 1));
    return tf.matMul(gelu, tf.tensor(down, [hidden, width])).data();
  },
  "jax-js": () => async () => {
    const jax = await import("@jax-js/jax");
    await jax.init("wasm");
    jax.defaultDevice("wasm");
    const { nn, numpy: np } = jax;
    const array = (data, shape) => np.array(data).reshape(shape);
    const h = np.matmul(array(x, [B, width]), array(up, [width, hidden]));
    return np.matmul(nn.gelu(h, { approximate: true }), array(down, [hidden, width])).data();
  },
};

const start = starts[name]();
const began = performance.now();
const used = process.cpuUsage();
try {
  const result = await start();
  const { user, system } = process.cpuUsage(used);
  process.send({ ms: performance.now() - began, cpu: (user + system) / 1000, result: [...result] });
} catch (error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  process.send({ missing: true });
}
process.exit();
