import { HeedError } from "../errors";
import type { WasmMemory } from "../webtypes";

/** The end of WebAssembly's 32-bit address space. */
export const MEMORY_LIMIT = 2 ** 32;
const PAGE = 65536;
const ALIGNMENT = 64;

/** Rounds a size or an address up to a cache line. */
export const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Formats a number of bytes in the largest unit that fits: `1.50 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(bytes < 10 ? 2 : 1)} ${units[unit]}`;
}

/** A block of linear memory, as `Memory.report` lists it. */
export interface BlockInfo {
  /** What frees it: a model, a trainer, a session or the runtime. */
  readonly owner: string;
  /** What it holds. */
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
}

/**
 * A range of linear memory with an owner. Growing the memory detaches every typed array, so take a view for each use and never keep one.
 *
 * @example
 * const block = runtime.memory.allocate(64, "example", "counters");
 * block.i32()[0] = 1;
 * runtime.memory.report().at(-1).name; // "counters"
 * block.free();
 */
export class Block implements BlockInfo {
  private freed = false;

  constructor(
    readonly memory: Memory,
    readonly owner: string,
    readonly name: string,
    public address: number,
    public bytes: number,
  ) {}

  get isFree(): boolean {
    return this.freed;
  }

  /** @throws TypeError if the block was freed */
  expectLive(): void {
    if (this.freed) throw new TypeError(`${this.owner}: ${this.name}: this memory was freed; its owner was disposed`);
  }

  /** @throws TypeError if the block was freed; RangeError if the bytes are outside the block */
  expectRange(offset: number, bytes: number): void {
    this.expectLive();
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= this.bytes)) {
      const range = `${offset} to ${offset + bytes}`;
      throw new RangeError(`${this.owner}: ${this.name}: expected a range within its ${this.bytes} bytes, got ${range}`);
    }
  }

  f32(offset = 0, length = (this.bytes - offset) / 4): Float32Array<ArrayBuffer> {
    this.expectRange(offset, 4 * length);
    return this.memory.f32(this.address + offset, length);
  }
  i32(offset = 0, length = (this.bytes - offset) / 4): Int32Array<ArrayBuffer> {
    this.expectRange(offset, 4 * length);
    return this.memory.i32(this.address + offset, length);
  }
  f64(offset = 0, length = (this.bytes - offset) / 8): Float64Array<ArrayBuffer> {
    this.expectRange(offset, 8 * length);
    return this.memory.f64(this.address + offset, length);
  }
  u8(offset = 0, length = this.bytes - offset): Uint8Array<ArrayBuffer> {
    this.expectRange(offset, length);
    return this.memory.u8(this.address + offset, length);
  }

  /** Changes the size. The contents are preserved unless `keep` is false; new bytes are zero. */
  resize(bytes: number, { keep = true } = {}): void {
    this.expectLive();
    this.memory.resize(this, bytes, keep);
  }

  /** Frees the memory. From then on, programs that use the block throw, and so does taking a view of it. */
  free(): void {
    if (this.freed) return;
    this.memory.release(this);
    this.freed = true;
  }
}

/**
 * The allocator of the core's linear memory: first-fit over a list of holes. Addresses are multiples of 64.
 */
export class Memory {
  /** Changes whenever a block moves or is freed; programs then relink their addresses. */
  stamp = 0;
  private readonly blocks = new Set<Block>();
  /** Free ranges below `top`, sorted by address and never adjacent. */
  private holes: { start: number; end: number }[] = [];
  private top: number;

  constructor(
    private readonly memory: WasmMemory,
    base: number,
  ) {
    this.top = align(base);
  }

  /** The bytes in use, including the core's own tables. */
  get used(): number {
    return this.holes.reduce((used, hole) => used - (hole.end - hole.start), this.top);
  }

  /** Every block, sorted by address. */
  report(): BlockInfo[] {
    return [...this.blocks]
      .map(({ owner, name, address, bytes }) => ({ owner, name, address, bytes }))
      .sort((a, b) => a.address - b.address);
  }

  /**
   * Allocates a block of zeros.
   * @param owner  what will free the block
   * @param name   what the block holds
   * @throws HeedError `memory` if the address space or the machine has no room; the message says how much is needed
   */
  allocate(bytes: number, owner: string, name: string): Block {
    const block = new Block(this, owner, name, this.reserve(bytes, owner, name), bytes);
    this.blocks.add(block);
    return block;
  }

  /** See `Block.resize`. */
  resize(block: Block, bytes: number, keep: boolean): void {
    const { address, bytes: before } = block;
    this.stamp++;
    if (!keep) this.vacate(address, before);
    try {
      block.address = this.reserve(bytes, block.owner, block.name);
    } catch (error) {
      if (!keep) block.address = this.reserve((block.bytes = 0), block.owner, block.name);
      throw error;
    }
    block.bytes = bytes;
    if (keep) {
      this.u8(block.address, Math.min(before, bytes)).set(this.u8(address, Math.min(before, bytes)));
      this.vacate(address, before);
    }
  }

  /** See `Block.free`. */
  release(block: Block): void {
    this.blocks.delete(block);
    this.vacate(block.address, block.bytes);
    this.stamp++;
  }

  private reserve(bytes: number, owner: string, name: string): number {
    const size = sizeOfBlock(bytes);
    const index = this.holes.findIndex((hole) => hole.end - hole.start >= size);
    let start = this.top;
    if (index >= 0) {
      const hole = this.holes[index]!;
      start = hole.start;
      hole.start += size;
      if (hole.start === hole.end) this.holes.splice(index, 1);
    } else {
      this.grow(this.top + size, bytes, `${owner}: ${name}`);
      this.top += size;
    }
    this.u8(start, size).fill(0);
    return start;
  }

  private vacate(address: number, bytes: number): void {
    this.holes.push({ start: address, end: address + sizeOfBlock(bytes) });
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
    const needs = `${purpose} needs ${formatBytes(bytes)}, which would grow the memory to ${formatBytes(end)}`;
    // Kernels compare addresses with the end of an array, so that end must not wrap around to 0.
    if (end >= MEMORY_LIMIT) {
      throw new HeedError("memory", `${needs}; WebAssembly's 32-bit memory ends at ${formatBytes(MEMORY_LIMIT)}`);
    }
    try {
      this.memory.grow(missing);
    } catch (cause) {
      const size = formatBytes(this.memory.buffer.byteLength);
      throw new HeedError("memory", `${needs}, but the runtime could not grow it from ${size}`, { cause });
    }
  }
}

const sizeOfBlock = (bytes: number): number => Math.max(ALIGNMENT, align(bytes));
