/**
 * Matrix products at the shapes of training and decoding, in the three layouts that a linear layer needs:
 * NT is y = x·Wᵀ with W [out, in], NN its gradient in x, TN its gradient in W.
 */
import { Activation, Kernels, Op } from "../kernels.mjs";
import { model, node } from "../peers/onnx.mjs";
import { jaxContestant, loadPeers, tfjsContestant } from "../peers/load.mjs";
import { transposed } from "../peers/models.mjs";
import { random } from "../random.mjs";

const layouts = ["NT", "NN", "TN"];
const shapes = [...[64, 128, 256, 512, 1024].map((n) => [n, n, n]), [128, 512, 2048], [768, 384, 128]]; // M N K

export default async function matmul(harness) {
  const kernels = await Kernels.all(harness.threads, { turbo: true });
  const peers = await loadPeers(harness);
  for (const layout of layouts) for (const shape of shapes) await square(layout, ...shape);
  await vector();

  async function square(layout, M, N, K) {
    const title = `${layout} ${M}x${N}x${K}`;
    if (!harness.wants(title)) return;
    await measure(title, layout, M, N, K, { unit: "GFLOP/s", amount: 2 * M * N * K, limit: "flops" });
  }

  /** GPT-2's output layer for one token: 154 MB of weights for 77 MFLOP. */
  async function vector() {
    const [M, N, K] = [1, 50257, 768];
    const title = `NT ${M}x${N}x${K}`;
    if (!harness.wants(title)) return;
    await measure(title, "NT", M, N, K, { unit: "GB/s", amount: 4 * N * K, limit: "bytes" });
  }

  async function measure(title, layout, M, N, K, how) {
    const operands = operandsOf(layout, M, N, K);
    const contestants = [...kernels.map((core) => ours(core, layout, M, N, K, operands)), ...(await theirs(peers, layout, M, N, operands))];
    await harness.compare(title, contestants, how);
    for (const { release } of contestants) await release?.();
    for (const core of kernels) core.clear();
  }
}

export const operandsOf = (layout, M, N, K) => ({
  a: { shape: layout === "TN" ? [K, M] : [M, K], data: random(M * K, 1) },
  b: { shape: layout === "NT" ? [N, K] : [K, N], data: random(K * N, 2) },
});

export function ours(core, layout, M, N, K, { a, b }) {
  const out = core.reserve(4 * M * N);
  const product = {
    out, a: core.input(a.data), b: core.input(b.data), bias: null, scratch: core.matmulScratch(), batch: 1, M, N, K, ldo: N, lda: a.shape[1], ldb: b.shape[1],
    strideOut: 0, strideA: 0, strideB: 0, activation: Activation.None, accumulate: false, ...(layout === "TN" ? {} : { format: 0 }),
  };
  return core.contestant([[Op[`Matmul${layout}`], product]], out, M * N);
}

/**
 * A layer's weights (NT) are constants that each peer receives as [in, out], its fastest layout; ORT also packs them in advance.
 * The operands of gradients keep the layout that the backward pass finds them in.
 */
async function theirs({ ortWeb, ortNode, tfjs: tf, jax }, layout, M, N, { a, b }) {
  const contestants = [];
  const right = layout === "NT" ? transposed(b) : b;
  for (const ort of [ortWeb, ortNode].filter(Boolean)) {
    if (layout === "NT") contestants.push(await ort.contestant(model([node("MatMul", ["a", "b"], ["out"])], { a: a.shape }, { out: [M, N] }, { b: right }), { a }));
    else {
      const product = layout === "TN" ? node("Gemm", ["a", "b"], ["out"], { transA: 1 }) : node("MatMul", ["a", "b"], ["out"]);
      contestants.push(await ort.contestant(model([product], { a: a.shape, b: b.shape }, { out: [M, N] }), { a, b }));
    }
  }
  if (tf) {
    const [x, y] = [a, right].map(({ shape, data }) => tf.tensor(data, shape));
    contestants.push({ ...tfjsContestant(tf, () => tf.matMul(x, y, layout === "TN")), release: () => tf.dispose([x, y]) });
  }
  if (jax) {
    const inputs = [a, right].map(({ shape, data }) => jax.numpy.array(data).reshape(shape));
    contestants.push(jaxContestant(jax, (x, y) => jax.numpy.einsum(layout === "TN" ? "km,kn->mn" : "mk,kn->mn", x, y), inputs));
  }
  return contestants;
}
