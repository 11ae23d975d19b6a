/**
 * Products with weights in int8 and int4: rows of one token at the shapes of GPT-2, and prompts. Activations are quantized beforehand, once
 * for all products that read them; that takes a row of its own.
 */
import { Linear, Weights } from "../../dist/index.js";
import { Activation, current, Kernels, Op } from "../kernels.mjs";
import { random } from "../random.mjs";

const { Quantized } = current.constants;
const vectors = [[768, 768], [2048, 768], [50257, 768]]; // N K
const prompts = [["int8row", 512, 512, 512], ["int8", 512, 512, 512], ["int8", 512, 768, 2048], ["int8", 512, 2048, 768], ["int4", 512, 768, 2048]]; // M N K
const bytesOf = { panels: (N, K) => 4 * N * K, int8: (N, K) => 1.25 * N * K, int4: (N, K) => 0.625 * N * K };

export default async function quant(harness) {
  const kernels = await Kernels.all(harness.threads);
  for (const [N, K] of vectors) {
    for (const format of ["panels", "int8", "int4"]) {
      const bytes = bytesOf[format](N, K);
      // A matrix that fits into the caches is bound by arithmetic only.
      const limit = { [format === "panels" ? "flops" : format]: 2 * N * K, ...(bytes > CACHES ? { bytes } : {}) };
      await measure(`${format} 1x${N}x${K}`, format, [1, N, K], { unit: "GB/s", amount: bytes, limit });
    }
  }
  for (const [format, M, N, K] of prompts) {
    await measure(`${format} ${M}x${N}x${K}`, format, [M, N, K], { unit: "GOP/s", amount: 2 * M * N * K, limit: { [format]: 2 * M * N * K } });
  }
  for (const M of [1, 512]) await measure(`quantize ${M}x768`, null, [M, 1, 768], { unit: "Gelement/s", amount: M * 768 });

  async function measure(title, format, shape, how) {
    if (!harness.wants(title)) return;
    const contestants = kernels.map((core) => contestant(core, format, ...shape));
    await harness.compare(title, contestants, how);
    for (const { release } of contestants) release();
    for (const core of kernels) core.clear();
  }
}

/** Weights of more bytes than this come from memory. */
const CACHES = 16 << 20;

function contestant(core, format, M, N, K) {
  const layer = new Linear(K, N, { bias: false });
  const weights = new Weights(core.runtime, layer.parameters(), { format: format ?? "int8" });
  weights.initialize(1);
  const { block, offset } = layer.weight.state;
  const out = core.reserve(4 * M * N);
  const group = format === "int8row" ? Math.ceil(K / 32) * 32 : 32;
  const x = core.input(random(M * K, 1));
  const a = core.reserve(2 * M * Math.ceil(K / group) * (Quantized.Header + Quantized.PerElement * group) + Quantized.PerRow * M);
  const quantize = [Op.QuantizeRows, { out: a, x, R: M, C: K, group, levels: format === "int4" ? Quantized.Int4Levels : Quantized.Int8Levels }];
  const shared = { out, a, b: block.address + offset, bias: null, scratch: core.matmulScratch(), M, N, K, activation: Activation.None };
  const dense = { batch: 1, ldo: N, lda: K, ldb: K, strideOut: 0, strideA: 0, strideB: 0, accumulate: false, format: 2 };
  const product = {
    panels: [Op.MatmulNT, { ...shared, a: x, ...dense }], int8: [Op.MatmulQ8NT, { ...shared, group }], int8row: [Op.MatmulQ8NT, { ...shared, group }], int4: [Op.MatmulQ4NT, shared],
  }[format];
  const quantizing = core.contestant([quantize], x, M * K);
  if (product) quantizing.run();
  return { ...(product ? core.contestant([product], out, M * N) : quantizing), release: () => weights.dispose() };
}
