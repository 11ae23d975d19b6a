import { HeedError } from "../errors";

/** A text file's lines, and what to call the file in an error. */
export interface Lines {
  name: string;
  lines: string[];
}

const NEWLINE = 0x0a;

/**
 * The lines of a UTF-8 file, without their ends (`\n` or `\r\n`) and without a byte order mark.
 *
 * @param name  what to call the file in an error
 * @throws HeedError "file" if it is empty; "format" if it is not UTF-8, with the line and byte where that shows
 *
 * @example
 * parseLines(new TextEncoder().encode("ein Haus\r\nein Hund\n"), "train.de").lines; // ["ein Haus", "ein Hund"]
 */
export function parseLines(bytes: Uint8Array, name: string): Lines {
  const text = decodeUtf8(bytes, name);
  if (text === "") throw new HeedError("file", `${name}: the file is empty`, { file: name });
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop(); //                    the last line's end is no line of its own
  return { name, lines: lines.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line)) };
}

/**
 * A UTF-8 file as one text, without a byte order mark; line ends stay as they are.
 * @throws HeedError "format" if it is not UTF-8, with the line and byte where that shows
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

/** Where a text stops being UTF-8: lines are tried one by one, then the bytes of the first bad one. */
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

/** The index of the first byte that cannot follow those before it; the length if more should follow; −1 if all is well. */
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
