/** heed's performance targets. Each applies to some rows of the results; the worst of these rows is compared with the target. */
import { shareOfLimit, timesFaster } from "./table.mjs";

const share = (row) => shareOfLimit(row);
/** Speedup over the fastest peer whose name starts with `peer`. */
const than = (peer) => (row) => Math.min(...Object.entries(row.peers).filter(([name]) => name.startsWith(peer) && !name.endsWith("tuned")).map(([, value]) => timesFaster(row, value)));
const thanOneThread = (row) => timesFaster(row, row.alone);
const thanRelaxed = (row, rows) => timesFaster(row, rows.find((other) => other.build === "relaxed" && other.threads === row.threads && other.suite === row.suite && other.case === row.case).value);

const one = (suite, pattern, build = "relaxed") => (row) => row.suite === suite && row.threads === 1 && row.build === build && pattern.test(row.case);
const two = (suite, pattern) => (row) => row.suite === suite && row.threads === 2 && row.build === "relaxed" && pattern.test(row.case);

const products = /^(NT|NN|TN) (?!1x)/;
const large = /(256x256x256|512x512x512|1024x1024x1024)/;
const ort = "onnxruntime-web";

const requirement = (what, rows, asked) => ({ what, rows, asked });
const limit = (least) => ({ than: "the limit", least, of: share, percent: true });
const faster = (peer, least) => ({ than: peer, least, of: than(peer) });

export const requirements = [
  requirement("f32 matmul, every case from 64³ up, relaxed", one("matmul", products), [limit(0.92), faster(ort, 1.5), faster("tfjs-wasm", 1.25), faster("jax-js", 1.4)]),
  requirement("same, plain build", one("matmul", products, "simd"), [limit(0.88)]),
  requirement("matrix-vector f32, out of cache", one("matmul", /^NT 1x/), [{ ...limit(0.85), than: "read bandwidth" }, faster(ort, 1.1)]),
  requirement("attention forward, causal, 12 heads, T=1024, d=64", one("ops", /forward: GPT-2/), [limit(0.65), faster(ort, 2.8)]),
  requirement("attention backward, same", one("ops", /attention backward: GPT-2/), [limit(0.6)]),
  requirement("softmax 1024x1024", one("ops", /^softmax/), [faster("tfjs-wasm", 1.15), faster(ort, 3)]),
  requirement("LayerNorm 1024x768", one("ops", /^LayerNorm/), [faster(ort, 4)]),
  requirement("GELU (tanh) 64x3072", one("ops", /^GELU/), [faster(ort, 2)]),
  requirement("nanogpt-cpu training step", one("train", /^nanogpt/), [limit(0.8), faster("jax-js", 2.4), faster("tfjs-wasm", 15)]),
  requirement("encoder forward, 128 tokens", one("encode", /./), [faster(ort, 1.5)]),
  requirement("load to first result, tiny model", one("cold", /./), [{ than: "15 ms", least: 1, of: (row) => 15 / row.value }, faster(ort, 10)]),
  requirement("two threads over one: matmul from 256³ up", two("matmul", large), [{ than: "one thread", least: 1.9, of: thanOneThread }]),
  requirement("two threads over one: training step", two("train", /^nanogpt/), [{ than: "one thread", least: 1.8, of: thanOneThread }]),
  requirement("two threads over one: encoder", two("encode", /./), [{ than: "one thread", least: 1.8, of: thanOneThread }]),
  requirement("turbo: matmul 512³", one("matmul", /512x512x512/, "turbo"), [{ than: "relaxed", least: 1.8, of: thanRelaxed }]),
  requirement("turbo: training step", one("train", /^nanogpt/, "turbo"), [{ than: "relaxed", least: 1.5, of: thanRelaxed }]),
];

/** The worst of a requirement's rows, or null if none was measured. */
export function measure({ rows: belongs }, { of }, rows) {
  const measured = rows.filter(belongs).map((row) => ({ row, value: of(row, rows) })).filter(({ value }) => Number.isFinite(value));
  return measured.reduce((worst, each) => (!worst || each.value < worst.value ? each : worst), null);
}
