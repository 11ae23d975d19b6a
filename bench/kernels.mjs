/** heed's kernels, one instruction at a time: what the suites drive below the level of graphs. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { createRuntime } from "../dist/node.js";

// The instruction set is const enums, which vanish when compiled; here they are wanted as objects.
const opcodes = ts.transpileModule(readFileSync(new URL("../assembly/opcodes.ts", import.meta.url), "utf8"), {
  compilerOptions: { module: ts.ModuleKind.ESNext, preserveConstEnums: true },
});
export const { Op, Activation, MatmulScratch, AttentionScratch } = await import(`data:text/javascript,${encodeURIComponent(opcodes.outputText)}`);

/** The bits of an f32 operand. */
export const f32 = (value) => new Uint32Array(Float32Array.of(value).buffer)[0];

/**
 * What heed runs on: each build on one thread and, if `threads` is more, on so many too. Suites that multiply matrices want `turbo`,
 * which the others are not written for.
 * @returns {Promise<{ name: string, build: string, threads: number, runtime: object }[]>} the beginnings of contestants
 */
export async function heeds(threads, { turbo = false } = {}) {
  const found = [];
  for (const count of threads > 1 ? [1, threads] : [1]) {
    for (const build of ["simd", "relaxed", ...(turbo ? ["turbo"] : [])]) {
      const runtime = await createRuntime({ build, threads: count, onWarning: ({ message }) => console.log(`  (no turbo: ${message})`) });
      if (runtime.build === build) found.push({ name: count > 1 ? `${build}, ${count} threads` : build, build, threads: count, runtime });
    }
  }
  return found;
}

/** A runtime, and the memory of one case in it. */
export class Kernels {
  blocks = [];

  constructor(heed) {
    this.heed = heed;
    this.runtime = heed.runtime;
  }

  static async all(threads, options) {
    return (await heeds(threads, options)).map((heed) => new Kernels(heed));
  }

  /** The address of `bytes` bytes of zeros. */
  reserve(bytes) {
    const address = this.runtime.memory.allocate(bytes);
    this.blocks.push(address);
    return address;
  }

  /** The address of a copy of `values`. */
  input(values) {
    const address = this.reserve(4 * values.length);
    this.runtime.memory.f32(address, values.length).set(values);
    return address;
  }

  read(address, length) {
    return this.runtime.memory.f32(address, length).slice();
  }

  /** A contestant that runs instructions, each `[op, ...operands]`, and whose result is `length` values at `out`. */
  contestant(instructions, out, length) {
    const words = [...instructions.flatMap(([op, ...operands]) => [op, operands.length + 2, ...operands]), Op.End];
    const program = this.reserve(4 * words.length);
    this.runtime.memory.i32(program, words.length).set(words);
    return { ...this.heed, run: () => this.runtime.run(program), result: () => this.read(out, length) };
  }

  /** Forgets the case. */
  clear() {
    for (const address of this.blocks.splice(0)) this.runtime.memory.free(address);
  }
}
