import { describe, expect, it } from "vitest";
import { philox, Random, shuffle } from "../../host/data/random";
import { seedKey } from "../../host/seed";

const hex = (words: Uint32Array) => Array.from(words, (word) => word.toString(16).padStart(8, "0")).join(" ");

describe("philox", () => {
  it("reproduces the known answers of Random123 (kat_vectors, philox4x32 10)", () => {
    expect(hex(philox([0, 0], [0, 0, 0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
    const ones = 0xffffffff;
    expect(hex(philox([ones, ones], [ones, ones, ones, ones]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
    expect(hex(philox([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]))).toBe(
      "d16cfe09 94fdcceb 5001e420 24126ea1",
    );
  });
});

describe("Random", () => {
  it("returns the same number at a position, regardless of earlier calls", () => {
    const forward = new Random(7, 3, 2);
    const inOrder = Array.from({ length: 50 }, (_, i) => forward.u32(i));
    const backward = new Random(7, 3, 2);
    for (let i = 49; i >= 0; i--) expect(backward.u32(i)).toBe(inOrder[i]);
    expect(inOrder.slice(0, 4)).toEqual([...philox([7, 0], [0, 3, 2, 0])]);
  });

  it("below(6) returns every value 10000 ± 400 times in 60000 calls", () => {
    const random = new Random(1);
    const hits = new Array<number>(6).fill(0);
    for (let i = 0; i < 60_000; i++) hits[random.below(6, i)]!++;
    for (const count of hits) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  });

  it("puts seeds beyond 2^32 into the key's high word, and rejects invalid seeds", () => {
    expect(seedKey(5 * 2 ** 32 + 3)).toEqual([3, 5]);
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) expect(() => seedKey(seed)).toThrow(RangeError);
  });
});

describe("shuffle", () => {
  it("is a permutation for n = 0..33", () => {
    for (let n = 0; n <= 33; n++) expect([...shuffle(n, 9)].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
  });

  it("differs between seeds, streams and steps", () => {
    const orders = [shuffle(20, 1), shuffle(20, 2), shuffle(20, 1, 5), shuffle(20, 1, 5, 1)].map((order) => order.join());
    expect(new Set(orders).size).toBe(4);
  });

  it("puts each of 5 elements first 1000 ± 120 times in 5000 shuffles", () => {
    const first = new Array<number>(5).fill(0);
    for (let step = 0; step < 5000; step++) first[shuffle(5, 3, 1, step)[0]!]!++;
    for (const count of first) expect(Math.abs(count - 1000)).toBeLessThan(120);
  });
});
