/** The ops between the matrix products: softmax, LayerNorm, GELU, and attention, which some peers compose of several ops. */
import { Activation, Kernels, Op, Window } from "../kernels.mjs";
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

  await rows("softmax 1024x1024", 1024, 1024, softmaxPeers, softmax);
  await rows("LayerNorm 1024x768", 1024, 768, layerNormPeers, layerNorm);
  await rows("GELU (tanh) 64x3072", 64, 3072, geluPeers, (core, out, x, R, C) => [Op.ActivationForward, { out, x, n: R * C, activation: Activation.GeluTanh }]);
  for (const shape of attentions) await attention(shape);

  /** Measures an op that maps [R, C] to [R, C]. */
  async function rows(title, R, C, theirs, instruction) {
    if (!harness.wants(title)) return;
    const x = random(R * C).map((value) => 4 * value);
    const ours = kernels.map((core) => {
      const out = core.reserve(4 * R * C);
      return core.contestant([instruction(core, out, core.input(x), R, C)], out, R * C);
    });
    await measure(title, [...ours, ...(await theirs(peers, x, R, C))], { unit: "Gelement/s", amount: R * C });
  }

  /** Counts only the pairs that are attended to: 4·D FLOPs forward, 10·D backward (recomputed scores and four gradients). */
  async function attention({ title, ...shape }) {
    const { B, H, T, D, causal } = shape;
    const pairs = B * H * (causal ? (T * (T + 1)) / 2 : T * T);
    const inputs = { qkv: random(B * T * 3 * H * D), dOut: random(B * T * H * D, 2) };
    const cases = [
      ["forward", 4, (core) => attentionPasses(core, shape, inputs).forward, attentionPeers],
      ["backward", 10, (core) => attentionPasses(core, shape, inputs).backward, () => []], // no peer can run it without forward
      ["forward + backward", 14, (core) => attentionPasses(core, shape, inputs).both, gradientPeers],
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

export const softmax = (core, out, x, R, C) => [Op.SoftmaxForward, { out, x, R, C }];

export function layerNorm(core, out, x, R, C) {
  const [mean, rstd] = [core.reserve(4 * R), core.reserve(4 * R)];
  const [weight, bias] = [core.input(random(C, 2)), core.input(random(C, 3))];
  return [Op.LayerNormForward, { out, mean, rstd, x, weight, bias, R, C, epsilon: 1e-5 }];
}

/**
 * Attention forward, backward, and both in sequence. For self-attention, queries, keys and values are columns of one [B, T, 3C], the
 * output of a fused projection. For cross-attention, queries are [B, T, C], followed by keys and values in one [B, Tk, 2C].
 * Gradients use the same layout.
 */
export function attentionPasses(core, { B, H, T, Tk, D, causal, lengths = null }, { qkv, dOut }) {
  const C = H * D;
  const isSelf = Tk === undefined;
  const [ldq, ldkv, behind] = isSelf ? [3 * C, 3 * C, C] : [C, 2 * C, B * T * C];
  const columns = (address) => [address, address + 4 * behind, address + 4 * (behind + C)];
  const [out, lse, gradient] = [B * T * C, B * H * T, qkv.length].map((length) => core.reserve(4 * length));
  const [q, k, v] = columns(core.input(qkv));
  const [dQ, dK, dV] = columns(gradient);
  const shared = {
    out, lse, q, k, v, bias: null, past: null, lengths: lengths && core.input(lengths), rng: null, scratch: core.attentionScratch(D),
    B, H, Hkv: H, Tq: T, Tk: Tk ?? T, D, ldo: C, ldq, tokenK: ldkv, dimK: 1, headK: D, tokenV: ldkv, headV: D, biasBatch: 0, biasHead: 0, biasRow: 0,
    left: Window.Unlimited, right: causal ? 0 : Window.Unlimited, scale: 1 / Math.sqrt(D), dropout: 0, stream: 0,
  };
  const forward = [Op.AttentionForward, { ...shared, pages: null, P: 0, pageK: 0, pageV: 0 }];
  const backward = [Op.AttentionBackward, { ...shared, dQ, dK, dV, dBias: null, dOut: core.input(dOut) }];
  core.contestant([forward], out, 0).run(); // backward needs what forward saves
  return {
    forward: core.contestant([forward], out, B * T * C),
    backward: core.contestant([backward], gradient, qkv.length),
    both: core.contestant([forward, backward], gradient, qkv.length),
  };
}
