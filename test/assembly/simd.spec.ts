import { loadTail, madd, maximum, maxNumber, maxOrNaN, nmadd, storeTail, sum } from "../../assembly/simd";

const BUFFER: usize = memory.data(64, 16);

function lane(v: v128, i: i32): f32 {
  v128.store(BUFFER, v);
  return load<f32>(BUFFER + (<usize>i << 2));
}

describe("madd and nmadd", () => {
  it("give a·b + c and c − a·b in every lane, exactly if no rounding is needed", () => {
    const a = f32x4(1, 2, 3, -4);
    const b = f32x4(5, 6, 7, 8);
    const c = f32x4(0.5, 1, -1, 2);
    for (let i = 0; i < 4; i++) {
      expect<f32>(lane(madd(a, b, c), i)).toBe(lane(a, i) * lane(b, i) + lane(c, i));
      expect<f32>(lane(nmadd(a, b, c), i)).toBe(lane(c, i) - lane(a, i) * lane(b, i));
    }
  });
});

describe("sum", () => {
  it("adds as (v0 + v2) + (v1 + v3) in every build", () => {
    expect<f32>(sum(f32x4(1, 2, 3, 4))).toBe(10);
    expect<f32>(sum(f32x4(1e8, 1, -1e8, 1))).toBe(2);
    expect<f32>(sum(f32x4(1e8, -1e8, 1, 1))).toBe(0);
  });

  it("is NaN if a lane is NaN", () => {
    expect<bool>(isNaN(sum(f32x4(1, f32.NaN, 3, 4)))).toBe(true);
  });
});

describe("maxima", () => {
  it("maximum gives the largest lane at any index, −Infinity for −Infinity, and NaN for NaN", () => {
    expect<f32>(maximum(f32x4(9, 2, 3, 4))).toBe(9);
    expect<f32>(maximum(f32x4(1, 9, 3, 4))).toBe(9);
    expect<f32>(maximum(f32x4(1, 2, 9, 4))).toBe(9);
    expect<f32>(maximum(f32x4(1, 2, 3, 9))).toBe(9);
    expect<f32>(maximum(f32x4.splat(-Infinity))).toBe(-Infinity);
    expect<bool>(isNaN(maximum(f32x4(1, 2, f32.NaN, 4)))).toBe(true);
  });

  it("maxNumber ignores NaN in x, and maxOrNaN propagates NaN from either operand", () => {
    const numbers = f32x4(1, 2, 3, 4);
    const poisoned = f32x4(9, f32.NaN, 0, 5);
    expect<f32>(lane(maxNumber(numbers, poisoned), 1)).toBe(2);
    expect<bool>(isNaN(lane(maxOrNaN(numbers, poisoned), 1))).toBe(true);
    expect<bool>(isNaN(lane(maxOrNaN(poisoned, numbers), 1))).toBe(true);
    expect<f32>(lane(maxNumber(numbers, poisoned), 0)).toBe(9);
    expect<f32>(lane(maxOrNaN(numbers, poisoned), 2)).toBe(3);
    expect<f32>(lane(maxOrNaN(poisoned, numbers), 3)).toBe(5);
  });
});

describe("tails", () => {
  it("loadTail reads n floats and fills the other lanes with zeros, for n = 1..3", () => {
    for (let n = 1; n <= 3; n++) {
      v128.store(BUFFER, f32x4(1, 2, 3, 4), 16);
      const v = loadTail(BUFFER + 16, n);
      for (let i = 0; i < 4; i++) expect<f32>(lane(v, i)).toBe(i < n ? <f32>(i + 1) : 0);
    }
  });

  it("storeTail writes n floats and no other byte, for n = 1..3", () => {
    for (let n = 1; n <= 3; n++) {
      memory.fill(BUFFER, 0xa5, 64);
      storeTail(BUFFER + 20, f32x4(1, 2, 3, 4), n);
      for (let i = 0; i < 16; i++) {
        if (i >= 5 && i < 5 + n) expect<f32>(load<f32>(BUFFER + (<usize>i << 2))).toBe(<f32>(i - 4));
        else expect<u32>(load<u32>(BUFFER + (<usize>i << 2))).toBe(0xa5a5a5a5);
      }
    }
  });
});
