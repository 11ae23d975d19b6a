/** What a bench divides by: the most fused multiply-adds that 128-bit SIMD does on this core; and how it takes times. */
import asc from "assemblyscript/asc";

const CHAINS = 12;
const TURNS = 20000;

/**
 * A function that times one round of the limit and returns GFLOP/s: 12 chains of multiply-adds that never leave the registers.
 * They are fused whatever the build under test: apart, V8 11 does not reach what the core can.
 */
export async function compileLimit() {
  const chains = Array.from({ length: CHAINS }, (_, i) => `s${i}`);
  const step = (s) => `${s} = f32x4.relaxed_madd(x, y, ${s});`;
  const { binary, stderr } = await asc.compileString(
    `export function limit(n: i32): f32 {
      const x = f32x4.splat(<f32>n * 1e-9);
      const y = f32x4.splat(<f32>n * 1e-9);
      let ${chains.map((s) => `${s} = f32x4.splat(<f32>n)`).join(", ")};
      while (n > 0) { ${chains.map(step).join("\n").repeat(2)} n--; }
      return f32x4.extract_lane(${chains.reduce((sum, s) => `f32x4.add(${sum}, ${s})`)}, 0);
    }`,
    { optimizeLevel: 2, runtime: "stub", enable: ["simd", "relaxed-simd"] },
  );
  if (!binary) throw new Error(String(stderr));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary));
  return () => (TURNS * 2 * CHAINS * 8) / 1e6 / time(() => exports.limit(TURNS));
}

/** Milliseconds of this process's own time that `body` takes: what else the machine does meanwhile does not count. */
export function time(body) {
  const before = process.cpuUsage();
  body();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

export function median(values) {
  return quantile(values, 0.5);
}

export function quantile(values, q) {
  return [...values].sort((x, y) => x - y)[Math.floor(q * (values.length - 1))];
}
