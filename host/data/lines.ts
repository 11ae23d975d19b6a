import { HeedError } from "../errors";

/** The lines of a text file, and the file's name for error messages. */
export interface Lines {
  name: string;
  lines: string[];
}

const NEWLINE = 0x0a;

/**
 * Splits a UTF-8 file into lines, without their line endings (`\n` or `\r\n`) and without a byte order mark.
 *
 * @param name  the file's name in error messages
 * @throws HeedError "file" if the file is empty; "format" with the line and byte of the first invalid sequence if it is not UTF-8
 *
 * @example
 * parseLines(new TextEncoder().encode("ein Haus\r\nein Hund\n"), "train.de").lines; // ["ein Haus", "ein Hund"]
 */
export function parseLines(bytes: Uint8Array, name: string): Lines {
  const text = decodeUtf8(bytes, name);
  if (text === "") throw new HeedError("file", `${name}: the file is empty`, { file: name });
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop(); //                    a final line ending does not start another line
  return { name, lines: lines.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line)) };
}

/**
 * Decodes a UTF-8 file, without a byte order mark; line endings are kept.
 * @throws HeedError "format" with the line and byte of the first invalid sequence if the file is not UTF-8
 *
 * @example
 * decodeUtf8(Uint8Array.of(0x68, 0x69), "note.txt"); // "hi"
 */
export function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new HeedError("format", `${name}: not UTF-8: ${firstInvalid(bytes)}`, { cause, file: name });
  }
}

/** The position of the first invalid sequence: tries line by line, then the bytes of the first invalid line. */
function firstInvalid(bytes: Uint8Array): string {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline + 1;
    const column = invalidAt(bytes.subarray(start, end));
    if (column >= 0) {
      const value = bytes[start + column];
      const what = value === undefined ? ": the file ends within a character" : ` (0x${value.toString(16).padStart(2, "0")})`;
      return `line ${line}, byte ${column + 1}${what}`;
    }
    start = end;
  }
  return "unknown line";
}

/** The index of the first invalid byte; the length if the last character is incomplete; −1 if all bytes are valid. */
function invalidAt(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let i = 0; i < bytes.length; i++) {
    try {
      decoder.decode(bytes.subarray(i, i + 1), { stream: true });
    } catch {
      return i;
    }
  }
  try {
    decoder.decode();
    return -1;
  } catch {
    return bytes.length;
  }
}
