/** Runs heed's kernels one instruction at a time, below the level of graphs. */
import { encode, openCheckout } from "./checkout.mjs";

export const current = await openCheckout(new URL("../", import.meta.url));
export const { Op, Activation, Window } = current.constants;

/**
 * heed's runtimes: each build on one thread and, if `threads` > 1, also on `threads` threads. Only suites that multiply matrices use
 * `turbo`, because only matrix products are written for it.
 * @returns {Promise<{ name: string, build: string, threads: number, runtime: object }[]>} contestants without `run` and `result`
 */
export async function heeds(threads, { turbo = false } = {}) {
  const found = [];
  for (const count of threads > 1 ? [1, threads] : [1]) {
    for (const build of ["simd", "relaxed", ...(turbo ? ["turbo"] : [])]) {
      const runtime = await current.createRuntime({ build, threads: count, onWarning: ({ message }) => console.log(`  (no turbo: ${message})`) });
      if (runtime.build === build) found.push({ name: count > 1 ? `${build}, ${count} threads` : build, build, threads: count, runtime });
    }
  }
  return found;
}

/** A runtime and the memory that one case allocates in it. */
export class Kernels {
  blocks = [];

  constructor(heed, checkout = current) {
    this.heed = heed;
    this.runtime = heed.runtime;
    this.checkout = checkout;
  }

  static async all(threads, options) {
    return (await heeds(threads, options)).map((heed) => new Kernels(heed));
  }

  /** Allocates `bytes` zeroed bytes and returns their address. */
  reserve(bytes) {
    const block = this.runtime.memory.allocate(bytes, "bench", "a case");
    this.blocks.push(block);
    return block.address ?? block; // older checkouts return the address
  }

  /** Copies `values` to memory and returns the address. */
  input(values) {
    const address = this.reserve(4 * values.length);
    this.runtime.memory[values instanceof Int32Array ? "i32" : "f32"](address, values.length).set(values);
    return address;
  }

  matmulScratch() {
    return this.reserve(this.runtime.threads * this.checkout.constants.MatmulScratch.Bytes);
  }

  attentionScratch(D) {
    const { Base, PerDim } = this.checkout.constants.AttentionScratch;
    return this.reserve(this.runtime.threads * (Base + PerDim * D));
  }

  read(address, length) {
    return this.runtime.memory.f32(address, length).slice();
  }

  /** Encodes `[op, operands by name]` as words. */
  encode([op, operands]) {
    return encode(this.checkout, Op[op], operands);
  }

  /** A contestant that runs instructions, each `[op, operands by name]`, and whose result is `length` values at `out`. */
  contestant(instructions, out, length) {
    const words = Int32Array.from([...instructions.flatMap((instruction) => this.encode(instruction)), Op.End]);
    const program = this.input(words);
    return { ...this.heed, run: () => this.runtime.run(program), result: () => this.read(out, length) };
  }

  /** Frees the memory of the case. */
  clear() {
    for (const block of this.blocks.splice(0)) block.free ? block.free() : this.runtime.memory.free(block);
  }
}
