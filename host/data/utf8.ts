import { HeedError } from "../errors";

const NEWLINE = 0x0a;
/** Bytes decoded at a time: large enough for the decoder's speed, small enough to find an invalid byte in. */
const CHUNK = 2 ** 16;

/**
 * Decodes UTF-8 as it arrives, without a byte order mark at the start.
 * It throws a HeedError (`format`) with the line and the byte of the first invalid sequence.
 */
export class Utf8Decoder {
  private readonly decoder = new TextDecoder("utf-8", { fatal: true });
  private line = 1;
  /** Bytes since the last newline. */
  private column = 0;
  /** The last bytes before the next chunk, which may be the start of a character. */
  private tail = new Uint8Array(0);

  /** @param name  the file's name in error messages */
  constructor(readonly name: string) {}

  /** Decodes the next bytes. An incomplete character at their end is kept for the next call. */
  push(bytes: Uint8Array): string {
    let text = "";
    for (let start = 0; start < bytes.length; start += CHUNK) {
      const chunk = bytes.subarray(start, start + CHUNK);
      try {
        text += this.decoder.decode(chunk, { stream: true });
      } catch (cause) {
        throw this.invalid(this.firstInvalid(chunk), chunk, cause);
      }
      this.advance(chunk);
      this.tail = Uint8Array.from([...this.tail, ...chunk.subarray(-3)]).slice(-3);
    }
    return text;
  }

  /** Ends the text. */
  end(): string {
    try {
      return this.decoder.decode();
    } catch (cause) {
      throw this.invalid(0, new Uint8Array(0), cause);
    }
  }

  private advance(bytes: Uint8Array): void {
    let start = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, start)) {
      this.line++;
      this.column = 0;
      start = at + 1;
    }
    this.column += bytes.length - start;
  }

  /** The index of the byte that makes a chunk invalid. */
  private firstInvalid(chunk: Uint8Array): number {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    decoder.decode(incomplete(this.tail), { stream: true });
    for (let i = 0; i < chunk.length; i++) {
      try {
        decoder.decode(chunk.subarray(i, i + 1), { stream: true });
      } catch {
        return i;
      }
    }
    return chunk.length;
  }

  private invalid(index: number, chunk: Uint8Array, cause: unknown): HeedError {
    this.advance(chunk.subarray(0, index));
    const value = chunk[index];
    const what = value === undefined ? ": the file ends within a character" : ` (0x${value.toString(16).padStart(2, "0")})`;
    const message = `${this.name}: not UTF-8: line ${this.line}, byte ${this.column + 1}${what}`;
    return new HeedError("format", message, { cause, file: this.name });
  }
}

/** The incomplete character at the end of valid UTF-8; empty if the last character is complete. */
function incomplete(tail: Uint8Array): Uint8Array {
  for (let length = 1; length <= tail.length; length++) {
    const byte = tail[tail.length - length]!;
    if ((byte & 0xc0) === 0x80) continue; // within a character
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > length ? tail.subarray(-length) : tail.subarray(tail.length);
  }
  return tail.subarray(tail.length);
}
