/** What a step of a pattern does; `next` is the step after it. */
export type Step =
  | { readonly kind: "atom"; readonly test: (codePoint: number) => boolean; next: number }
  /** Tries `next` first, then `other`. Paths may also join here. */
  | { readonly kind: "choice"; readonly id: number; next: number; other: number }
  /** Requires that the steps from `body` lead to "match" here, or do not; behind: that an atom among `behind` precedes. */
  | { readonly kind: "ahead"; readonly isNegative: boolean; readonly body: number; next: number }
  | { readonly kind: "behind"; readonly isNegative: boolean; readonly tests: readonly ((codePoint: number) => boolean)[]; next: number }
  | { readonly kind: "match" };

export type Node =
  | { kind: "atom"; source: string }
  | { kind: "sequence"; items: Node[] }
  | { kind: "choice"; options: Node[] }
  | { kind: "repeat"; body: Node; min: number; max: number; isLazy: boolean }
  | { kind: "look"; body: Node; isBehind: boolean; isNegative: boolean };

const MAX_GROUPS = 32;

/**
 * Parses a regular expression with the flag `u` that the engine has accepted, without flags inside.
 * @throws SyntaxError for what a matcher without backtracking cannot do: references to groups
 */
export function parsePattern(source: string): Node {
  const parser = new PatternParser(source);
  const node = parser.choice(0);
  if (!parser.isDone) throw new SyntaxError("unmatched ')'");
  return node;
}

class PatternParser {
  private at = 0;

  constructor(private readonly source: string) {}

  get isDone(): boolean {
    return this.at >= this.source.length;
  }

  choice(depth: number): Node {
    if (depth > MAX_GROUPS) throw new SyntaxError(`groups are nested more than ${MAX_GROUPS} deep`);
    const options = [this.sequence(depth)];
    while (this.take("|")) options.push(this.sequence(depth));
    return options.length === 1 ? options[0]! : { kind: "choice", options };
  }

  private sequence(depth: number): Node {
    const items: Node[] = [];
    while (!this.isDone && !"|)".includes(this.source[this.at]!)) items.push(this.quantified(this.term(depth)));
    return items.length === 1 ? items[0]! : { kind: "sequence", items };
  }

  private term(depth: number): Node {
    if (this.take("(")) return this.group(depth);
    const rest = this.source.slice(this.at, this.at + 1000);
    if (/^\\(?:[1-9]|k<)/.test(rest)) throw new SyntaxError("references to groups are not supported");
    if (/^(?:\\[bB]|[\^$])/.test(rest)) throw new SyntaxError(`${rest.slice(0, 2)} is not supported here`);
    const [source] = ATOM.exec(rest) ?? [rest.slice(0, 1)];
    this.at += source.length;
    return { kind: "atom", source };
  }

  private group(depth: number): Node {
    const next = this.source.slice(this.at, this.at + 200);
    const [prefix = "", , direction, sign] = /^\?(:|(<?)([=!])|<[\p{L}_$][\p{L}\p{N}_$]*>)/u.exec(next) ?? [];
    if (prefix === "" && this.source[this.at] === "?") throw new SyntaxError("this kind of group is not supported");
    this.at += prefix.length;
    const body = this.choice(depth + 1);
    if (!this.take(")")) throw new SyntaxError("expected ')'");
    return sign === undefined ? body : { kind: "look", body, isBehind: direction === "<", isNegative: sign === "!" };
  }

  private quantified(body: Node): Node {
    const found = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})(\??)/.exec(this.source.slice(this.at, this.at + 100));
    if (!found) return body;
    const [text, sign, least, comma, most, lazy] = found;
    this.at += text.length;
    const isLazy = lazy === "?";
    if (sign !== undefined) return { kind: "repeat", body, min: sign === "+" ? 1 : 0, max: sign === "?" ? 1 : Infinity, isLazy };
    const max = comma === undefined ? Number(least) : most === "" ? Infinity : Number(most);
    return { kind: "repeat", body, min: Number(least), max, isLazy };
  }

  private take(character: string): boolean {
    const isNext = this.source[this.at] === character;
    if (isNext) this.at++;
    return isNext;
  }
}

/** A class, an escape or a single code point. */
const ATOMS = [
  /\[(?:[^\]\\]|\\[^])*\]/, /\\[pP]\{[^}]*\}/, /\\u\{[^}]*\}/, /\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}/,
  /\\u[\da-fA-F]{4}/, /\\x[\da-fA-F]{2}/, /\\c[A-Za-z]/, /\\[^]/, /[^]/,
];
const ATOM = new RegExp(`^(?:${ATOMS.map(({ source }) => source).join("|")})`, "u");
