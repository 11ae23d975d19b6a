import { describe, expect, it } from "vitest";
import { align, type Block, formatBytes, Memory } from "../../host/core/memory";
import { uniform } from "../random";

const create = (maximum = 4096): { memory: Memory; wasm: WebAssembly.Memory } => {
  const wasm = new WebAssembly.Memory({ initial: 1, maximum });
  return { memory: new Memory(wasm, 1000), wasm };
};
const allocate = (memory: Memory, bytes: number): Block => memory.allocate(bytes, "test", "bytes");
const starts = (memory: Memory): number[] => memory.report().map(({ address }) => address);

describe("Memory", () => {
  it("allocates zeroed, aligned blocks that never overlap, and resizes and frees them, in 3,000 random steps", () => {
    const { memory } = create();
    const next = uniform(1);
    const empty = memory.used;
    const blocks = new Map<Block, number>();
    const expectFilled = (block: Block, bytes: number, mark: number): void => {
      expect(block.address % 64).toBe(0);
      expect(block.u8(0, bytes).every((byte) => byte === mark)).toBe(true);
      expect(block.u8(bytes).every((byte) => byte === 0)).toBe(true);
    };
    for (let step = 1; step <= 3000; step++) {
      const [block, mark] = [...blocks][Math.floor(next() * blocks.size)] ?? [];
      const bytes = Math.floor(next() * 3000);
      const choice = block ? Math.floor(4 * next()) : 0;
      if (choice < 2) {
        const fresh = allocate(memory, bytes);
        expectFilled(fresh, 0, 0);
        blocks.set(fresh, (step % 255) + 1);
        fresh.u8().fill((step % 255) + 1);
      } else if (choice === 2) {
        const before = block!.bytes;
        expectFilled(block!, before, mark!);
        block!.resize(bytes);
        expectFilled(block!, Math.min(before, bytes), mark!);
        block!.u8().fill(mark!);
      } else {
        expectFilled(block!, block!.bytes, mark!);
        block!.free();
        blocks.delete(block!);
      }
    }
    for (const block of blocks.keys()) block.free();
    expect(memory.used).toBe(empty);
    expect(memory.report()).toEqual([]);
  });

  it("lists every block with its owner, name, address and size, sorted by address", () => {
    const { memory } = create();
    const weights = memory.allocate(100, "GPT", "weights");
    const cells = memory.allocate(64, "trainer", "cells");
    expect(memory.report()).toEqual([
      { owner: "GPT", name: "weights", address: 1024, bytes: 100 },
      { owner: "trainer", name: "cells", address: 1152, bytes: 64 },
    ]);
    expect(memory.used).toBe(1152 + 64);
    weights.resize(200); // moves it after the cells
    expect(memory.report().map(({ owner, bytes }) => [owner, bytes])).toEqual([["trainer", 64], ["GPT", 200]]);
    cells.free();
    expect(memory.report()).toEqual([{ owner: "GPT", name: "weights", address: weights.address, bytes: 200 }]);
  });

  it("merges adjacent holes, so that a block as large as both fits", () => {
    const { memory } = create();
    const [a, b, c] = [allocate(memory, 64), allocate(memory, 64), allocate(memory, 64)];
    a.free();
    b.free();
    expect(allocate(memory, 128).address).toBe(a.address);
    c.free();
  });

  it("ignores a second free, and leaves the block that took the place of the first", () => {
    const { memory } = create();
    const first = allocate(memory, 64);
    first.free();
    const second = allocate(memory, 64);
    first.free();
    expect(starts(memory)).toEqual([second.address]);
    expect(allocate(memory, 64).address).not.toBe(second.address);
  });

  it("reports what was needed, and for what, if it cannot grow, and stays unchanged", () => {
    const { memory } = create(2);
    const used = memory.used;
    const needs = "the test: bytes needs 195.3 KiB, which would grow the memory to 196.3 KiB, but the runtime could not grow it from 64.0 KiB";
    expect(() => memory.allocate(200_000, "the test", "bytes")).toThrow(needs);
    expect(memory.used).toBe(used);
    expect(memory.report()).toEqual([]);
    allocate(memory, 100_000);
  });

  it("reports that 32 bits cannot address a block, including one that ends exactly at 4 GiB", () => {
    const grown: number[] = [];
    const pretended = { buffer: { byteLength: 65536 }, grow: (pages: number) => grown.push(pages) } as unknown as WebAssembly.Memory;
    const memory = new Memory(pretended, 64);
    const message = "a model: weights needs 4.00 GiB, which would grow the memory to 4.00 GiB; WebAssembly's 32-bit memory ends at 4.00 GiB";
    expect(() => memory.allocate(2 ** 32, "a model", "weights")).toThrow(message);
    expect(() => memory.allocate(2 ** 32 - 64, "a model", "weights")).toThrow(message); // its end, 2^32, would wrap around to 0
    expect(grown).toEqual([]);
  });

  it.each([[0, "0 bytes"], [1023, "1023 bytes"], [1024, "1.00 KiB"], [10_240, "10.0 KiB"], [2 ** 32, "4.00 GiB"], [2 ** 52, "4096.0 TiB"]])(
    "tells %i bytes as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text),
  );
});

describe("Block.resize", () => {
  const filled = (memory: Memory, bytes: number): Block => {
    const block = allocate(memory, bytes);
    block.u8().forEach((_, i, bytes) => (bytes[i] = i + 1));
    return block;
  };

  it("keeps the contents, clears new bytes and frees the old range", () => {
    const { memory } = create();
    const block = filled(memory, 100);
    const old = block.address;
    allocate(memory, 64);
    block.resize(200);
    expect([...block.u8()]).toEqual(Array.from({ length: 200 }, (_, i) => (i < 100 ? i + 1 : 0)));
    expect(allocate(memory, 128).address).toBe(old);
    block.resize(3);
    expect([...block.u8()]).toEqual([1, 2, 3]);
  });

  it("with keep: false may reuse the block's old range, cleared", () => {
    const { memory } = create();
    const block = filled(memory, 100);
    const old = block.address;
    block.resize(1000, { keep: false });
    expect(block.address).toBe(old);
    expect(block.u8().every((byte) => byte === 0)).toBe(true);
    expect(memory.used).toBe(old + align(1000));
  });

  it("leaves the contents if it fails, or an empty block with keep: false", () => {
    const { memory } = create(2);
    const [kept, dropped] = [filled(memory, 10), filled(memory, 10)];
    expect(() => kept.resize(200_000)).toThrow("test: bytes needs 195.3 KiB");
    expect([...kept.u8()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(() => dropped.resize(200_000, { keep: false })).toThrow("test: bytes needs 195.3 KiB");
    expect(dropped.bytes).toBe(0);
    dropped.resize(10);
    expect(dropped.u8().every((byte) => byte === 0)).toBe(true);
    expect([...kept.u8()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

describe("a block", () => {
  it("gives no view beyond its end, where another block may begin", () => {
    const { memory } = create();
    const block = memory.allocate(16, "GPT", "weights");
    expect([block.f32(8).length, block.i32(16, 0).length, block.u8(15).length]).toEqual([2, 0, 1]);
    const outside = new RangeError("GPT: weights: expected a range within its 16 bytes, got 8 to 20");
    for (const view of [() => block.f32(8, 3), () => block.i32(8, 3), () => block.u8(8, 12)]) expect(view).toThrow(outside);
    for (const view of [() => block.f64(8, 2), () => block.f32(-4, 1), () => block.u8(17), () => block.u8(NaN, 1)]) expect(view).toThrow(RangeError);
  });
});

describe("a freed block", () => {
  it("throws on every use and names its owner", () => {
    const { memory } = create();
    const block = memory.allocate(64, "GPT", "weights");
    expect(block.isFree).toBe(false);
    block.free();
    expect(block.isFree).toBe(true);
    const gone = new TypeError("GPT: weights: this memory was freed; its owner was disposed");
    for (const use of [() => block.f32(), () => block.i32(), () => block.f64(), () => block.u8(), () => block.resize(128), () => block.expectLive()]) expect(use).toThrow(gone);
    expect(memory.report()).toEqual([]);
  });
});
