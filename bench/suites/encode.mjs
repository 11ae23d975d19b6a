/** An encoder with the shape of a sentence embedding model (MiniLM: 6 layers, width 384, 12 heads), on 128 tokens. */
import { Activation, compile, Encoder, Graph, Weights } from "../../dist/index.js";
import { heeds } from "../kernels.mjs";
import { encoderModel } from "../peers/encoder.mjs";
import { loadPeers } from "../peers/load.mjs";
import { random } from "../random.mjs";

const shape = { layers: 6, width: 384, heads: 12, hidden: 1536, T: 128 };

export default async function encode(harness) {
  const runtimes = await heeds(harness.threads, { turbo: true });
  const { ortWeb, ortNode } = await loadPeers(harness, ["ortWeb", "ortNode"]);
  for (const B of [1, 8]) {
    const title = `encoder, ${shape.layers} layers of ${shape.width}: ${B}x${shape.T} tokens`;
    if (!harness.wants(title)) continue;
    const x = { shape: [B, shape.T, shape.width], data: random(B * shape.T * shape.width) };
    const ours = runtimes.map((heed) => contestant(heed, x));
    const file = encoderModel(randomWeights(new Encoder(shape.layers, config).parameters()), { ...shape, B });
    const theirs = [];
    for (const ort of [ortWeb, ortNode].filter(Boolean)) theirs.push(await ort.contestant(file, { x }));
    await harness.compare(title, [...ours, ...theirs], { unit: "ms", amount: ours[0].flops, limit: "flops" });
    for (const { release } of [...ours, ...theirs]) await release();
  }
}

const config = { width: shape.width, heads: shape.heads, hidden: shape.hidden, norm: "post", activation: Activation.Gelu, bias: true, attentionBias: true };

function contestant(heed, x) {
  const encoder = new Encoder(shape.layers, config);
  const weights = new Weights(heed.runtime, encoder.parameters());
  weights.write(randomWeights(weights.parameters));
  const graph = new Graph(heed.runtime);
  const input = graph.input(x.shape);
  const out = graph.keep(encoder.forward(input));
  const program = compile(graph);
  return {
    ...heed,
    flops: program.describe().flops,
    run() {
      program.write(input, x.data);
      program.run();
    },
    result: () => program.read(out),
    release() {
      program.dispose();
      weights.dispose();
    },
  };
}

/** Glorot initialization; the gains of norms are about 1. */
function randomWeights(parameters) {
  return new Map([...parameters].map(([name, { shape, size }], i) => {
    const [bound, centre] = shape.length === 2 ? [Math.sqrt(6 / (shape[0] + shape[1])), 0] : [0.1, Number(/norm\d\.weight/.test(name))];
    return [name, { shape, data: random(size, i + 1).map((value) => centre + bound * value) }];
  }));
}
