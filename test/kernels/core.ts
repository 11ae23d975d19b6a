import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { describe, expect } from "vitest";
import { Op } from "../../assembly/opcodes";
import { hasRelaxedSimd } from "../../host/core/runtime";
import type { Operands } from "../../host/graph/instructions";
import { kernelOf, operandsOf } from "../../host/graph/operands";
import { compileTurbo, hasRevectorizer } from "../../host/node";

// On Node 20, relaxed SIMD is behind a flag, which must be set before the module is compiled.
if (!hasRelaxedSimd()) setFlagsFromString("--experimental-wasm-relaxed-simd");

export type Build = "simd" | "relaxed" | "turbo" | "debug";
export const builds: readonly Build[] = ["simd", "relaxed", "turbo", "debug"];

const GUARD = 64; // bytes on each side of a region
const OUTPUT_GUARD = 0xa5; // a byte no kernel writes by accident

const elements = { f32: Float32Array, i32: Int32Array, f64: Float64Array, u16: Uint16Array };
type Kind = keyof typeof elements;
type Values = Float32Array | Int32Array | Float64Array | Uint16Array;

/** An instruction's operands by name. An array is given as a region, as a plain address, or omitted. */
export type Named<O extends keyof Operands> = { [Name in keyof Operands[O]]: Region | number | null };

/** A guarded region of the module's memory. */
export class Region {
  constructor(
    private readonly core: Core,
    readonly address: number,
    readonly length: number,
    private readonly kind: Kind,
  ) {}

  get bytes(): number {
    return this.length * elements[this.kind].BYTES_PER_ELEMENT;
  }

  /** Returns a copy of the current contents. */
  read(): Values {
    return new elements[this.kind](this.core.buffer.slice(this.address, this.address + this.bytes));
  }
}

/**
 * One instance of a build, with an arena of guarded regions for one test.
 *
 * Guard zones surround every region: bytes of 0xA5 around outputs, NaN around inputs. `run` fails the test if a kernel changes one,
 * and a kernel that reads past an input gets NaN in its result.
 */
export class Core {
  private top: number;
  private readonly regions: { start: number; end: number; fill: number }[] = [];

  private constructor(
    readonly build: Build,
    private readonly exports: { memory: WebAssembly.Memory; run(at: number, thread: number, threads: number): void; heapBase(): number },
  ) {
    this.top = exports.heapBase();
  }

  static load(build: Build): Core {
    const bytes = readFileSync(new URL(`../../build/heed.${build}.wasm`, import.meta.url));
    // On other engines, the turbo build works but is slow.
    const module = build === "turbo" && hasRevectorizer() ? compileTurbo(bytes) : new WebAssembly.Module(bytes);
    const abort = (): never => {
      throw new Error("assertion failed in the core");
    };
    const imports: WebAssembly.Imports = build === "debug" ? { env: { abort } } : {};
    return new Core(build, new WebAssembly.Instance(module, imports).exports as never);
  }

  get buffer(): ArrayBuffer {
    return this.exports.memory.buffer;
  }

  /** Discards all regions. Call it between cases. */
  reset(): void {
    this.top = this.exports.heapBase();
    this.regions.length = 0;
  }

  /** Allocates an input: `values` surrounded by NaN. */
  input(values: Values): Region {
    const kind = (Object.keys(elements) as Kind[]).find((name) => values instanceof elements[name])!;
    const region = this.reserve(values.length, kind, 0xff); // 0xffffffff is a NaN
    new Uint8Array(this.buffer, region.address, region.bytes).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return region;
  }

  /** Allocates an output of `length` elements, filled with NaN (f32) or garbage, so that unwritten elements are noticed. */
  output(length: number, kind: Kind = "f32"): Region {
    const region = this.reserve(length, kind, OUTPUT_GUARD);
    new Uint8Array(this.buffer, region.address, region.bytes).fill(0xff);
    return region;
  }

  /** Runs one instruction in `threads` slices, one after another, and checks every guard zone. */
  run<O extends keyof Operands>(op: O, operands: Named<O>, threads = 1): void {
    const signature = operandsOf(op);
    const unknown = Object.keys(operands).filter((name) => !signature.some((operand) => operand.name === name));
    if (unknown.length > 0) expect.fail(`${kernelOf(op)} has no operand ${unknown.join(", ")}`);
    const words = 2 + signature.length;
    const at = this.align(this.top);
    this.grow(at + 4 * (words + 1));
    const view = new DataView(this.buffer);
    view.setUint32(at, op, true);
    view.setUint32(at + 4, words, true);
    signature.forEach(({ name, kind }, i) => {
      const where = at + 8 + 4 * i;
      const value = operands[name as keyof Operands[O]];
      if (value === undefined) expect.fail(`${kernelOf(op)} needs the operand ${name}`);
      if (kind === "scalar") view.setFloat32(where, value as number, true);
      else view.setInt32(where, value === null ? 0 : value instanceof Region ? value.address : value, true);
    });
    view.setUint32(at + 4 * words, Op.End, true);
    for (let thread = 0; thread < threads; thread++) this.exports.run(at, thread, threads);
    this.checkGuards();
  }

  private checkGuards(): void {
    const bytes = new Uint8Array(this.buffer);
    for (const { start, end, fill } of this.regions) {
      for (let i = 0; i < GUARD; i++) {
        if (bytes[start - GUARD + i] !== fill) expect.fail(`wrote ${GUARD - i} bytes before the region at ${start}`);
        if (bytes[end + i] !== fill) expect.fail(`wrote ${i} bytes past the region at ${start}`);
      }
    }
  }

  private reserve(length: number, kind: Kind, fill: number): Region {
    const bytes = length * elements[kind].BYTES_PER_ELEMENT;
    const start = this.align(this.top) + GUARD;
    const end = start + bytes;
    this.grow(end + GUARD);
    new Uint8Array(this.buffer, start - GUARD, GUARD).fill(fill);
    new Uint8Array(this.buffer, end, GUARD).fill(fill);
    this.top = end + GUARD;
    this.regions.push({ start, end, fill });
    return new Region(this, start, length, kind);
  }

  private align(address: number): number {
    return (address + 63) & ~63;
  }

  private grow(top: number): void {
    const missing = top - this.buffer.byteLength;
    if (missing > 0) this.exports.memory.grow(Math.ceil(missing / 65536));
  }
}

/** Runs `body` in a `describe` block for each build. Tests reset the core themselves. */
export function describeBuilds(title: string, body: (core: Core) => void): void {
  for (const build of builds) describe(`${title} (${build})`, () => body(Core.load(build)));
}
