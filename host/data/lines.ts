import { HeedError } from "../errors";
import { Utf8Decoder } from "./utf8";

/** The lines of a text file, and the file's name for error messages. */
export interface Lines {
  name: string;
  lines: string[];
}

/** The longest line, in UTF-16 code units. Longer ones are not lines of a corpus. */
const LONGEST_LINE = 2 ** 24;
/** The most lines of a file: their strings need some 2 GB. The largest corpus of Vaswani et al. has 36 million. */
const MOST_LINES = 2 ** 25;
/** Bytes split at a time. */
const CHUNK = 2 ** 20;

/**
 * Splits UTF-8 into lines as it arrives, without their line endings (`\n` or `\r\n`) and without a byte order mark. No string is
 * longer than a line or a chunk, so the file may exceed the longest string of the engine, 512 MiB in V8.
 *
 * @example
 * const lines = new LineReader("train.de");
 * lines.push(new TextEncoder().encode("ein Haus\r\nein"));
 * lines.push(new TextEncoder().encode(" Hund\n"));
 * lines.end().lines; // ["ein Haus", "ein Hund"]
 */
export class LineReader {
  private readonly decoder: Utf8Decoder;
  private readonly lines: string[] = [];
  /** The pieces of a line that has not ended. */
  private pieces: string[] = [];
  private length = 0;

  /** @param name  the file's name in error messages */
  constructor(private readonly name: string) {
    this.decoder = new Utf8Decoder(name);
  }

  /**
   * Adds the file's next bytes.
   * @throws HeedError: `format` with the line and byte of the first invalid sequence if it is not UTF-8, `data` for a line of more than
   *   16,777,216 characters and for more than 33,554,432 lines
   */
  push(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += CHUNK) this.split(this.decoder.push(bytes.subarray(start, start + CHUNK)));
  }

  /**
   * The file's lines, after its last bytes.
   * @throws HeedError: `file` if the file is empty, `format` if it ends within a character
   */
  end(): Lines {
    this.split(this.decoder.end());
    if (this.length > 0) this.add("");
    if (this.lines.length === 0) throw new HeedError("file", `${this.name}: the file is empty`, { file: this.name });
    return { name: this.name, lines: this.lines };
  }

  private split(text: string): void {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.add(text.slice(start, end));
      start = end + 1;
    }
    const rest = text.slice(start);
    if (rest !== "") this.pieces.push(rest);
    this.length += rest.length;
    this.checkLength(this.length);
  }

  private add(last: string): void {
    this.checkLength(this.length + last.length);
    const line = this.pieces.length === 0 ? last : this.pieces.join("") + last;
    this.pieces = [];
    this.length = 0;
    this.lines.push(line.endsWith("\r") ? line.slice(0, -1) : line);
    if (this.lines.length > MOST_LINES) this.refuse(`expected at most ${MOST_LINES} lines, got more`);
  }

  private checkLength(length: number): void {
    if (length > LONGEST_LINE) this.refuse(`line ${this.lines.length + 1}: expected at most ${LONGEST_LINE} characters, got more`);
  }

  private refuse(message: string): never {
    throw new HeedError("data", `${this.name}: ${message}`, { file: this.name });
  }
}

/**
 * Splits a UTF-8 file into lines, without their line endings (`\n` or `\r\n`) and without a byte order mark.
 *
 * @param name  the file's name in error messages
 * @throws HeedError: `file` if the file is empty, `format` with the line and byte of the first invalid sequence if it is not UTF-8, `data`
 *   for a line of more than 16,777,216 characters and for more than 33,554,432 lines
 *
 * @example
 * parseLines(new TextEncoder().encode("ein Haus\r\nein Hund\n"), "train.de").lines; // ["ein Haus", "ein Hund"]
 */
export function parseLines(bytes: Uint8Array, name: string): Lines {
  const reader = new LineReader(name);
  reader.push(bytes);
  return reader.end();
}

/**
 * Decodes a UTF-8 file, without a byte order mark; line endings are kept.
 * @throws HeedError: `format` with the line and byte of the first invalid sequence if the file is not UTF-8, `data` if its text is longer
 *   than the engine's strings (512 MiB of ASCII in V8)
 *
 * @example
 * decodeUtf8(Uint8Array.of(0x68, 0x69), "note.txt"); // "hi"
 */
export function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const decoder = new Utf8Decoder(name);
    for (let start = 0; start < bytes.length; start += CHUNK) decoder.push(bytes.subarray(start, start + CHUNK));
    decoder.end();
    throw new HeedError("data", `${name}: the text of ${bytes.length} bytes is too long for one string`, { cause, file: name });
  }
}
