/** heed's kernels, one instruction at a time: what the suites drive below the level of graphs. */
import { encode, openCheckout } from "./checkout.mjs";

export const current = await openCheckout(new URL("../", import.meta.url));
export const { Op, Activation, Window } = current.constants;

/**
 * What heed runs on: each build on one thread and, if `threads` is more, on so many too. Suites that multiply matrices want `turbo`,
 * which the others are not written for.
 * @returns {Promise<{ name: string, build: string, threads: number, runtime: object }[]>} the beginnings of contestants
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

/** A runtime, and the memory of one case in it. */
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

  /** The address of `bytes` bytes of zeros. */
  reserve(bytes) {
    const block = this.runtime.memory.allocate(bytes, "bench", "a case");
    this.blocks.push(block);
    return block.address ?? block; // older checkouts give the address
  }

  /** The address of a copy of `values`. */
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

  /** The words of `[op, operands by name]`. */
  encode([op, operands]) {
    return encode(this.checkout, Op[op], operands);
  }

  /** A contestant that runs instructions, each `[op, operands by name]`, and whose result is `length` values at `out`. */
  contestant(instructions, out, length) {
    const words = Int32Array.from([...instructions.flatMap((instruction) => this.encode(instruction)), Op.End]);
    const program = this.input(words);
    return { ...this.heed, run: () => this.runtime.run(program), result: () => this.read(out, length) };
  }

  /** Forgets the case. */
  clear() {
    for (const block of this.blocks.splice(0)) block.free ? block.free() : this.runtime.memory.free(block);
  }
}
