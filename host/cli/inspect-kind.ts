import { HeedError } from "../errors";
import type { OpenFile } from "../io/files";
import { readHeaderLength } from "../io/header";

/** The bytes at the start of a file that tell what it is. */
const START = 16;
/** Kinds of files that are mistaken for models, by their first bytes. */
const KINDS: readonly [name: string, ...first: number[]][] = [
  ["a gzip file; decompress it first", 0x1f, 0x8b],
  ["a zip archive, as PyTorch's .pt and .bin files are; convert it to safetensors", 0x50, 0x4b, 0x03, 0x04],
  ["a pickle; convert it to safetensors", 0x80, 0x02],
  ["a pickle; convert it to safetensors", 0x80, 0x04],
  ["a GGUF file; convert it to safetensors", 0x47, 0x47, 0x55, 0x46],
  ["an HDF5 file; convert it to safetensors", 0x89, 0x48, 0x44, 0x46],
  ["a NumPy file; convert it to safetensors", 0x93, 0x4e, 0x55, 0x4d],
];
const WASM = [0x00, 0x61, 0x73, 0x6d];

/**
 * Tells a .safetensors file from a WebAssembly module by the first bytes, so that files of any size can be inspected.
 * @throws HeedError (`format`) reporting what the file is instead, if it is neither
 */
export async function kindOf(file: OpenFile, path: string): Promise<"safetensors" | "wasm"> {
  const start = new Uint8Array(Math.min(START, file.size));
  await file.read(start, 0);
  if (start.length === 0) throw new HeedError("file", `${path}: the file is empty`, { file: path });
  if (startsWith(start, WASM)) return "wasm";
  if (path.endsWith(".safetensors") || isSafetensors(start, file.size)) return "safetensors";
  throw new HeedError("format", `${path}: expected a .safetensors file or a WebAssembly module, got ${describe(start)}`, { file: path });
}

const startsWith = (bytes: Uint8Array, first: readonly number[]): boolean => first.every((byte, i) => bytes[i] === byte);

/** Whether the file starts with a possible header length and the header's brace. The header itself is checked when it is read. */
function isSafetensors(start: Uint8Array, size: number): boolean {
  try {
    readHeaderLength(start, size);
    return start[8] === 0x7b;
  } catch {
    return false;
  }
}

function describe(start: Uint8Array): string {
  const known = KINDS.find(([, ...first]) => startsWith(start, first));
  if (known) return known[0];
  if (start.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x09 || byte === 0x0a || byte === 0x0d)) return "text";
  return `other data, which starts with the bytes ${Array.from(start, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
}
