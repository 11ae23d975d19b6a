import { HeedError } from "../errors";
import type { WasmMemory } from "../webtypes";

/** What WebAssembly's 32-bit addresses reach. */
export const MEMORY_LIMIT = 2 ** 32;
const PAGE = 65536;
const ALIGNMENT = 64;

/** Rounds a size or an address up to a cache line. */
export const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** `bytes` as a person reads them. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(bytes < 10 ? 2 : 1)} ${units[unit]}`;
}

/**
 * The core's linear memory: who owns which bytes of it.
 *
 * First-fit over a list of holes; addresses are multiples of 64. Growing the memory detaches every typed array,
 * so a view is taken per use and never kept.
 */
export class Memory {
  /** Allocated blocks: address → bytes. */
  private readonly blocks = new Map<number, number>();
  /** Free ranges below `top`, by address, never adjacent. */
  private holes: { start: number; end: number }[] = [];
  private top: number;

  constructor(
    private readonly memory: WasmMemory,
    base: number,
  ) {
    this.top = align(base);
  }

  /** The bytes in use, the core's own tables included. */
  get used(): number {
    return this.holes.reduce((used, hole) => used - (hole.end - hole.start), this.top);
  }

  /**
   * Reserves `bytes`, all zero.
   * @throws HeedError `memory` when the address space or the machine has no room; says how much is needed.
   */
  allocate(bytes: number, purpose = "this allocation"): number {
    const size = Math.max(ALIGNMENT, align(bytes));
    const index = this.holes.findIndex((hole) => hole.end - hole.start >= size);
    let start = this.top;
    if (index >= 0) {
      const hole = this.holes[index]!;
      start = hole.start;
      hole.start += size;
      if (hole.start === hole.end) this.holes.splice(index, 1);
    } else {
      this.grow(this.top + size, bytes, purpose);
      this.top += size;
    }
    this.blocks.set(start, size);
    this.u8(start, size).fill(0);
    return start;
  }

  /** Returns a block that `allocate` gave. */
  free(address: number): void {
    const size = this.blocks.get(address);
    if (size === undefined) throw new RangeError(`free: ${address} is not the address of a block`);
    this.blocks.delete(address);
    this.holes.push({ start: address, end: address + size });
    this.holes.sort((a, b) => a.start - b.start);
    this.holes = this.holes.reduce<{ start: number; end: number }[]>((merged, hole) => {
      const last = merged.at(-1);
      if (last?.end === hole.start) last.end = hole.end;
      else merged.push({ ...hole });
      return merged;
    }, []);
    const last = this.holes.at(-1);
    if (last?.end === this.top) {
      this.top = last.start;
      this.holes.pop();
    }
  }

  f32(address: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.memory.buffer as ArrayBuffer, address, length);
  }
  i32(address: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.memory.buffer as ArrayBuffer, address, length);
  }
  f64(address: number, length: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.memory.buffer as ArrayBuffer, address, length);
  }
  u8(address: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer as ArrayBuffer, address, length);
  }

  private grow(end: number, bytes: number, purpose: string): void {
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE);
    if (missing <= 0) return;
    const needs = `${purpose} needs ${formatBytes(bytes)}, ${formatBytes(end)} in all`;
    // Kernels compare addresses with the end of an array, which must not wrap to 0.
    if (end >= MEMORY_LIMIT) throw new HeedError("memory", `${needs}; WebAssembly's 32-bit memory ends at ${formatBytes(MEMORY_LIMIT)}`);
    try {
      this.memory.grow(missing);
    } catch (cause) {
      throw new HeedError("memory", `${needs}, and the runtime could not grow its memory from ${formatBytes(this.memory.buffer.byteLength)}`, { cause });
    }
  }
}
