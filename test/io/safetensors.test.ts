import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { HeedError } from "../../host/errors";
import { type StoredTensor, arrayTypes, bitsOf, dtypes, toFloat32 } from "../../host/io/dtype";
import { readSafetensors, writeSafetensors } from "../../host/io/safetensors";
import { randomArray, uniform } from "../random";

/** A file with this header and `dataBytes` data bytes 0, 1, 2, …; `length` overrides the header's actual length. */
function file(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  for (let i = 0; i < dataBytes; i++) bytes[8 + text.length + i] = i;
  return bytes;
}

const tensor = (begin: number, end: number, dtype = "U8", shape = `[${end - begin}]`): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
}

function expectRefusal(bytes: Uint8Array, message: RegExp): void {
  try {
    readSafetensors(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(HeedError);
    expect(error).toMatchObject({ code: "format", message: expect.stringMatching(message) as string });
    return;
  }
  expect.fail(`read a file that should be rejected (${message})`);
}

/** One tensor per dtype, with random bits as elements. */
function everyDtype(): Map<string, StoredTensor> {
  const next = uniform(7);
  const pairs = dtypes.map((dtype, i): [string, StoredTensor] => {
    const bytes = Uint8Array.from({ length: bitsOf(dtype) }, () => 256 * next()); // 8 elements
    return [`t.${i}`, { dtype, shape: [2, 4], data: new arrayTypes[dtype](bytes.buffer) } as StoredTensor];
  });
  return new Map(pairs);
}

describe("readSafetensors", () => {
  it("restores every dtype written by writeSafetensors, bit for bit", () => {
    const tensors = everyDtype();
    const metadata = new Map([["format", "pt"], ["note", "\u0000 \"é\" 🦉"]]);
    const read = readSafetensors(writeSafetensors(tensors, metadata));
    expect(read.metadata).toEqual(metadata);
    expect(read.tensors).toEqual(tensors);
  });

  it("returns views if the file is aligned in its buffer, and the same values if it is not", () => {
    const bytes = writeSafetensors(everyDtype());
    const aligned = readSafetensors(bytes).tensors;
    expect(aligned.get("t.17")!.data.buffer).toBe(bytes.buffer);
    for (let shift = 1; shift < 8; shift++) {
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      expect(readSafetensors(moved.subarray(shift)).tensors).toEqual(aligned);
      expect(readSafetensors(Buffer.from(moved.buffer).subarray(shift)).tensors).toEqual(aligned);
    }
  });

  it("accepts scalars, empty tensors, no tensors, any header order, whitespace around JSON and unknown fields", () => {
    const header = `{ "b":${tensor(2, 3, "U8", "[]")} , "z":${tensor(2, 2, "F64", "[3,0]")},\n "a":${tensor(0, 2).replace("{", '{"more":[{}],')}}   `;
    const { tensors } = readSafetensors(file(header, 3));
    expect([...tensors.keys()]).toEqual(["a", "z", "b"]);
    expect(tensors.get("b")).toEqual({ dtype: "U8", shape: [], data: Uint8Array.of(2) });
    expect(readSafetensors(file("{}")).tensors.size).toBe(0);
  });

  describe("rejects, reporting the location:", () => {
    const one = `{"w":${tensor(0, 4)}}`;
    const cases: [string, Uint8Array, RegExp][] = [
      ["an empty file", new Uint8Array(0), /at least 8 bytes, got 0/],
      ["a file truncated in the length", new Uint8Array(7), /at least 8 bytes, got 7/],
      ["a header over 100 MB", file(one, 4, 100_000_001n), /at most 100000000 bytes, got 100000001/],
      ["a header of 2^64 − 1 bytes", file(one, 4, 2n ** 64n - 1n), /at most 100000000 bytes/],
      ["a header longer than the file", file(one, 0, 1000n), /at most the \d+ bytes that follow it, got 1000/],
      ["an empty header", file(""), /expected '{' first, got nothing/],
      ["a header that starts with a space", file(` ${one}`, 4), /expected '{' first, got byte 32/],
      ["a header that starts with a byte order mark", file(`\ufeff${one}`, 4), /expected '{' first, got byte 239/],
      ["a header that is an array", file("[]"), /expected '{' first, got byte 91/],
      ["invalid UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /expected UTF-8/],
      ["overlong UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xc0, 0x80, 0x22, 0x7d)), /expected UTF-8/],
      ["truncated JSON", file(one.slice(0, -1), 4), /JSON: expected ',' or '}' at offset \d+, got the end/],
      ["JSON with a trailing comma", file(`{"w":${tensor(0, 4)},}`, 4), /JSON: expected a key/],
      ["JSON with a comment", file(`{/**/}`), /JSON: expected a key/],
      ["JSON followed by more", file(`{}{}`), /JSON: expected the end at offset 2/],
      ["JSON nested a million levels deep", file(`{"w":{"x":${"[".repeat(1e6)}`), /nesting is deeper than 127/],
      ["a number with a million digits", file(`{"w":{"x":${"9".repeat(1e6)}}}`), /expected a number that fits 64 bits/],
      ["a string that never ends", file(`{"${"w".repeat(1e6)}`), /invalid string at offset 1/],
      ["a bad escape", file(`{"\\x":1}`), /invalid string at offset 1/],
      ["a raw control character in a string", file(`{"\n":1}`), /invalid string/],
      ["a duplicate tensor", file(`{"w":${tensor(0, 4)},"w":${tensor(0, 4)}}`, 4), /duplicate key "w"/],
      ["a duplicate tensor hidden by an escape", file(`{"w":${tensor(0, 4)},"\\u0077":${tensor(0, 4)}}`, 4), /duplicate key "w"/],
      ["a duplicate field", file(`{"w":${tensor(0, 4).replace("{", '{"dtype":"I8",')}}`, 4), /duplicate key "dtype"/],
      ["duplicate metadata", file(`{"__metadata__":{},"__metadata__":{}}`), /duplicate key "__metadata__"/],
      ["metadata that is a string", file(`{"__metadata__":"a"}`), /__metadata__: expected an object of strings, got "a"/],
      ["a lone surrogate in the metadata", file(`{"__metadata__":{"a":"\\ud800"}}`), /lone surrogate/],
      ["a number beyond 64 bits in an ignored field", file(`{"w":${tensor(0, 4).replace("{", '{"x":1e999,')}}`, 4), /expected a number that fits 64 bits/],
      ["metadata that is not text", file(`{"__metadata__":{"step":3}}`), /"step": expected a string, got 3/],
      ["metadata containing an object", file(`{"__metadata__":{"a":{}}}`), /"a": expected a string, got an object/],
      ["a tensor that is not an object", file(`{"w":[]}`), /tensor "w": expected an object, got an array/],
      ["no dtype", file(`{"w":{"shape":[0],"data_offsets":[0,0]}}`), /"w": dtype: expected one of .*, got nothing/],
      ["an unknown dtype", file(`{"w":${tensor(0, 4, "F33")}}`, 4), /got "F33"/],
      ["a lowercase dtype", file(`{"w":${tensor(0, 4, "f32")}}`, 4), /got "f32"/],
      ["a dtype named like a prototype property", file(`{"w":${tensor(0, 4, "constructor")}}`, 4), /got "constructor"/],
      ["no shape", file(`{"w":{"dtype":"U8","data_offsets":[0,1]}}`, 1), /shape: expected an array/],
      ["a negative size", file(`{"w":${tensor(0, 4, "U8", "[-4]")}}`, 4), /shape: .*got -4/],
      ["a negative zero", file(`{"w":${tensor(0, 0, "U8", "[-0]")}}`), /shape: .*got -0/],
      ["a fractional size", file(`{"w":${tensor(0, 4, "U8", "[1.5]")}}`, 4), /shape: .*got 1.5/],
      ["a size written as 4.0", file(`{"w":${tensor(0, 4, "U8", "[4.0]")}}`, 4), /shape: expected integers/],
      ["a size written as 4e0", file(`{"w":${tensor(0, 4, "U8", "[4e0]")}}`, 4), /shape: expected integers/],
      ["a size as a string", file(`{"w":${tensor(0, 4, "U8", '["4"]')}}`, 4), /shape: .*got "4"/],
      ["a size of 2^53", file(`{"w":${tensor(0, 4, "U8", "[9007199254740992]")}}`, 4), /got 9007199254740992/],
      ["a size of 2^64", file(`{"w":${tensor(0, 4, "U8", "[18446744073709551616]")}}`, 4), /shape: expected integers/],
      ["a shape that overflows", file(`{"w":${tensor(0, 4, "U8", "[4294967296,4294967296]")}}`, 4), /fewer than 2\^53 elements/],
      ["a shape that overflows before a zero", file(`{"w":${tensor(0, 0, "U8", "[4294967296,4294967296,0]")}}`), /fewer than 2\^53 elements/],
      ["one offset", file(`{"w":${tensor(0, 4).replace("[0,4]", "[0]")}}`, 4), /\[begin, end\], got 1 numbers/],
      ["three offsets", file(`{"w":${tensor(0, 4).replace("[0,4]", "[0,4,4]")}}`, 4), /\[begin, end\], got 3 numbers/],
      ["reversed offsets", file(`{"w":${tensor(4, 0, "U8", "[4]")}}`, 4), /begin <= end, got \[4, 0\]/],
      ["a negative offset", file(`{"w":${tensor(-4, 0, "U8", "[4]")}}`, 4), /data_offsets: .*got -4/],
      ["fewer bytes than the shape", file(`{"w":${tensor(0, 4, "F32", "[2]")}}`, 4), /expected 8 bytes for F32 \[2\], got 4/],
      ["more bytes than the shape", file(`{"w":${tensor(0, 8, "F32", "[1]")}}`, 8), /expected 4 bytes for F32 \[1\], got 8/],
      ["an overlap", file(`{"a":${tensor(0, 4)},"b":${tensor(3, 7)}}`, 7), /"b": expected its data at offset 4, got 3 \(an overlap\)/],
      ["the same bytes twice", file(`{"a":${tensor(0, 4)},"b":${tensor(0, 4)}}`, 4), /\(an overlap\)/],
      ["a gap at the start", file(`{"a":${tensor(1, 4)}}`, 4), /at offset 0, got 1 \(a gap\)/],
      ["a gap between tensors", file(`{"a":${tensor(0, 2)},"b":${tensor(3, 4)}}`, 4), /at offset 2, got 3 \(a gap\)/],
      ["an empty tensor past the end", file(`{"a":${tensor(0, 2)},"b":${tensor(9, 9)}}`, 2), /\(a gap\)/],
      ["trailing bytes", file(one, 5), /expected 4 bytes after the header, got 5/],
      ["missing bytes", file(one, 3), /expected 4 bytes after the header, got 3/],
      ["F4 that does not fill a byte", file(`{"w":${tensor(0, 1, "F4", "[1]")}}`, 1), /expected F4 to fill whole bytes, got 1 elements/],
      ["a lone surrogate in a name", file(`{"\\ud800":${tensor(0, 4)}}`, 4), /lone surrogate/],
    ];
    it.each(cases)("%s", (_, bytes, message) => expectRefusal(bytes, message));
  });

  it("accepts what the reference accepts and the format does not forbid: metadata null, __proto__ as a key, C64 and packed dtypes", () => {
    expect(readSafetensors(file(`{"__metadata__":null}`)).metadata.size).toBe(0);
    const { tensors, metadata } = readSafetensors(file(`{"__metadata__":{"__proto__":"x"},"__proto__":${tensor(0, 4)}}`, 4));
    expect([tensors.get("__proto__")?.shape, metadata.get("__proto__")]).toEqual([[4], "x"]);
    expect(Object.getPrototypeOf(Object.fromEntries(metadata))).toBe(Object.prototype);
    expect(readSafetensors(file(`{"z":${tensor(0, 8, "C64", "[1]")}}`, 8)).tensors.get("z")!.data).toBeInstanceOf(BigUint64Array);
    expect(readSafetensors(file(`{"q":${tensor(0, 3, "F6_E2M3", "[2,2]")}}`, 3)).tensors.get("q")!.data).toEqual(Uint8Array.of(0, 1, 2));
  });

  it("refuses with at most 2,000 characters, none of which a terminal obeys", () => {
    const name = "\u001b]0;owned\u0007\u202e".repeat(50_000);
    const hostile = [
      file(`{${JSON.stringify(name)}:{}}`), file(`{"w":${tensor(0, 1, "F32", `[${"1,".repeat(300_000)}1]`)}}`, 1),
      file(`{"w":${tensor(0, 4, JSON.stringify(name).slice(1, -1))}}`, 4), file(`{"__metadata__":{${JSON.stringify(name)}:1}}`), file(`{"${"\u202e".repeat(9)}`),
    ];
    for (const bytes of hostile) {
      const message = refusal(bytes);
      expect(message.length).toBeLessThan(2000);
      expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
  });

  it("either reads each of 20,000 seeded mutations or throws a HeedError", () => {
    const next = uniform(20);
    const below = (n: number): number => Math.floor(n * next());
    const sources = [writeSafetensors(everyDtype(), new Map([["format", "pt"]])), file(`{"w":${tensor(0, 4)}}`, 4)];
    let readings = 0;
    for (let round = 0; round < 20_000; round++) {
      let bytes: Uint8Array = sources[round % 2]!.slice();
      for (let edits = 1 + below(3); edits > 0; edits--) bytes = mutate(bytes, below);
      try {
        readSafetensors(bytes);
        readings++;
      } catch (error) {
        if (!(error instanceof HeedError)) throw error;
      }
    }
    expect(readings).toBeGreaterThan(100); // the mutations reach the deep checks
  });

  it("reads files written by the Python implementation, and reproduces them byte for byte", () => {
    const load = (name: string): Uint8Array => readFileSync(new URL(`../vectors/safetensors/tensor-${name}.safetensors`, import.meta.url));
    const read = (name: string): StoredTensor => readSafetensors(load(name)).tensors.get("embedding")!;
    expect(read("1d-int32")).toEqual({ dtype: "I32", shape: [3], data: Int32Array.of(1, 2, 3) });
    expect(read("2d-float64")).toMatchObject({ dtype: "F64", shape: [2, 3], data: Float64Array.of(1, 2, 3, 24, 25, 26) });
    expect(read("4d-float32").shape).toEqual([2, 3, 1, 3]);
    for (const name of ["1d-int32", "2d-float64", "3d-float32", "4d-float32"]) {
      expect(writeSafetensors(readSafetensors(load(name)).tensors)).toEqual(new Uint8Array(load(name)));
    }
  });
});

/** One random edit: a flipped bit, a JSON character, a truncation, a repeated piece or a different length. */
function mutate(bytes: Uint8Array, below: (n: number) => number): Uint8Array {
  const at = below(Math.min(bytes.length, 400));
  const alphabet = '{}[]",:0123456789-.eF\\u ';
  switch (below(5)) {
    case 0:
      bytes[at]! ^= 1 << below(8);
      return bytes;
    case 1:
      bytes[8 + below(bytes.length - 8)] = alphabet.charCodeAt(below(alphabet.length));
      return bytes;
    case 2:
      return bytes.slice(0, Math.max(9, bytes.length - below(24)));
    case 3:
      return Uint8Array.of(...bytes.subarray(0, at + 8), ...bytes.subarray(at, at + below(60)), ...bytes.subarray(at + 8));
    default:
      bytes[0] = below(256);
      return bytes;
  }
}

describe("writeSafetensors", () => {
  const f32 = (...values: number[]): StoredTensor => ({ dtype: "F32", shape: [values.length], data: Float32Array.from(values) });
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(8, 8 + bytes[0]!));

  it("writes the bytes expected by the tests of the reference implementation", () => {
    expect([...writeSafetensors(new Map())]).toEqual([8, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode("{}      ")]);
    const metadata = writeSafetensors(new Map(), new Map([["framework", "pt"]]));
    expect(text(metadata)).toBe('{"__metadata__":{"framework":"pt"}}     ');
    const attention = writeSafetensors(new Map([["attn0", { ...f32(0, 1, 2, 3, 4, 5), shape: [1, 1, 2, 3] }]]) as Map<string, StoredTensor>);
    expect(attention[0]).toBe(72);
    expect(text(attention)).toBe('{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       ');
    expect([...attention.subarray(80)]).toEqual([...new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer)]);
  });

  it("sorts by descending dtype, then by the UTF-8 bytes of the names, regardless of the order of the map", () => {
    const half: StoredTensor = { dtype: "F16", shape: [1], data: Uint16Array.of(0) };
    const wide: StoredTensor = { dtype: "I64", shape: [1], data: BigInt64Array.of(0n) };
    const named: [string, StoredTensor][] = [["\uff5e", f32(1)], ["🦉", f32(2)], ["b", f32(3)], ["a", half], ["z", wide], ["ab", f32(4)]];
    const bytes = writeSafetensors(new Map(named), new Map([["b", "1"], ["a", "2"]]));
    expect(writeSafetensors(new Map(named.reverse()), new Map([["a", "2"], ["b", "1"]]))).toEqual(bytes);
    expect([...readSafetensors(bytes).tensors.keys()]).toEqual(["z", "ab", "b", "\uff5e", "🦉", "a"]);
  });

  it("rejects anything that it could not read back", () => {
    const write = (name: string, tensor: unknown) => () => writeSafetensors(new Map([[name, tensor as StoredTensor]]));
    expect(write("__metadata__", f32(1))).toThrow(RangeError);
    expect(write("\ud800", f32(1))).toThrow(RangeError);
    expect(write("w", { ...f32(1), dtype: "F33" })).toThrow(/"w": expected one of the dtypes .*, got "F33"/);
    expect(write("w", { ...f32(1), dtype: "I32" })).toThrow(/expected Int32Array for I32/);
    expect(write("w", { ...f32(1, 2), shape: [3] })).toThrow(/expected 3 elements for shape \[3\], got 2/);
    expect(write("w", { ...f32(1, 2), shape: [-1, -2] })).toThrow(RangeError);
    expect(() => writeSafetensors(new Map(), new Map([["note", "\udc00"]]))).toThrow(RangeError);
  });
});

describe("toFloat32", () => {
  /** The value of a binary16 number by definition. */
  function half(bits: number): number {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
  }

  it("is exact for all 65,536 F16 values", () => {
    const data = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = toFloat32({ dtype: "F16", shape: [65536], data });
    expect(data.every((bits) => Object.is(values[bits], half(bits)))).toBe(true);
  });

  it("is exact for BF16, rounds F64 to nearest and returns F32's own array", () => {
    const values = randomArray(64, 3);
    const high = new Uint32Array(values.buffer).map((bits) => bits & 0xffff0000);
    const data = Uint16Array.from(high, (bits) => bits >>> 16);
    expect(toFloat32({ dtype: "BF16", shape: [64], data })).toEqual(new Float32Array(high.buffer));
    const doubles = Float64Array.of(0.1, -1e40, 1e-50, NaN);
    expect(toFloat32({ dtype: "F64", shape: [4], data: doubles })).toEqual(Float32Array.of(Math.fround(0.1), -Infinity, 0, NaN));
    expect(toFloat32({ dtype: "F32", shape: [64], data: values })).toBe(values);
    expect(() => toFloat32({ dtype: "I32", shape: [1], data: Int32Array.of(1) })).toThrow(TypeError);
  });
});
