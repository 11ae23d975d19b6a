import { HeedError } from "../errors";
import { quote, quoteShape } from "../quote";
import { bitsOf, type Dtype, dtypes } from "./dtype";
import { JsonReader } from "./headerjson";

/** Size of the length field in front of the header. */
export const LENGTH_BYTES = 8;
/** The key of the header's texts. */
export const METADATA = "__metadata__";
const MAX_HEADER_BYTES = 100_000_000;
/** Models have at most some 100,000 tensors per file. More would only cost the reader time and memory. */
const MAX_TENSORS = 2 ** 20;
const MAX_METADATA = 2 ** 16;

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
 * Parses and checks a header.
 *
 * @param bytes     the bytes of the header
 * @param fileSize  the size of the whole file in bytes
 * @throws HeedError (`format`)
 */
export function readHeader(bytes: Uint8Array, fileSize: number): Header {
  if (bytes[0] !== 0x7b) refuse(`header: expected '{' first, got ${bytes.length === 0 ? "nothing" : `byte ${bytes[0]}`}`);
  try {
    return parse(new JsonReader(decode(bytes)), LENGTH_BYTES + bytes.length, fileSize);
  } catch (cause) {
    if (cause instanceof SyntaxError) refuse(`header: expected JSON: ${cause.message}`, { cause });
    throw cause;
  }
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

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    return refuse("header: expected UTF-8, got other bytes", { cause });
  }
}

function parse(reader: JsonReader, dataStart: number, fileSize: number): Header {
  const tensors = new Map<string, TensorInfo>();
  let metadata: Map<string, string> | undefined;
  let isSorted = true;
  let last: TensorInfo | undefined;
  reader.object((name) => {
    if (name === METADATA ? metadata !== undefined : tensors.has(name)) refuse(`header: duplicate key ${quote(name)}`);
    if (name === METADATA) return void (metadata = readMetadata(reader));
    const info = readEntry(reader, name, dataStart);
    isSorted &&= last === undefined || compareOffsets(last, info) <= 0;
    last = info;
    tensors.set(name, info);
    if (tensors.size > MAX_TENSORS) refuse(`header: expected at most ${MAX_TENSORS} tensors, got more`);
  });
  reader.end();
  const inOrder = isSorted ? tensors : new Map([...tensors].sort(([, a], [, b]) => compareOffsets(a, b)));
  checkCoverage(inOrder, dataStart, fileSize);
  return { tensors: inOrder, metadata: metadata ?? new Map<string, string>() };
}

const compareOffsets = (a: TensorInfo, b: TensorInfo): number => a.begin - b.begin || a.end - b.end;

function readMetadata(reader: JsonReader): Map<string, string> {
  const metadata = new Map<string, string>();
  if (reader.null()) return metadata;
  if (reader.peek() !== "{") refuse(`${METADATA}: expected an object of strings, got ${reader.describe()}`);
  reader.object((key) => {
    if (metadata.has(key)) refuse(`${METADATA}: duplicate key ${quote(key)}`);
    if (reader.peek() !== '"') refuse(`${METADATA}: ${quote(key)}: expected a string, got ${reader.describe()}`);
    metadata.set(key, reader.string());
    if (metadata.size > MAX_METADATA) refuse(`${METADATA}: expected at most ${MAX_METADATA} keys, got more`);
  });
  return metadata;
}

function readEntry(reader: JsonReader, name: string, dataStart: number): TensorInfo {
  const fail = (message: string): never => refuse(`tensor ${quote(name)}: ${message}`);
  if (reader.peek() !== "{") fail(`expected an object, got ${reader.describe()}`);
  let dtype: Dtype | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  reader.object((key) => {
    if (key === "dtype") dtype = dtype === undefined ? readDtype(reader, fail) : fail('duplicate key "dtype"');
    else if (key === "shape") shape = shape === undefined ? readCounts(reader, key, fail) : fail('duplicate key "shape"');
    else if (key === "data_offsets") offsets = offsets === undefined ? readCounts(reader, key, fail) : fail('duplicate key "data_offsets"');
    else reader.skip();
  });
  if (dtype === undefined) return fail(`dtype: expected one of ${dtypes.join(" ")}, got nothing`);
  if (shape === undefined) return fail("shape: expected an array of integers >= 0, got nothing");
  if (offsets === undefined) return fail("data_offsets: expected an array of integers >= 0, got nothing");
  if (offsets.length !== 2) return fail(`data_offsets: expected [begin, end], got ${offsets.length} numbers`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) return fail(`data_offsets: expected begin <= end, got [${begin}, ${end}]`);
  const size = bytesOf(dtype, shape, fail);
  if (end - begin !== size) return fail(`expected ${size} bytes for ${dtype} ${quoteShape(shape)}, got ${end - begin}`);
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

type Fail = (message: string) => never;

function readDtype(reader: JsonReader, fail: Fail): Dtype {
  const refuse = (found: string): never => fail(`dtype: expected one of ${dtypes.join(" ")}, got ${found}`);
  if (reader.peek() !== '"') return refuse(reader.describe());
  const name = reader.string();
  return dtypes.find((known) => known === name) ?? refuse(quote(name)); // one string for all tensors, not a piece of the header's text
}

/** An array of integers from 0 to 2^53 − 1. */
function readCounts(reader: JsonReader, where: string, fail: Fail): number[] {
  if (reader.peek() !== "[") fail(`${where}: expected an array of integers >= 0, got ${reader.describe()}`);
  const counts: number[] = [];
  reader.array(() => {
    counts.push(reader.count() ?? fail(`${where}: expected integers from 0 to 2^53 − 1, got ${reader.describe()}`));
  });
  return counts;
}

function bytesOf(dtype: Dtype, shape: readonly number[], fail: Fail): number {
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (elements > Number.MAX_SAFE_INTEGER) fail(`shape: expected fewer than 2^53 elements, got ${quoteShape(shape)}`);
  }
  const bytes = elements * (bitsOf(dtype) / 8);
  return Number.isInteger(bytes) ? bytes : fail(`shape: expected ${dtype} to fill whole bytes, got ${elements} elements`);
}

/** Checks that the tensors, sorted by offset, cover the data without overlaps or gaps. */
function checkCoverage(tensors: ReadonlyMap<string, TensorInfo>, dataStart: number, fileSize: number): void {
  let covered = dataStart;
  for (const [name, { begin, end }] of tensors) {
    const flaw = begin < covered ? "an overlap" : "a gap";
    if (begin !== covered) {
      refuse(`tensor ${quote(name)}: expected its data at offset ${covered - dataStart}, got ${begin - dataStart} (${flaw})`);
    }
    covered = end;
  }
  if (covered !== fileSize) refuse(`data: expected ${covered - dataStart} bytes after the header, got ${fileSize - dataStart}`);
}

/** Throws the error of a file that is not in the format. */
function refuse(message: string, options?: ErrorOptions): never {
  throw new HeedError("format", `safetensors: ${message}`, options);
}
