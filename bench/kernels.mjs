/** heed's kernels, one instruction at a time: what the suites drive below the level of graphs. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { Runtime } from "../dist/index.js";

// The instruction set is const enums, which vanish when compiled; here they are wanted as objects.
const opcodes = ts.transpileModule(readFileSync(new URL("../assembly/opcodes.ts", import.meta.url), "utf8"), {
  compilerOptions: { module: ts.ModuleKind.ESNext, preserveConstEnums: true },
});
export const { Op, Activation, MatmulScratch, AttentionScratch } = await import(`data:text/javascript,${encodeURIComponent(opcodes.outputText)}`);

export const builds = ["simd", "relaxed"];

/** The bits of an f32 operand. */
export const f32 = (value) => new Uint32Array(Float32Array.of(value).buffer)[0];

/** A runtime, and the memory of one case in it. */
export class Kernels {
  blocks = [];

  constructor(build, runtime) {
    this.build = build;
    this.runtime = runtime;
  }

  /** One for each of heed's builds. */
  static all(threads) {
    return Promise.all(builds.map(async (build) => new Kernels(build, await Runtime.create({ build, threads }))));
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
    return { name: this.build, run: () => this.runtime.run(program), result: () => this.read(out, length) };
  }

  /** Forgets the case. */
  clear() {
    for (const address of this.blocks.splice(0)) this.runtime.memory.free(address);
  }
}
