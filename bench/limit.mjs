/**
 * What a bench divides by: the most that 128-bit SIMD and the memory give one thread of this machine.
 * Each is a loop that does nothing else, compiled when a bench starts and timed in turn with what it bounds.
 */
import asc from "assemblyscript/asc";

const CHAINS = Array.from({ length: 12 }, (_, i) => `s${i}`);
const TURNS = 120_000;
const READ_BYTES = 256 << 20; // beyond any cache

const sum = CHAINS.reduce((total, s) => `f32x4.add(${total}, ${s})`);
const start = (value) => `let ${CHAINS.map((s) => `${s} = f32x4.splat(${value})`).join(", ")};`;

// multiplyAdd: `n` turns of 96 fused multiply-adds of four lanes, in twelve chains that never leave the registers. They are fused
// whichever build is timed: a multiplication and an addition apart can reach it too, on a core that has units for both.
const source = `
  export function multiplyAdd(n: i32): f32 {
    const x = f32x4.splat(<f32>n * 1e-9);
    const y = f32x4.splat(<f32>n * 1e-9);
    ${start("<f32>n")}
    while (n > 0) { ${CHAINS.map((s) => `${s} = f32x4.relaxed_madd(x, y, ${s});`).join("\n").repeat(8)} n--; }
    return f32x4.extract_lane(${sum}, 0);
  }
  export function read(at: usize, end: usize): f32 {
    ${start("0")}
    while (at < end) { ${CHAINS.map((s, i) => `${s} = f32x4.add(${s}, v128.load(at, ${16 * i}));`).join("\n")} at += ${16 * CHAINS.length}; }
    return f32x4.extract_lane(${sum}, 0);
  }`;

/**
 * The limits as contestants (see harness.mjs): `amount` is what one run does, in flops or bytes.
 * @returns {Promise<{ flops: Limit, bytes: Limit }>}
 * @typedef {{ name: string, amount: number, run: () => void }} Limit
 */
export async function compileLimits() {
  const { binary, stderr } = await asc.compileString(source, { optimizeLevel: 2, runtime: "stub", enable: ["simd", "relaxed-simd"] });
  if (!binary) throw new Error(String(stderr));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary));
  let memory = 0; // reserved by whoever first reads
  const reserve = () => {
    const first = exports.memory.grow((READ_BYTES >> 16) + 1);
    new Uint8Array(exports.memory.buffer).fill(1); // untouched pages are all one page of zeros
    return first << 16;
  };
  const bytes = READ_BYTES - (READ_BYTES % (16 * CHAINS.length));
  return {
    flops: { name: "limit", amount: TURNS * 96 * 8, run: () => void exports.multiplyAdd(TURNS) },
    bytes: { name: "limit", amount: bytes, run: () => void exports.read((memory ||= reserve()), memory + bytes) },
  };
}
