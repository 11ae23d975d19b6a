import { quote } from "../quote";

/** As in serde_json, which the reference implementation uses; the header and its entries are the first two levels. */
const MAX_DEPTH = 127;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;
/** The characters after a backslash, except `u`. */
const ESCAPES = new Set([..."\"\\/bfnrt"].map((character) => character.charCodeAt(0)));

const isDigit = (code: number): boolean => code >= ZERO && code <= 0x39;

/**
 * Reads JSON (RFC 8259) from an untrusted source in one pass. The caller says which value it expects where and keeps only what it
 * needs, so memory is bounded by what is kept: a header of 99 MB full of ignored values costs nothing but its text.
 *
 * It keeps what `JSON.parse` loses: the caller sees every key, including duplicates, and integers are exact or refused.
 * Every method throws a SyntaxError with the offset of the error (in UTF-16 code units).
 */
export class JsonReader {
  private at = 0;

  constructor(private readonly text: string) {}

  /** The character that starts the next value, after whitespace; "" at the end. */
  peek(): string {
    const { text } = this;
    let code = text.charCodeAt(this.at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++this.at);
    return text.charAt(this.at);
  }

  /** Reads an object. `member` reads or skips the value of each key. */
  object(member: (key: string) => void): void {
    if (this.peek() !== "{") this.fail("expected an object");
    this.at++;
    if (this.peek() === "}") return void this.at++;
    for (;;) {
      if (this.peek() !== '"') this.fail("expected a key");
      const key = this.string();
      if (this.peek() !== ":") this.fail("expected ':'");
      this.at++;
      member(key);
      if (!this.more("}")) return;
    }
  }

  /** Reads an array. `item` reads or skips each item. */
  array(item: () => void): void {
    if (this.peek() !== "[") this.fail("expected an array");
    this.at++;
    if (this.peek() === "]") return void this.at++;
    do item();
    while (this.more("]"));
  }

  string(): string {
    if (this.peek() !== '"') this.fail("expected a string");
    const start = this.at;
    const hasEscapes = this.skipString();
    if (!hasEscapes) return this.text.slice(start + 1, this.at - 1);
    const value = JSON.parse(this.text.slice(start, this.at)) as string;
    if (/\p{Surrogate}/u.test(value)) this.fail("expected Unicode, got a lone surrogate in the string", start);
    return value;
  }

  /** An integer literal from 0 to 2^53 − 1; undefined if the next value is anything else, which is not read. */
  count(): number | undefined {
    this.peek();
    const { text } = this;
    let at = this.at;
    let value = 0;
    for (let code = text.charCodeAt(at); isDigit(code); code = text.charCodeAt(++at)) value = value * 10 + code - ZERO;
    const isLeadingZero = text.charCodeAt(this.at) === ZERO && at > this.at + 1;
    if (at === this.at || isLeadingZero || value > Number.MAX_SAFE_INTEGER || ".eE".includes(text.charAt(at) || "x")) return undefined;
    this.at = at;
    return value;
  }

  /** Checks the syntax of a value, by default a field of an entry, without keeping it. */
  skip(depth = 3): void {
    const next = this.peek();
    if (depth > MAX_DEPTH && (next === "{" || next === "[")) this.fail(`nesting is deeper than ${MAX_DEPTH}`);
    switch (next) {
      case "{":
        return this.object(() => this.skip(depth + 1));
      case "[":
        return this.array(() => this.skip(depth + 1));
      case '"':
        return void this.string();
      case "t":
        return this.literal("true");
      case "f":
        return this.literal("false");
      case "n":
        return this.literal("null");
      default:
        return this.skipNumber();
    }
  }

  /** Reads null, if it is next. */
  null(): boolean {
    if (this.peek() !== "n") return false;
    this.literal("null");
    return true;
  }

  end(): void {
    if (this.peek() !== "") this.fail("expected the end");
  }

  /** The next value as quoted in a message. It is not read. */
  describe(): string {
    const { text } = this;
    const next = this.peek();
    if (next === "{") return "an object";
    if (next === "[") return "an array";
    const start = this.at;
    const isString = next === '"';
    if (isString) this.skipString();
    else this.skip();
    const literal = text.slice(isString ? start + 1 : start, Math.min(start + 200, isString ? this.at - 1 : this.at));
    this.at = start;
    return isString ? quote(literal) : literal;
  }

  /** After an item: true if a comma follows, false if the list is closed. */
  private more(close: string): boolean {
    const next = this.peek();
    if (next !== "," && next !== close) this.fail(`expected ',' or '${close}'`);
    this.at++;
    return next === ",";
  }

  /** Moves behind a string. Returns whether it contains escapes. */
  private skipString(): boolean {
    const { text } = this;
    const start = this.at;
    let hasEscapes = false;
    for (let at = start + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        this.at = at + 1;
        return hasEscapes;
      }
      if (code < 0x20) break;
      if (code !== BACKSLASH) continue;
      hasEscapes = true;
      at++;
      if (text.charAt(at) === "u" && /^[\dA-Fa-f]{4}$/.test(text.slice(at + 1, at + 5))) at += 4;
      else if (!ESCAPES.has(text.charCodeAt(at))) break;
    }
    return this.fail("invalid string", start);
  }

  private skipNumber(): void {
    const { text } = this;
    const start = this.at;
    const digits = (): boolean => {
      const first = this.at;
      while (isDigit(text.charCodeAt(this.at))) this.at++;
      return this.at > first;
    };
    if (text.charCodeAt(this.at) === MINUS) this.at++;
    const isZero = text.charCodeAt(this.at) === ZERO;
    if (isZero) this.at++;
    let isNumber = isZero || digits();
    if (text.charAt(this.at) === ".") {
      this.at++;
      isNumber &&= digits();
    }
    if (/[eE]/.test(text.charAt(this.at))) {
      this.at++;
      if (/[+-]/.test(text.charAt(this.at))) this.at++;
      isNumber &&= digits();
    }
    if (!isNumber || isDigit(text.charCodeAt(this.at))) this.fail("expected a value", start);
    if (!Number.isFinite(Number(text.slice(start, this.at)))) this.fail("expected a number that fits 64 bits", start);
  }

  private literal(word: string): void {
    if (!this.text.startsWith(word, this.at)) this.fail("expected a value");
    this.at += word.length;
  }

  /** Throws a SyntaxError at an offset: that of the next character by default. */
  fail(what: string, at = this.at): never {
    const found = at < this.text.length ? quote(this.text.slice(at, at + 16)) : "the end";
    throw new SyntaxError(`${what} at offset ${at}, got ${found}`);
  }
}
