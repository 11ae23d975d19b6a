import { readFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { type Lines, parseLines } from "../data/lines";
import { HeedError, inFile } from "../errors";
import { parseJson } from "../json";

/**
 * Reads a file's bytes, and decompresses them if they are gzip.
 * @throws HeedError: `file` if it cannot be read or is empty, `format` if its gzip data is corrupt
 */
export async function readInput(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: "no such file", EISDIR: "expected a file, got a folder", EACCES: "permission denied; make the file readable",
    };
    const reason = reasons[code ?? ""] ?? message;
    throw new HeedError("file", `${path}: ${reason}`, { cause, file: path });
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = gunzipSync(bytes);
    } catch (cause) {
      throw new HeedError("format", `${path}: corrupt gzip data: ${(cause as Error).message}`, { cause, file: path });
    }
  }
  if (bytes.length === 0) throw new HeedError("file", `${path}: the file is empty`, { file: path });
  return bytes;
}

/** Reads the lines of a UTF-8 file, plain or gzip. */
export const readLines = async (path: string): Promise<Lines> => parseLines(await readInput(path), path);

/** Maximum length of a line on stdin, in bytes. Without a limit, input that lacks line breaks would fill the memory. */
const MAX_LINE = 2 ** 20;

/**
 * Yields the lines of a stream as they arrive, split like those of a file.
 * @throws HeedError: `format` for a line that is not UTF-8, `data` for one of more than 1 MiB
 */
export async function* streamLines(stream: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let count = 0;
  const decode = (bytes: Uint8Array): string => {
    count++;
    try {
      return decoder.decode(bytes).replace(count === 1 ? /^\uFEFF|\r$/g : /\r$/, "");
    } catch (cause) {
      throw new HeedError("format", `${name}, line ${count}: not UTF-8`, { cause });
    }
  };
  let parts: Uint8Array[] = []; // of a line that has not ended, joined only once
  let length = 0;
  const add = (part: Uint8Array): void => {
    parts.push(part);
    length += part.length;
    if (length > MAX_LINE) throw new HeedError("data", `${name}, line ${count + 1}: longer than 1 MiB; split it into shorter lines`);
  };
  const take = (): string => {
    const line = decode(Buffer.concat(parts));
    [parts, length] = [[], 0];
    return line;
  };
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    let start = 0;
    for (let end = bytes.indexOf("\n"); end >= 0; end = bytes.indexOf("\n", start)) {
      add(bytes.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < bytes.length) add(bytes.subarray(start));
  }
  if (length > 0) yield take();
}

/** Reads a JSON file. */
export async function readJson(path: string): Promise<unknown> {
  const bytes = await readInput(path);
  return inFile(path, () => parseJson(new TextDecoder().decode(bytes)));
}

/** A short hash of texts. A resumed training run uses it to check that its data has not changed. */
export function fingerprint(texts: Iterable<string>): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text).update("\n");
  return `sha256:${hash.digest("hex").slice(0, 16)}`;
}
