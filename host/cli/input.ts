import { createHash } from "node:crypto";
import { createReadStream, type ReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { LineReader, type Lines } from "../data/lines";
import { Utf8Decoder } from "../data/utf8";
import { HeedError, inFile } from "../errors";
import { parseJson } from "../json";
import { printable } from "../quote";
import { openProgress, type Progress } from "./progress";
import type { Terminal } from "./terminal";

/** The most bytes of a text, after decompression. Strings and token ids of more would not fit in memory. */
export const MOST_TEXT = 2 ** 30;
/** The most bytes of a JSON file. */
const MOST_JSON = 2 ** 24;
/** Files of at least this size show progress while they are read. */
const LARGE = 2 ** 26;
const MIB = 2 ** 20;

/** How a file is read. */
interface ReadOptions {
  /** Shows progress for large files. */
  terminal?: Terminal;
  /** The most bytes, after decompression. */
  limit?: number;
}

/**
 * Yields a file's bytes as they are read, decompressed if they are gzip.
 * @throws HeedError: `file` if it cannot be read or is empty, `format` if its gzip data is corrupt, `data` if it exceeds the limit
 */
export async function* readChunks(path: string, { terminal, limit = MOST_TEXT }: ReadOptions = {}): AsyncGenerator<Uint8Array> {
  let file: ReadStream | undefined;
  let progress: Progress | undefined;
  let bytes = 0;
  try {
    const { size } = await stat(path);
    file = createReadStream(path);
    if (terminal && size >= LARGE) progress = openProgress(terminal, `${printable(path)}: MiB`, Math.ceil(size / MIB));
    for await (const chunk of decompressed(file)) {
      bytes += chunk.length;
      if (bytes > limit) throw new HeedError("data", `${path}: expected ${describeLimit(limit)}, got more; split the file`, { file: path });
      progress?.update(Math.floor(file.bytesRead / MIB));
      yield chunk;
    }
  } catch (cause) {
    throw cause instanceof HeedError ? cause : unreadable(path, cause);
  } finally {
    progress?.stop();
    file?.destroy();
  }
  if (bytes === 0) throw new HeedError("file", `${path}: the file is empty`, { file: path });
}

/** A file's chunks, decompressed if its first bytes are gzip's. It is read once, since it may be a pipe. */
async function* decompressed(file: Readable): AsyncGenerator<Uint8Array> {
  const chunks = (file as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done) return;
  const all = async function* (): AsyncGenerator<Uint8Array> {
    yield first.value;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  };
  const isGzip = first.value[0] === 0x1f && first.value[1] === 0x8b;
  // Errors reach the iteration as well; pipeline needs a callback.
  yield* isGzip ? (pipeline(all, createGunzip(), () => undefined) as AsyncIterable<Uint8Array>) : all();
}

const describeLimit = (limit: number): string => `at most ${limit / MIB} MiB of text after decompression`;

/** The error for a file that cannot be read, from the error of the file system or of zlib. */
export function unreadable(path: string, cause: unknown): HeedError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code?.startsWith("Z_")) return new HeedError("format", `${path}: corrupt gzip data: ${message}`, { cause, file: path });
  const reasons: Record<string, string> = {
    ENOENT: "no such file", EISDIR: "expected a file, got a folder", EACCES: "permission denied; make the file readable",
  };
  return new HeedError("file", `${path}: ${reasons[code ?? ""] ?? message}`, { cause, file: path });
}

/** Reads a file's bytes, decompressed if they are gzip. @throws HeedError as `readChunks` does */
export async function readInput(path: string, options: ReadOptions = {}): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readChunks(path, options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Reads the lines of a UTF-8 file, plain or gzip. @throws HeedError as `readChunks` and `LineReader` do */
export async function readLines(path: string, terminal?: Terminal): Promise<Lines> {
  const reader = new LineReader(path);
  for await (const chunk of readChunks(path, { terminal })) reader.push(chunk);
  return reader.end();
}

/**
 * Reads a UTF-8 text, plain or gzip, in pieces that do not split characters: together they may exceed the longest string.
 * @throws HeedError as `readChunks` does, and `format` if the file is not UTF-8
 */
export async function readText(path: string, terminal?: Terminal): Promise<string[]> {
  const decoder = new Utf8Decoder(path);
  const pieces: string[] = [];
  for await (const chunk of readChunks(path, { terminal })) pieces.push(decoder.push(chunk));
  return [...pieces, decoder.end()].filter((piece) => piece !== "");
}

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
  const bytes = await readInput(path, { limit: MOST_JSON });
  return inFile(path, () => parseJson(new TextDecoder().decode(bytes)));
}

/** A short hash of texts. A resumed training run uses it to check that its data has not changed. */
export function fingerprint(texts: Iterable<string>): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text).update("\n");
  return `sha256:${hash.digest("hex").slice(0, 16)}`;
}

/** The same for one text in pieces, whatever its pieces are. */
export function fingerprintText(pieces: Iterable<string>): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return `sha256:${hash.update("\n").digest("hex").slice(0, 16)}`;
}
