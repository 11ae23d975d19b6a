import { Rng } from "../../assembly/layouts";
import { dropThreshold, keepBits, keepMask, philox } from "../../assembly/random";

const CELL: usize = memory.data(16, 16);
const WORDS: usize = memory.data(16, 16);

function setCell(seedLow: u32, seedHigh: u32, step: u32, microBatch: u32): void {
  store<u32>(CELL, seedLow, Rng.SeedLow);
  store<u32>(CELL, seedHigh, Rng.SeedHigh);
  store<u32>(CELL, step, Rng.Step);
  store<u32>(CELL, microBatch, Rng.MicroBatch);
}

function expectWords(w0: u32, w1: u32, w2: u32, w3: u32, stream: u32, block: u32): void {
  v128.store(WORDS, philox(CELL, stream, block));
  expect<u32>(load<u32>(WORDS)).toBe(w0);
  expect<u32>(load<u32>(WORDS, 4)).toBe(w1);
  expect<u32>(load<u32>(WORDS, 8)).toBe(w2);
  expect<u32>(load<u32>(WORDS, 12)).toBe(w3);
}

/** Half-word j of a block: word by word, low half first. */
function half(stream: u32, block: u32, j: i32): i32 {
  v128.store(WORDS, philox(CELL, stream, block));
  return <i32>load<u16>(WORDS + (<usize>j << 1));
}

describe("philox", () => {
  it("matches the known-answer tests of Random123 (kat_vectors, philox 4x32 10)", () => {
    setCell(0, 0, 0, 0);
    expectWords(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8, 0, 0);
    setCell(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff);
    expectWords(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd, 0xffffffff, 0xffffffff);
    setCell(0xa4093822, 0x299f31d0, 0x13198a2e, 0x03707344);
    expectWords(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1, 0x85a308d3, 0x243f6a88);
  });
});

describe("keepBits", () => {
  it("gives the same bits as four blocks of philox, for 300 blocks and six thresholds", () => {
    const thresholds: StaticArray<i32> = [1, 6554, 32767, 32768, 60000, 65535];
    let faults = 0;
    for (let i = 0; i < 300; i++) {
      setCell(0x9e3779b9 * i, ~i, i >> 2, i & 3);
      const threshold = thresholds[i % 6];
      const bits = keepBits(CELL, i % 7, 4 * i, threshold);
      for (let e = 0; e < 32; e++) {
        const kept = half(i % 7, 4 * i + (e >> 3), e & 7) >= threshold;
        if (kept != <bool>((bits >> e) & 1)) faults++;
      }
    }
    expect<i32>(faults).toBe(0);
  });

  it("keeps all at threshold 0 and none at 65536, and wraps around at block 2³² − 1", () => {
    expect<u32>(keepBits(CELL, 1, 2, 0)).toBe(0xffffffff);
    expect<u32>(keepBits(CELL, 1, 2, 65536)).toBe(0);
    expect<u32>(keepBits(CELL, 1, 0xfffffffe, 32768) >> 16).toBe(keepBits(CELL, 1, 0, 32768) & 0xffff);
  });
});

describe("dropThreshold", () => {
  it("is round(p·65536)", () => {
    expect<i32>(dropThreshold(0)).toBe(0);
    expect<i32>(dropThreshold(0.1)).toBe(6554);
    expect<i32>(dropThreshold(0.5)).toBe(32768);
    expect<i32>(dropThreshold(1)).toBe(65536);
  });
});

describe("keepMask", () => {
  it("is all ones if the lane's bit is set, for all 16 patterns, regardless of the higher bits", () => {
    for (let bits: u32 = 0; bits < 16; bits++) {
      v128.store(WORDS, keepMask(bits | 0xfff0));
      for (let i = 0; i < 4; i++) expect<u32>(load<u32>(WORDS + (<usize>i << 2))).toBe((bits >> i) & 1 ? 0xffffffff : 0);
    }
  });
});
