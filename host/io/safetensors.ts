import { HeedError } from "../errors";
import { type Dtype, type StoredTensor, arrayTypes, dtypes } from "./dtype";
import { type Json, parseStrictJson, quote } from "./strictjson";

// The format: u64 N (little-endian), N bytes of JSON, then the bytes of the tensors without gaps.
// Source: huggingface/safetensors, README and safetensors/src/tensor.rs.

/** Size of the length field in front of the header. */
export const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = "__metadata__";

/** The contents of a .safetensors file. */
export interface Safetensors {
  /** Tensors by name, in file order. */
  tensors: Map<string, StoredTensor>;
  /** Arbitrary text by key, such as `format` → `pt`. */
  metadata: Map<string, string>;
}

/** The header's description of a tensor. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The offset of its first byte in the file. */
  readonly begin: number;
  /** The offset after its last byte. */
  readonly end: number;
}

/** A parsed header. */
export interface Header {
  /** Tensors by name, in file order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a .safetensors file. Rejects anything that the format does not allow.
 *
 * @param bytes  the whole file; tensors are views of it if they are aligned, and copies otherwise
 * @throws HeedError (`format`) reporting the location, what was expected and what was found
 *
 * @example
 * const bytes = writeSafetensors(new Map([["bias", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]]));
 * const { tensors } = readSafetensors(bytes);
 * tensors.get("bias")?.data; // Float32Array [1, 2]
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  const { tensors, metadata } = headerOf(bytes);
  return { tensors: new Map(Array.from(tensors, ([name, info]) => [name, view(bytes, info)])), metadata: new Map(metadata) };
}

/** Reads the header from the bytes of a whole file. @throws HeedError (`format`) */
export function headerOf(bytes: Uint8Array): Header {
  return readHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + readHeaderLength(bytes, bytes.length)), bytes.length);
}

/**
 * Parses and checks a header.
 *
 * @param bytes     the bytes of the header
 * @param fileSize  the size of the whole file in bytes
 * @throws HeedError (`format`)
 */
export function readHeader(bytes: Uint8Array, fileSize: number): Header {
  const header = parseHeader(bytes);
  const metadata = readMetadata(header.get(METADATA));
  header.delete(METADATA);
  const dataStart = LENGTH_BYTES + bytes.length;
  const entries = Array.from(header, ([name, info]): [string, TensorInfo] => [name, readEntry(name, info, dataStart)]);
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkCoverage(entries, dataStart, fileSize);
  return { tensors: new Map(entries), metadata };
}

/**
 * Reads the length of the header, in bytes, from the first bytes of a file.
 * @throws HeedError (`format`) if the length is impossible
 */
export function readHeaderLength(bytes: Uint8Array, fileSize: number): number {
  if (fileSize < LENGTH_BYTES) refuse(`expected at least ${LENGTH_BYTES} bytes, got ${fileSize}`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) refuse(`header length: expected at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  const room = fileSize - LENGTH_BYTES;
  if (length > room) refuse(`header length: expected at most the ${room} bytes that follow it, got ${length}`);
  return length;
}

function parseHeader(bytes: Uint8Array): Map<string, Json> {
  if (bytes[0] !== 0x7b) refuse(`header: expected '{' first, got ${bytes.length === 0 ? "nothing" : `byte ${bytes[0]}`}`);
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)) as Map<string, Json>;
  } catch (cause) {
    if (cause instanceof SyntaxError) refuse(`header: expected JSON: ${cause.message}`, { cause });
    return refuse("header: expected UTF-8, got other bytes", { cause });
  }
}

function readMetadata(value: Json | undefined): Map<string, string> {
  if (value === undefined) return new Map();
  if (!(value instanceof Map)) return refuse(`${METADATA}: expected an object of strings, got ${describe(value)}`);
  for (const [key, text] of value) {
    checkName(key);
    if (typeof text !== "string") refuse(`${METADATA}: ${quote(key)}: expected a string, got ${describe(text)}`);
  }
  return value as Map<string, string>;
}

function readEntry(name: string, info: Json, dataStart: number): TensorInfo {
  checkName(name);
  const where = `tensor ${quote(name)}`;
  if (!(info instanceof Map)) return refuse(`${where}: expected an object, got ${describe(info)}`);
  const dtype = info.get("dtype");
  if (!isDtype(dtype)) return refuse(`${where}: dtype: expected one of ${dtypes.join(" ")}, got ${describe(dtype)}`);
  const shape = readCounts(info.get("shape"), `${where}: shape`);
  const offsets = readCounts(info.get("data_offsets"), `${where}: data_offsets`);
  if (offsets.length !== 2) refuse(`${where}: data_offsets: expected [begin, end], got ${offsets.length} numbers`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) refuse(`${where}: data_offsets: expected begin <= end, got [${begin}, ${end}]`);
  const size = countElements(shape, where) * arrayTypes[dtype].BYTES_PER_ELEMENT;
  if (end - begin !== size) refuse(`${where}: expected ${size} bytes for ${dtype} [${shape}], got ${end - begin}`);
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

/** An array of integers from 0 to 2^53 − 1. */
function readCounts(value: Json | undefined, where: string): number[] {
  if (!Array.isArray(value)) return refuse(`${where}: expected an array of integers >= 0, got ${describe(value)}`);
  return value.map((item) => {
    const isCount = typeof item === "bigint" && item >= 0n && item <= Number.MAX_SAFE_INTEGER;
    return isCount ? Number(item) : refuse(`${where}: expected integers from 0 to 2^53 − 1, got ${describe(item)}`);
  });
}

function countElements(shape: readonly number[], where: string): number {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (count > Number.MAX_SAFE_INTEGER) refuse(`${where}: shape: expected fewer than 2^53 elements, got [${shape.slice(0, 16)}]`);
  }
  return count;
}

/** Checks that the tensors, sorted by offset, cover the data without overlaps or gaps. */
function checkCoverage(entries: readonly [string, TensorInfo][], dataStart: number, fileSize: number): void {
  let covered = dataStart;
  for (const [name, { begin, end }] of entries) {
    const flaw = begin < covered ? "an overlap" : "a gap";
    if (begin !== covered) {
      refuse(`tensor ${quote(name)}: expected its data at offset ${covered - dataStart}, got ${begin - dataStart} (${flaw})`);
    }
    covered = end;
  }
  if (covered !== fileSize) refuse(`data: expected ${covered - dataStart} bytes after the header, got ${fileSize - dataStart}`);
}

function view(bytes: Uint8Array, { dtype, shape, begin, end }: TensorInfo): StoredTensor {
  const type = arrayTypes[dtype];
  const raw = bytes.subarray(begin, end);
  const aligned = raw.byteOffset % type.BYTES_PER_ELEMENT === 0 ? raw : new Uint8Array(raw);
  const data = new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, raw.length / type.BYTES_PER_ELEMENT);
  return { dtype, shape, data } as StoredTensor;
}

/**
 * Writes a .safetensors file. The result does not depend on the order of the maps: like the reference implementation,
 * it sorts tensors by descending alignment of their dtype, then by name.
 *
 * @throws TypeError if a dtype is unknown or does not match the kind of array
 * @throws RangeError if a tensor's data does not match its shape, or a name is not allowed
 *
 * @example
 * const bias = Float32Array.of(1, 2);
 * writeSafetensors(new Map([["bias", { dtype: "F32", shape: [2], data: bias }]]), new Map([["format", "pt"]])).length; // 104
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const sorted = [...tensors].sort(
    ([nameA, a], [nameB, b]) => dtypes.indexOf(b.dtype) - dtypes.indexOf(a.dtype) || compareCodePoints(nameA, nameB),
  );
  const { header, dataBytes } = formatHeader(sorted, metadata);
  const file = new Uint8Array(LENGTH_BYTES + header.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, LENGTH_BYTES);
  let at = LENGTH_BYTES + header.length;
  for (const [, { data }] of sorted) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

function formatHeader(
  sorted: readonly [string, StoredTensor][],
  metadata: ReadonlyMap<string, string>,
): { header: Uint8Array; dataBytes: number } {
  const members: string[] = [];
  if (metadata.size > 0) members.push(`"${METADATA}":{${formatMetadata(metadata)}}`);
  let offset = 0;
  for (const [name, tensor] of sorted) {
    checkTensor(name, tensor);
    const end = offset + tensor.data.byteLength;
    const info = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    offset = end;
  }
  const header = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = new Uint8Array(Math.ceil(header.length / 8) * 8).fill(0x20); // aligns the data to 8 bytes
  padded.set(header);
  return { header: padded, dataBytes: offset };
}

function formatMetadata(metadata: ReadonlyMap<string, string>): string {
  const sorted = [...metadata].sort(([a], [b]) => compareCodePoints(a, b));
  for (const text of sorted.flat()) {
    if (isForbidden(text)) throw new RangeError(`writeSafetensors: ${quote(text)} is not allowed in ${METADATA}`);
  }
  return sorted.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`).join(",");
}

function checkTensor(name: string, { dtype, shape, data }: StoredTensor): void {
  const where = `writeSafetensors: ${quote(name)}`;
  if (name === METADATA || isForbidden(name)) throw new RangeError(`${where} is not allowed as the name of a tensor`);
  if (!isDtype(dtype)) throw new TypeError(`${where}: expected one of the dtypes ${dtypes.join(" ")}, got ${String(dtype)}`);
  const type = arrayTypes[dtype];
  if (!(data instanceof type)) throw new TypeError(`${where}: expected ${type.name} for ${dtype}, got another kind of array`);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0) || elements !== data.length) {
    throw new RangeError(`${where}: expected ${elements} elements for shape [${shape}], got ${data.length}`);
  }
}

function isDtype(value: unknown): value is Dtype {
  return (dtypes as readonly unknown[]).includes(value);
}

function checkName(name: string): void {
  if (isForbidden(name)) refuse(`the name ${quote(name)} is not allowed`);
}

/** Whether a name could modify the prototype of an object, or cannot be encoded as UTF-8 (lone surrogates). */
function isForbidden(name: string): boolean {
  return name.split(".").includes("__proto__") || /\p{Surrogate}/u.test(name);
}

/** Compares by code points, the order of UTF-8 bytes but not of UTF-16 code units. */
function compareCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a.codePointAt(i)! - b.codePointAt(i)!;
  }
  return a.length - b.length;
}

function describe(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (value instanceof Map) return "an object";
  return Array.isArray(value) ? "an array" : String(value);
}

function refuse(message: string, options?: ErrorOptions): never {
  throw new HeedError("format", `safetensors: ${message}`, options);
}
