import { describe, expect, it } from "vitest";
import { formatBytes, Memory } from "../../host/core/memory";
import { uniform } from "../random";

const create = (maximum = 4096): { memory: Memory; wasm: WebAssembly.Memory } => {
  const wasm = new WebAssembly.Memory({ initial: 1, maximum });
  return { memory: new Memory(wasm, 1000), wasm };
};

describe("Memory", () => {
  it("hands out zeroed, aligned blocks that never overlap, and takes all of them back, in 2,000 random steps", () => {
    const { memory } = create();
    const next = uniform(1);
    const empty = memory.used;
    const blocks = new Map<number, { length: number; mark: number }>();
    for (let step = 1; step <= 2000; step++) {
      if (blocks.size > 0 && next() < 0.5) {
        const address = [...blocks.keys()][Math.floor(next() * blocks.size)]!;
        const { length, mark } = blocks.get(address)!;
        expect(memory.u8(address, length).every((byte) => byte === mark)).toBe(true);
        memory.free(address);
        blocks.delete(address);
      } else {
        const length = Math.floor(next() * 3000);
        const address = memory.allocate(length);
        expect(address % 64).toBe(0);
        expect(memory.u8(address, length).every((byte) => byte === 0)).toBe(true);
        memory.u8(address, length).fill(step % 255);
        blocks.set(address, { length, mark: step % 255 });
      }
    }
    for (const address of blocks.keys()) memory.free(address);
    expect(memory.used).toBe(empty);
  });

  it("joins neighbouring holes, so that a block as large as both fits", () => {
    const { memory } = create();
    const [a, b, c] = [memory.allocate(64), memory.allocate(64), memory.allocate(64)];
    memory.free(a);
    memory.free(b);
    expect(memory.allocate(128)).toBe(a);
    expect(() => memory.free(b)).toThrow(`free: ${b} is not the address of a block`);
    memory.free(c);
  });

  it("says what was needed, for what, when it cannot grow, and stays as it was", () => {
    const { memory } = create(2);
    const used = memory.used;
    expect(() => memory.allocate(200_000, "the test")).toThrow("the test needs 195.3 KiB, 196.3 KiB in all, and the runtime could not grow its memory from 64.0 KiB");
    expect(memory.used).toBe(used);
    memory.allocate(100_000);
  });

  it("says so when 32 bits cannot address it, the very last bytes included", () => {
    const grown: number[] = [];
    const pretended = { buffer: { byteLength: 65536 }, grow: (pages: number) => grown.push(pages) } as unknown as WebAssembly.Memory;
    const memory = new Memory(pretended, 64);
    const message = "a model needs 4.00 GiB, 4.00 GiB in all; WebAssembly's 32-bit memory ends at 4.00 GiB";
    expect(() => memory.allocate(2 ** 32, "a model")).toThrow(message);
    expect(() => memory.allocate(2 ** 32 - 64, "a model")).toThrow(message); // its end, 2^32, would be address 0
    expect(grown).toEqual([]);
  });

  it.each([[0, "0 bytes"], [1023, "1023 bytes"], [1024, "1.00 KiB"], [10_240, "10.0 KiB"], [2 ** 32, "4.00 GiB"], [2 ** 52, "4096.0 TiB"]])(
    "tells %i bytes as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text),
  );
});
