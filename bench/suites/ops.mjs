/** What stands between the matrix products: softmax, LayerNorm, GELU, and attention against what peers compose it of. */
import { Activation, AttentionScratch, f32, Kernels, Op } from "../kernels.mjs";
import { attentionPeers, gradientPeers } from "../peers/attention.mjs";
import { loadPeers } from "../peers/load.mjs";
import { geluPeers, layerNormPeers, softmaxPeers } from "../peers/rows.mjs";
import { random } from "../random.mjs";

const attentions = [
  { title: "GPT-2, 1024 tokens", B: 1, H: 12, T: 1024, D: 64, causal: true },
  { title: "Vaswani base, encoder, 16x64 tokens", B: 16, H: 8, T: 64, D: 64, causal: false },
  { title: "Vaswani base, decoder, 16x64 tokens", B: 16, H: 8, T: 64, D: 64, causal: true },
];

export default async function ops(harness) {
  const kernels = await Kernels.all(harness.threads);
  const peers = await loadPeers(harness);

  await rows("softmax 1024x1024", 1024, 1024, softmaxPeers, (core, out, x, R, C) => [Op.SoftmaxForward, out, x, R, C]);
  await rows("LayerNorm 1024x768", 1024, 768, layerNormPeers, (core, out, x, R, C) => {
    const [mean, rstd] = [core.reserve(4 * R), core.reserve(4 * R)];
    const [weight, bias] = [core.input(random(C, 2)), core.input(random(C, 3))];
    return [Op.LayerNormForward, out, mean, rstd, x, weight, bias, R, C, f32(1e-5)];
  });
  await rows("GELU (tanh) 64x3072", 64, 3072, geluPeers, (core, out, x, R, C) => [Op.ActivationForward, out, x, R * C, Activation.GeluTanh]);
  for (const shape of attentions) await attention(shape);

  /** An op of [R, C] → [R, C]. */
  async function rows(title, R, C, theirs, instruction) {
    if (!harness.wants(title)) return;
    const x = random(R * C).map((value) => 4 * value);
    const ours = kernels.map((core) => {
      const out = core.reserve(4 * R * C);
      return core.contestant([instruction(core, out, core.input(x), R, C)], out, R * C);
    });
    await measure(title, [...ours, ...(await theirs(peers, x, R, C))], { unit: "Gelement/s", amount: R * C });
  }

  /** Only pairs that a query sees count: 4·D flops forward, 10·D backward (the scores again, and four gradients). */
  async function attention({ title, ...shape }) {
    const { B, H, T, D, causal } = shape;
    const pairs = B * H * (causal ? (T * (T + 1)) / 2 : T * T);
    const inputs = { qkv: random(B * T * 3 * H * D), dOut: random(B * T * H * D, 2) };
    const cases = [
      ["forward", 4, (core) => ours(core, shape, inputs).forward, attentionPeers],
      ["backward", 10, (core) => ours(core, shape, inputs).backward, () => []], // no peer has it apart from forward
      ["forward + backward", 14, (core) => ours(core, shape, inputs).both, gradientPeers],
    ];
    for (const [pass, flops, mine, theirs] of cases) {
      const name = `attention ${pass}: ${title}`;
      if (!harness.wants(name)) continue;
      await measure(name, [...kernels.map(mine), ...(await theirs(peers, inputs, shape))], { unit: "GFLOP/s", amount: flops * D * pairs, limit: "flops" });
    }
  }

  async function measure(title, contestants, how) {
    await harness.compare(title, contestants, how);
    for (const { release } of contestants) await release?.();
    for (const core of kernels) core.clear();
  }
}

/** Queries, keys and values are columns of one [B, T, 3C], as a fused projection leaves them; so are their gradients. */
function ours(core, { B, H, T, D, causal }, inputs) {
  const C = H * D;
  const [out, lse, gradient] = [B * T * C, B * H * T, B * T * 3 * C].map((length) => core.reserve(4 * length));
  const [qkv, dOut] = [core.input(inputs.qkv), core.input(inputs.dOut)];
  const scratch = core.reserve(core.runtime.threads * (AttentionScratch.Base + AttentionScratch.PerDim * D));
  const columns = (address) => [0, 1, 2].map((i) => address + 4 * i * C);
  const rest = [...columns(qkv), 0, 0, scratch, B, H, T, T, D, C, 3 * C, 3 * C, 3 * C, f32(1 / Math.sqrt(D)), f32(0), 0, Number(causal)];
  const forward = [Op.AttentionForward, out, lse, ...rest];
  const backward = [Op.AttentionBackward, ...columns(gradient), dOut, out, lse, ...rest];
  core.contestant([forward], out, 0).run(); // backward needs what forward saves
  return {
    forward: core.contestant([forward], out, B * T * C),
    backward: core.contestant([backward], gradient, B * T * 3 * C),
    both: core.contestant([forward, backward], gradient, B * T * 3 * C),
  };
}
