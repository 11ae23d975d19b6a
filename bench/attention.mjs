/**
 * Attention, forward and backward: GFLOP/s of one thread, by its own time, at the shapes of training and decoding, beside what 128-bit SIMD allows.
 *
 *     npm run build:wasm && node bench/attention.mjs [simd|relaxed] [repeats]
 *
 * Only pairs that a query sees count: 4·D flops each forward, 10·D backward (the scores computed again, and four gradients).
 * Queries, keys and values are columns of one [B, T, 3C], as a fused projection leaves them. Checked against f64 before timed.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { compileLimit, median, quantile, time } from "./limit.mjs";

if (process.version.startsWith("v20.")) setFlagsFromString("--experimental-wasm-relaxed-simd"); // before anything is compiled
const build = process.argv[2] ?? "simd";
const repeats = Number(process.argv[3] ?? 200);
const Op = { AttentionForward: 4, AttentionBackward: 5 };
const SCRATCH_BYTES = 1 << 20;

const shapes = [
  { title: "GPT-2 124M, 1024 tokens", B: 1, H: 12, Tq: 1024, Tk: 1024, D: 64, causal: 1 },
  { title: "nanoGPT on a CPU", B: 12, H: 4, Tq: 64, Tk: 64, D: 32, causal: 1 },
  { title: "nanoGPT on a CPU, dropout 0.1", B: 12, H: 4, Tq: 64, Tk: 64, D: 32, causal: 1, dropout: 0.1 },
  { title: "translation, encoder, 32 tokens", B: 32, H: 4, Tq: 32, Tk: 32, D: 64, causal: 0 },
  { title: "translation, encoder, 16 tokens", B: 32, H: 8, Tq: 16, Tk: 16, D: 32, causal: 0 },
  { title: "translation, decoder, 16 tokens", B: 32, H: 8, Tq: 16, Tk: 16, D: 32, causal: 1 },
  { title: "translation, 8 tokens", B: 64, H: 4, Tq: 8, Tk: 8, D: 64, causal: 0 },
  { title: "BERT-base, 128 tokens", B: 4, H: 12, Tq: 128, Tk: 128, D: 64, causal: 0 },
  { title: "decoding, 1 token, cache of 512", B: 1, H: 12, Tq: 1, Tk: 512, D: 64, causal: 1 },
  { title: "decoding, 160 beams, cache of 16", B: 160, H: 8, Tq: 1, Tk: 16, D: 32, causal: 1 },
];

const { exports: core } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(new URL(`../build/heed.${build}.wasm`, import.meta.url))));
const limit = await compileLimit();

console.log(`node ${process.version}, ${build} build, one thread, median of ${repeats}`);
console.log("pass       B   H    Tq    Tk   D        µs  GFLOP/s  spread   limit  of it    best of best");
for (const shape of shapes) {
  console.log(shape.title);
  const { forward, backward } = prepare(shape);
  measure("forward ", shape, 4, forward);
  if (shape.Tq > 1) measure("backward", shape, 10, backward);
}

function measure(pass, { B, H, Tq, Tk, D, causal }, perPair, run) {
  let pairs = 0;
  for (let i = 0; i < Tq; i++) pairs += causal ? i + Tk - Tq + 1 : Tk;
  const flops = perPair * D * pairs * B * H;
  const calls = Math.max(1, Math.round(4e7 / flops)); // about a millisecond a repeat
  const warm = performance.now();
  while (performance.now() - warm < 60) run(calls), limit();
  const rates = [];
  const limits = [];
  const budget = performance.now() + 1500;
  for (let i = 0; i < repeats && (i < 5 || performance.now() < budget); i++) {
    rates.push((flops * calls) / 1e6 / time(() => run(calls)));
    limits.push(limit());
  }
  const [rate, bound] = [median(rates), median(limits)];
  const spread = (quantile(rates, 0.75) - quantile(rates, 0.25)) / rate;
  const best = (100 * Math.max(...rates)) / Math.max(...limits); // what is left of it on a machine with other work
  const sizes = `${pad(B, 4)}${pad(H, 4)}${pad(Tq, 6)}${pad(Tk, 6)}${pad(D, 4)}`;
  const [us, percent] = [flops / rate / 1e3, (100 * rate) / bound];
  console.log(`${pass}${sizes}${pad(us.toFixed(1), 10)}${pad(rate.toFixed(1), 9)}${pad((100 * spread).toFixed(0), 6)} %${pad(bound.toFixed(1), 8)}${pad(percent.toFixed(0), 5)} %${pad(best.toFixed(0), 8)} %`);
}

/** Programs of one instruction over seeded operands, which have been run and checked. */
function prepare({ B, H, Tq, Tk, D, causal, dropout = 0 }) {
  const C = H * D;
  const T = Math.max(Tq, Tk);
  const base = (core.heapBase() + 63) & ~63;
  const sizes = { qkv: B * T * 3 * C, gradient: B * T * 3 * C, out: B * Tq * C, dOut: B * Tq * C, lse: B * H * Tq, rng: 4 };
  const at = {};
  let top = base + 512 + SCRATCH_BYTES;
  for (const [name, size] of Object.entries(sizes)) {
    at[name] = top;
    top = (top + 4 * size + 127) & ~63;
  }
  const missing = top - core.memory.buffer.byteLength;
  if (missing > 0) core.memory.grow(Math.ceil(missing / 65536));
  const view = (name) => new Float32Array(core.memory.buffer, at[name], sizes[name]);
  let state = 1;
  for (const name of Object.keys(sizes)) view(name).forEach((_, i, x) => (x[i] = ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * 2 - 1));

  const columns = (address) => [0, 1, 2].map((i) => address + 4 * i * C);
  const rest = [B, H, Tq, Tk, D, C, 3 * C, 3 * C, 3 * C, bits(1 / Math.sqrt(D)), bits(dropout), 1, causal];
  const program = (where, op, operands) => {
    new Uint32Array(core.memory.buffer, where, operands.length + 3).set([op, operands.length + 2, ...operands, 0]);
    return (calls) => {
      for (let i = 0; i < calls; i++) core.run(where, 0, 1);
    };
  };
  const inputs = [...columns(at.qkv), 0, at.rng, base + 512];
  const forward = program(base, Op.AttentionForward, [at.out, at.lse, ...inputs, ...rest]);
  const backward = program(base + 256, Op.AttentionBackward, [...columns(at.gradient), at.dOut, at.out, at.lse, ...inputs, ...rest]);
  forward(1);
  backward(1);
  if (!dropout) check(view("out"), view("qkv"));
  return { forward, backward };

  function check(out, qkv) {
    for (let t = 0; t < 20; t++) {
      const [b, h, i] = [(t * 7) % B, (t * 5) % H, (t * 7919) % Tq];
      const keys = causal ? i + Tk - Tq + 1 : Tk;
      const element = (part, token, d) => qkv[(b * (part ? Tk : Tq) + token) * 3 * C + part * C + h * D + d];
      let total = 0;
      let sum = 0;
      for (let j = 0; j < keys; j++) {
        let score = 0;
        for (let d = 0; d < D; d++) score += element(0, i, d) * element(1, j, d);
        const weight = Math.exp(score / Math.sqrt(D));
        total += weight;
        sum += weight * element(2, j, 0);
      }
      const got = out[(b * Tq + i) * C + h * D];
      if (!(Math.abs(got - sum / total) < 1e-5)) throw new Error(`attention: got ${got}, expected ${sum / total} at [${b}, ${i}, ${h}]`);
    }
  }
}

function bits(value) {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

function pad(value, width) {
  return String(value).padStart(width);
}
