/** A JSON value as returned by `parseStrictJson`: objects are maps, so that no key is special, and integers are exact. */
export type Json = null | boolean | number | bigint | string | Json[] | Map<string, Json>;

const MAX_DEPTH = 64;
const MAX_NUMBER_LENGTH = 64;
const INTEGER = /^(?:0|-?[1-9]\d{0,19})$/;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * Parses JSON (RFC 8259) from an untrusted source.
 *
 * It keeps what `JSON.parse` loses and a checker needs: a duplicate key in an object is an error, objects are maps
 * (`__proto__` is a key like any other), and integer literals of up to 20 digits are bigints.
 * Nesting deeper than 64 levels is an error.
 *
 * @throws SyntaxError with the offset of the error (in UTF-16 code units)
 */
export function parseStrictJson(text: string): Json {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): Json {
    if (depth > MAX_DEPTH) this.fail(`nesting is deeper than ${MAX_DEPTH}`);
    switch (this.peek()) {
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"':
        return this.string();
      case "t":
        return this.literal("true", true);
      case "f":
        return this.literal("false", false);
      case "n":
        return this.literal("null", null);
      default:
        return this.number();
    }
  }

  end(): void {
    if (this.peek() !== "") this.fail("expected the end");
  }

  private object(depth: number): Map<string, Json> {
    const members = new Map<string, Json>();
    this.list("}", () => {
      if (this.peek() !== '"') this.fail("expected a key");
      const at = this.at;
      const key = this.string();
      if (members.has(key)) this.fail(`duplicate key ${quote(key)}`, at);
      if (this.peek() !== ":") this.fail("expected ':'");
      this.at++;
      members.set(key, this.value(depth + 1));
    });
    return members;
  }

  private array(depth: number): Json[] {
    const items: Json[] = [];
    this.list("]", () => items.push(this.value(depth + 1)));
    return items;
  }

  /** Parses items separated by commas, from the opening bracket through `close`. */
  private list(close: string, item: () => void): void {
    this.at++;
    if (this.peek() !== close) {
      item();
      while (this.peek() === ",") {
        this.at++;
        item();
      }
      if (this.peek() !== close) this.fail(`expected ',' or '${close}'`);
    }
    this.at++;
  }

  private string(): string {
    const start = this.at;
    let end = start + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    this.at = end + 1;
    try {
      return JSON.parse(this.text.slice(start, this.at)) as string;
    } catch {
      return this.fail("invalid string", start);
    }
  }

  private number(): number | bigint {
    const start = this.at;
    while (/[-+.\w]/.test(this.text[this.at] ?? "") && this.at - start <= MAX_NUMBER_LENGTH) this.at++;
    const literal = this.text.slice(start, this.at);
    if (!NUMBER.test(literal) || literal.length > MAX_NUMBER_LENGTH) this.fail("expected a value", start);
    return INTEGER.test(literal) ? BigInt(literal) : Number(literal);
  }

  private literal<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail("expected a value");
    this.at += word.length;
    return value;
  }

  /** Skips whitespace and returns the next character; "" at the end. */
  private peek(): string {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at++;
    return this.text[this.at] ?? "";
  }

  private fail(what: string, at = this.at): never {
    const found = at < this.text.length ? quote(this.text.slice(at, at + 16)) : "the end";
    throw new SyntaxError(`${what} at offset ${at}, got ${found}`);
  }
}

/** Quotes an untrusted name for an error message: on one line, and truncated to 80 characters. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 77)}...` : name);
}
