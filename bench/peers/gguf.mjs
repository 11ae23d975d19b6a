/**
 * Writes a Llama model as a GGUF file, the format of llama.cpp
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), with made-up tokens.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

/** What llama.cpp's conversion does to the rows of queries and keys: its pairs of rotated elements are adjacent, heed's half a head apart. */
export function interleaved(rows, { headSize, columns }) {
  const out = new Float32Array(rows.length);
  for (let row = 0; row < rows.length / columns; row++) {
    const d = row % headSize;
    const from = row - d + (d >> 1) + (d & 1) * (headSize / 2);
    out.set(rows.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return out;
}

/** Tensor types: code in files, elements per block, and the conversion of whole blocks. The quantizers are ggml's `quantize_row_*_ref`. */
export const types = {
  f32: { code: 0, fileType: 0, encode: (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength) },
  q8_0: { code: 8, fileType: 7, encode: (values) => blocks(values, 34, q8_0) },
  q4_0: { code: 2, fileType: 2, encode: (values) => blocks(values, 18, q4_0) },
};

const BLOCK = 32;
const ALIGNMENT = 32;

function blocks(values, bytes, encodeBlock) {
  const out = new Uint8Array((values.length / BLOCK) * bytes);
  const view = new DataView(out.buffer);
  for (let i = 0, at = 0; i < values.length; i += BLOCK, at += bytes) view.setUint16(at, halfBits(encodeBlock(values, i, out, at + 2)), true);
  return out;
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** The f16 nearest to a finite number below 65,520, ties to even. */
export function halfBits(x) {
  single[0] = Math.abs(x);
  const exponent = Math.max(-14, (singleBits[0] >>> 23) - 127);
  const steps = single[0] * 2 ** (10 - exponent); // of the last place
  return (x < 0 ? 0x8000 : 0) | (((exponent + 14) << 10) + (steps + 1.5 * 2 ** 52 - 1.5 * 2 ** 52));
}

/** Writes 32 signed bytes and returns the scale. */
function q8_0(values, from, out, at) {
  let largest = 0;
  for (let i = from; i < from + BLOCK; i++) largest = Math.max(largest, Math.abs(values[i]));
  const scale = Math.fround(largest / 127);
  const inverse = scale ? Math.fround(1 / scale) : 0;
  for (let i = 0; i < BLOCK; i++) {
    const x = Math.fround(values[from + i] * inverse);
    out[at + i] = x < 0 ? -Math.round(-x) : Math.round(x); // halves away from zero
  }
  return scale;
}

/** Writes 32 numbers of four bits, element i beside i + 16, and returns the scale. */
function q4_0(values, from, out, at) {
  let extreme = 0;
  for (let i = from; i < from + BLOCK; i++) if (Math.abs(values[i]) > Math.abs(extreme)) extreme = values[i];
  const scale = Math.fround(extreme / -8);
  const inverse = scale ? Math.fround(1 / scale) : 0;
  const level = (x) => Math.min(15, Math.trunc(Math.fround(Math.fround(x * inverse) + 8.5)));
  for (let i = 0; i < BLOCK / 2; i++) out[at + i] = level(values[from + i]) | (level(values[from + BLOCK / 2 + i]) << 4);
  return scale;
}

/** Ids below this are control tokens and bytes. */
export const FIRST_TOKEN = 259;

/** The text of a token: one character each, so that any text of them is tokenized in only one way. */
export function tokenText(id) {
  const i = id - FIRST_TOKEN;
  const ranges = [[0x4e00, 20_992], [0x3400, 6_592], [0xac00, 11_172]]; // ideographs, then Hangul
  let rest = i;
  for (const [first, count] of ranges) {
    if (rest < count) return String.fromCharCode(first + rest);
    rest -= count;
  }
  throw new RangeError(`tokenText: there are only ${i - rest} made-up tokens`);
}

function vocabulary(size) {
  const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6;
  const bytes = Array.from({ length: 256 }, (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, BYTE]);
  const others = Array.from({ length: size - FIRST_TOKEN }, (_, i) => [tokenText(i + FIRST_TOKEN), NORMAL]);
  return [["<unk>", UNKNOWN], ["<s>", CONTROL], ["</s>", CONTROL], ...bytes, ...others];
}

/** Values of metadata: [code of the type, writer]. */
const u32 = (value) => [4, (out) => out.u32(value)];
const f32 = (value) => [6, (out) => out.f32(value)];
const bool = (value) => [7, (out) => out.u8(Number(value))];
const string = (value) => [8, (out) => out.string(value)];
const array = (values) => [9, (out) => {
  out.u32(values[0][0]);
  out.u64(values.length);
  for (const [, write] of values) write(out);
}];
const i32 = (value) => [5, (out) => out.u32(value)];

const metadata = ({ block, width, layers, hidden, heads, vocabulary: size }, { fileType }) => {
  const tokens = vocabulary(size);
  return {
    "general.architecture": string("llama"),
    "general.name": string("heed bench"),
    "general.file_type": u32(fileType),
    "general.alignment": u32(ALIGNMENT),
    "llama.context_length": u32(block),
    "llama.embedding_length": u32(width),
    "llama.block_count": u32(layers),
    "llama.feed_forward_length": u32(hidden),
    "llama.attention.head_count": u32(heads),
    "llama.attention.head_count_kv": u32(heads),
    "llama.attention.layer_norm_rms_epsilon": f32(1e-5),
    "llama.rope.dimension_count": u32(width / heads),
    "llama.rope.freq_base": f32(10_000),
    "llama.vocab_size": u32(size),
    "tokenizer.ggml.model": string("llama"),
    "tokenizer.ggml.tokens": array(tokens.map(([text]) => string(text))),
    "tokenizer.ggml.scores": array(tokens.map((_, id) => f32(-id))),
    "tokenizer.ggml.token_type": array(tokens.map(([, type]) => i32(type))),
    "tokenizer.ggml.unknown_token_id": u32(0),
    "tokenizer.ggml.bos_token_id": u32(1),
    "tokenizer.ggml.eos_token_id": u32(2),
    "tokenizer.ggml.add_bos_token": bool(false),
    "tokenizer.ggml.add_eos_token": bool(false),
    "tokenizer.ggml.add_space_prefix": bool(false),
  };
};

/** heed's weights by llama.cpp's names; the embedding is also the output projection. */
function* tensorsOf(weights, { layers, width, heads }) {
  const parameter = (name) => weights.get(name);
  yield ["token_embd.weight", parameter("embedding.weight")];
  yield ["output_norm.weight", parameter("norm.weight")];
  for (let i = 0; i < layers; i++) {
    const own = (name) => parameter(`layers.${i}.${name}.weight`);
    const { data } = own("attention.queryKeyValue");
    const part = (n) => data.subarray(n * width * width, (n + 1) * width * width);
    const square = (data) => ({ shape: [width, width], data });
    const rotated = { headSize: width / heads, columns: width };
    yield [`blk.${i}.attn_norm.weight`, own("norm1")];
    yield [`blk.${i}.attn_q.weight`, square(interleaved(part(0), rotated))];
    yield [`blk.${i}.attn_k.weight`, square(interleaved(part(1), rotated))];
    yield [`blk.${i}.attn_v.weight`, square(part(2))];
    yield [`blk.${i}.attn_output.weight`, own("attention.output")];
    yield [`blk.${i}.ffn_norm.weight`, own("norm2")];
    yield [`blk.${i}.ffn_gate.weight`, own("feedForward.gate")];
    yield [`blk.${i}.ffn_up.weight`, own("feedForward.up")];
    yield [`blk.${i}.ffn_down.weight`, own("feedForward.down")];
  }
}

/**
 * @param {string} path
 * @param {object} config  a Llama's, with as many key-value heads as heads, and a tied output projection
 * @param {Map<string, { shape: readonly number[], data: Float32Array }>} weights  `model.weights.read()`
 * @param {keyof typeof types} type  of the matrices; norms are always f32
 */
export function writeGguf(path, config, weights, type) {
  const tensors = Array.from(tensorsOf(weights, config), ([name, { shape, data }]) => {
    const { code, encode } = types[shape.length > 1 ? type : "f32"];
    return { name, shape, code, bytes: encode(data) };
  });
  const entries = Object.entries(metadata(config, types[type]));
  const head = new Bytes();
  head.raw(Buffer.from("GGUF"));
  head.u32(3);
  head.u64(tensors.length);
  head.u64(entries.length);
  for (const [key, [code, write]] of entries) {
    head.string(key);
    head.u32(code);
    write(head);
  }
  let offset = 0;
  for (const { name, shape, code, bytes } of tensors) {
    head.string(name);
    head.u32(shape.length);
    for (const length of [...shape].reverse()) head.u64(length);
    head.u32(code);
    head.u64(offset);
    offset += padded(bytes.length);
  }
  const file = openSync(path, "w");
  let at = 0;
  for (const bytes of [head.take(), ...tensors.map(({ bytes }) => bytes)]) {
    writeSync(file, bytes, 0, bytes.length, at);
    at += padded(bytes.length);
  }
  ftruncateSync(file, at);
  closeSync(file);
}

const padded = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Bytes in the order of the file: little-endian numbers, and strings with their lengths. */
class Bytes {
  buffer = new Uint8Array(1 << 16);
  view = new DataView(this.buffer.buffer);
  length = 0;

  /** Makes room for `bytes` more, and returns where they go. */
  next(bytes) {
    const at = this.length;
    if (at + bytes > this.buffer.length) {
      const larger = new Uint8Array(2 * (at + bytes));
      larger.set(this.buffer);
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length += bytes;
    return at;
  }

  raw(bytes) {
    const at = this.next(bytes.length);
    this.buffer.set(bytes, at);
  }

  u8(value) {
    const at = this.next(1);
    this.view.setUint8(at, value);
  }

  u32(value) {
    const at = this.next(4);
    this.view.setUint32(at, value, true);
  }

  u64(value) {
    const at = this.next(8);
    this.view.setBigUint64(at, BigInt(value), true);
  }

  f32(value) {
    const at = this.next(4);
    this.view.setFloat32(at, value, true);
  }

  string(text) {
    const bytes = Buffer.from(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  take() {
    return this.buffer.subarray(0, this.length);
  }
}
