import { quote, quoteShape, show } from "../quote";
import { type Dtype, type StoredTensor, arrayTypes, bitsOf, dtypes } from "./dtype";
import { type Header, LENGTH_BYTES, METADATA, readHeader, readHeaderLength, type TensorInfo } from "./header";

// The format: u64 N (little-endian), N bytes of JSON, then the bytes of the tensors without gaps.
// Source: huggingface/safetensors, README and safetensors/src/tensor.rs.

/** The contents of a .safetensors file. */
export interface Safetensors {
  /** Tensors by name, in file order. */
  tensors: Map<string, StoredTensor>;
  /** Arbitrary text by key, such as `format` → `pt`. */
  metadata: Map<string, string>;
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
  if (!isDtype(dtype)) throw new TypeError(`${where}: expected one of the dtypes ${dtypes.join(" ")}, got ${show(dtype)}`);
  const type = arrayTypes[dtype];
  if (!(data instanceof type)) throw new TypeError(`${where}: expected ${type.name} for ${dtype}, got another kind of array`);
  const elements = shape.reduce((product, size) => product * size, 1);
  const length = (elements * bitsOf(dtype)) / (8 * type.BYTES_PER_ELEMENT);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0) || length !== data.length) {
    throw new RangeError(`${where}: expected ${length} elements for shape ${quoteShape(shape)}, got ${data.length}`);
  }
}

function isDtype(value: unknown): value is Dtype {
  return (dtypes as readonly unknown[]).includes(value);
}

/** Whether a text cannot be encoded as UTF-8, because it has lone surrogates. */
function isForbidden(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/** Compares by code points, the order of UTF-8 bytes but not of UTF-16 code units. */
function compareCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a.codePointAt(i)! - b.codePointAt(i)!;
  }
  return a.length - b.length;
}
