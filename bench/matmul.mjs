/**
 * Matrix products: GFLOP/s of one thread at the shapes of training and decoding, beside what 128-bit SIMD allows on this core.
 *
 *     npm run build:wasm && node bench/matmul.mjs [simd|relaxed] [repeats] [start of a line, as "NT 768"]
 *
 * The limit is a loop of fused multiply-adds that never leave the registers, whichever the build: a multiplication and an addition
 * apart can reach it too, on a core that has units for both. It is timed in turn with each shape; times are processor time, and the
 * rate is the median of the repeats. Each shape is checked against f64 before it is timed.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import asc from "assemblyscript/asc";

if (process.version.startsWith("v20.")) setFlagsFromString("--experimental-wasm-relaxed-simd"); // before anything is compiled
const build = process.argv[2] ?? "simd";
const repeats = Number(process.argv[3] ?? 15);
const only = process.argv[4];
const Op = { MatmulNN: 1, MatmulNT: 2, MatmulTN: 3 };
const SCRATCH_BYTES = 1 << 20;

// op M N K, from the models they occur in
const shapes = [
  ["NN", 64, 64, 64], ["NT", 64, 64, 64], ["TN", 64, 64, 64], ["NN", 128, 128, 128], ["NT", 128, 128, 128],
  ["NT", 256, 256, 256], ["NN", 512, 512, 512], ["NT", 512, 512, 512], ["TN", 512, 512, 512],
  ["NT", 768, 384, 128], ["NT", 768, 128, 128], ["NT", 768, 512, 128], ["NT", 768, 128, 512], ["NN", 768, 128, 384], ["TN", 128, 384, 768],
  ["NT", 2000, 256, 256], ["NT", 256, 8000, 256],
  ["NT", 1, 256, 256], ["NT", 4, 256, 256], ["NT", 5, 256, 256], ["NN", 1, 256, 256], ["NN", 4, 256, 256], ["NN", 5, 256, 256], ["NT", 1, 8000, 256],
];

const { exports: core } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(new URL(`../build/heed.${build}.wasm`, import.meta.url))));
const { exports: bound } = new WebAssembly.Instance(new WebAssembly.Module(await compileLimit()));

console.log(`node ${process.version}, ${build} build, one thread, median of ${repeats}`);
console.log("op       M     N     K   GFLOP/s  spread   limit  of it");
for (let tiered = 0; tiered < 500; ) tiered += time(() => (prepare("NN", 64, 64, 64).run(100), bound.limit(4e4))); // until the optimizing compiler is done
for (const [op, M, N, K] of shapes) if (!only || `${op} ${M} ${N} ${K}`.startsWith(only)) measure(op, M, N, K);

function measure(op, M, N, K) {
  const flops = 2 * M * N * K;
  const { run, check } = prepare(op, M, N, K);
  run(1);
  check();
  const calls = Math.max(1, Math.round(1e8 / flops)); // about two milliseconds a repeat
  for (let warm = 0; warm < 60; ) warm += time(() => run(calls)) + time(() => bound.limit(4e4));
  const rates = [];
  const limits = [];
  for (let i = 0; i < repeats; i++) {
    rates.push((flops * calls) / time(() => run(calls)));
    limits.push((1.2e5 * 96 * 8) / time(() => bound.limit(1.2e5)));
  }
  const [rate, limit] = [median(rates), median(limits)];
  const spread = (quantile(rates, 0.75) - quantile(rates, 0.25)) / rate;
  console.log(
    `${op}  ${[M, N, K].map((n) => String(n).padStart(5)).join(" ")}   ${(rate / 1e6).toFixed(1).padStart(7)}  ${(100 * spread).toFixed(0).padStart(4)} %` +
      `   ${(limit / 1e6).toFixed(1).padStart(5)}  ${((100 * rate) / limit).toFixed(0).padStart(3)} %`,
  );
}

/** A program of one matmul over seeded operands. */
function prepare(op, M, N, K) {
  const base = (core.heapBase() + 63) & ~63;
  const sizes = { out: M * N, a: M * K, b: K * N };
  const at = {};
  let top = base + 256 + SCRATCH_BYTES;
  for (const [name, size] of Object.entries(sizes)) {
    at[name] = top;
    top = (top + 4 * size + 127) & ~63;
  }
  const missing = top - core.memory.buffer.byteLength;
  if (missing > 0) core.memory.grow(Math.ceil(missing / 65536));
  const view = (name) => new Float32Array(core.memory.buffer, at[name], sizes[name]);
  let state = 1;
  for (const name of ["a", "b"]) {
    const x = view(name);
    for (let i = 0; i < x.length; i++) x[i] = ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * 2 - 1;
  }
  const operands = [at.out, at.a, at.b, 0, base + 256, 1, M, N, K, N, op === "TN" ? M : K, op === "NT" ? K : N, 0, 0, 0, 0, 0];
  new Uint32Array(core.memory.buffer, base, operands.length + 3).set([Op[`Matmul${op}`], operands.length + 2, ...operands, 0]);
  const run = (calls) => {
    for (let i = 0; i < calls; i++) core.run(base, 0, 1);
  };
  const check = () => {
    const [out, a, b] = [view("out"), view("a"), view("b")];
    for (let t = 0; t < 50; t++) {
      const i = (t * 7919) % M;
      const j = (t * 104729) % N;
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a[op === "TN" ? k * M + i : i * K + k] * b[op === "NT" ? j * K + k : k * N + j];
      if (!(Math.abs(out[i * N + j] - sum) < 1e-4 * Math.sqrt(K))) throw new Error(`${op} ${M}x${N}x${K}: wrong at [${i}, ${j}]`);
    }
  };
  return { run, check };
}

/** limit(n): n turns of 96 fused multiply-adds of four lanes, in twelve chains that never leave the registers. */
async function compileLimit() {
  const chains = Array.from({ length: 12 }, (_, i) => `s${i}`);
  const turn = chains.map((s) => `${s} = f32x4.relaxed_madd(x, y, ${s});`).join("\n").repeat(8);
  const { binary, stderr } = await asc.compileString(
    `export function limit(n: i32): f32 {
      const x = f32x4.splat(<f32>n * 1e-9);
      const y = f32x4.splat(<f32>n * 1e-9);
      let ${chains.map((s) => `${s} = f32x4.splat(<f32>n)`).join(", ")};
      while (n > 0) { ${turn} n--; }
      return f32x4.extract_lane(${chains.reduce((sum, s) => `f32x4.add(${sum}, ${s})`)}, 0);
    }`,
    { optimizeLevel: 2, runtime: "stub", enable: ["simd", "relaxed-simd"] },
  );
  if (!binary) throw new Error(String(stderr));
  return binary;
}

/** Milliseconds of processor time: what else runs on the machine costs cache, but is not counted. */
function time(body) {
  const start = process.cpuUsage();
  body();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

function median(values) {
  return quantile(values, 0.5);
}

function quantile(values, q) {
  return [...values].sort((x, y) => x - y)[Math.floor(q * (values.length - 1))];
}
