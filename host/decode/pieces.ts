/** The part of a tokenizer that turns ids into text. */
export interface TextDecoderLike {
  readonly size: number;
  decode(ids: ArrayLike<number>): string;
}

/** With more ids than this in the window, its older half is decoded for the last time. */
const WINDOW = 128;

/**
 * Turns ids into pieces of text as they arrive. The pieces end neither inside a character nor inside a stop string, and all of them
 * together are `tokenizer.decode(ids)`.
 *
 * @example
 * const pieces = new TextPieces(tokenizer);
 * const text = tokenizer.encode("ROMEO:").map((id) => pieces.push(id)).join("") + pieces.end();
 * text; // "ROMEO:"
 */
export class TextPieces {
  /** The stop string that was found. `push` returns nothing more after it. */
  stop: string | undefined;
  /** The ids of the window; the text of earlier ones has been emitted, and does not depend on later ones. */
  private ids: number[] = [];
  /** Number of characters of the window's text that have been emitted. */
  private emitted = 0;
  private readonly probe: number | undefined;

  /** @param stops  strings before which the text ends */
  constructor(
    private readonly tokenizer: TextDecoderLike,
    private readonly stops: readonly string[] = [],
  ) {
    this.probe = probeOf(tokenizer);
  }

  /** The text that has become certain with one more id. */
  push(id: number): string {
    if (this.stop !== undefined) return "";
    this.ids.push(id);
    const text = this.tokenizer.decode(this.ids);
    // A byte that is no character of its own shows which part of the text may still change: a character that lacks bytes, or, in
    // tokenizers that replace a whole run of bytes if it is invalid, the run.
    const other = this.probe === undefined ? text : this.tokenizer.decode([...this.ids, this.probe]);
    let certain = 0;
    while (certain < text.length && text[certain] === other[certain]) certain++;
    while (certain > 0 && text[certain - 1] === "\uFFFD") certain--;
    const piece = this.take(text, Math.max(certain, this.emitted), false);
    if (this.ids.length > WINDOW) this.shorten(text);
    return piece;
  }

  /** The rest of the text, at the end of the ids. */
  end(): string {
    if (this.stop !== undefined) return "";
    const text = this.tokenizer.decode(this.ids);
    return this.take(text, text.length, true);
  }

  /** Emits the window's text up to `end`, except for what may be the start of a stop string. */
  private take(text: string, end: number, isLast: boolean): string {
    const pending = text.slice(this.emitted, end);
    const found = this.stops.map((stop) => ({ stop, at: pending.indexOf(stop) })).filter(({ at }) => at >= 0);
    const first = found.sort((a, b) => a.at - b.at)[0];
    if (first) this.stop = first.stop;
    let length = first ? first.at : isLast ? pending.length : pending.length - longestStart(pending, this.stops);
    // Half of a surrogate pair is not a character.
    if (!first && !isLast && length > 0 && /[\uD800-\uDBFF]/.test(pending[length - 1]!)) length--;
    this.emitted += length;
    return pending.slice(0, length);
  }

  /** Drops ids whose text has been emitted, if the rest of the window decodes to the same text without them. */
  private shorten(text: string): void {
    for (let n = WINDOW >> 1; n < WINDOW; n++) {
      const before = this.tokenizer.decode(this.ids.slice(0, n));
      if (before.length > this.emitted || before.endsWith("\uFFFD")) return;
      const rest = this.ids.slice(n);
      if (before + this.tokenizer.decode(rest) !== text) continue;
      this.ids = rest;
      this.emitted -= before.length;
      return;
    }
  }
}

/** The length of the longest end of `text` that is the start of a stop string. */
function longestStart(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
      if (text.endsWith(stop.slice(0, n))) longest = n;
    }
  }
  return longest;
}

const probes = new WeakMap<TextDecoderLike, number | undefined>();

/** An id that stands for a byte which is no character of its own; undefined if the tokenizer has none. */
function probeOf(tokenizer: TextDecoderLike): number | undefined {
  if (!probes.has(tokenizer)) {
    let id = 0;
    while (id < tokenizer.size && !isByte(tokenizer, id)) id++;
    probes.set(tokenizer, id < tokenizer.size ? id : undefined);
  }
  return probes.get(tokenizer);
}

function isByte(tokenizer: TextDecoderLike, id: number): boolean {
  try {
    return tokenizer.decode([id]) === "\uFFFD";
  } catch {
    return false; // ids may have gaps
  }
}
