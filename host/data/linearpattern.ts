import { type Node, parsePattern, type Step } from "./regexsyntax";

type Test = (codePoint: number) => boolean;

/** The most steps of one pattern: a character costs at most one visit of each. */
const MAX_STEPS = 512;
/** The most steps within a lookahead, which runs anew at each position. */
const MAX_AHEAD = 24;

/**
 * A regular expression from an untrusted file, matched in time proportional to the length of the text, whatever the expression:
 * `(a|a)*c` and `(a+)+$` take the engine's own matcher exponential time. It remembers which steps have failed at which position and
 * never tries them again, across all matches of a call; it has the engine's semantics otherwise (leftmost, first alternative, greedy
 * or lazy, code points). It stands in for a global RegExp in `match`, `matchAll`, `replaceAll` and `split`.
 * Source: the bit-state matcher of RE2 (Cox 2010, "Regular Expression Matching in the Wild").
 *
 * @example
 * "a1b22".match(LinearPattern.of(/\p{N}+/u) as unknown as RegExp); // ["1", "22"]
 */
export class LinearPattern {
  /** `replaceAll` and `matchAll` require it. */
  readonly flags = "gu";
  /** The number of steps: the most work per character of text. */
  readonly size: number;
  /** Whether the pattern can match the empty string. */
  readonly isNullable: boolean;

  private constructor(
    readonly source: string,
    private readonly steps: readonly Step[],
    private readonly start: number,
    isNullable: boolean,
  ) {
    this.size = steps.length;
    this.isNullable = isNullable;
  }

  /** @throws SyntaxError for a pattern with more than 512 steps, references to groups, a repeated part that can match the empty
   *   string, or an unbounded loop within a lookaround */
  static of({ source }: RegExp): LinearPattern {
    const node = parsePattern(source);
    const compiler = new Compiler();
    const start = compiler.compile(node, compiler.add({ kind: "match" }));
    return new LinearPattern(source, compiler.steps, start, isNullable(node));
  }

  [Symbol.match](text: string): string[] | null {
    const found = Array.from(this.matches(text), ([from, to]) => text.slice(from, to));
    return found.length === 0 ? null : found;
  }

  *[Symbol.matchAll](text: string): Generator<{ 0: string; index: number }> {
    for (const [from, to] of this.matches(text)) yield { 0: text.slice(from, to), index: from };
  }

  /** `content` is inserted as it is: unlike in JavaScript, `$` has no meaning in a tokenizer's file. */
  [Symbol.replace](text: string, content: string): string {
    const pieces: string[] = [];
    let end = 0;
    for (const [from, to] of this.matches(text)) {
      pieces.push(text.slice(end, from), content);
      end = to;
    }
    return pieces.join("") + text.slice(end);
  }

  [Symbol.split](text: string): string[] {
    const pieces: string[] = [];
    let end = 0;
    for (const [from, to] of this.matches(text)) {
      if (to === from) continue; // an empty match separates nothing
      pieces.push(text.slice(end, from));
      end = to;
    }
    return [...pieces, text.slice(end)];
  }

  /** The matches from left to right, as offsets. */
  private *matches(text: string): Generator<[from: number, to: number]> {
    const run = new Run(this.steps, text);
    for (let from = 0; from <= text.length; ) {
      const to = run.match(this.start, from);
      if (to >= 0) yield [from, to];
      from = to > from ? to : from + widthAt(text, from);
    }
  }
}

const widthAt = (text: string, at: number): number => (text.codePointAt(at)! > 0xffff ? 2 : 1);

/** The matching of a text. */
class Run {
  /** The failed choices at each position, one bit per choice. */
  private readonly failed: Uint32Array;
  private readonly words: number;

  constructor(private readonly steps: readonly Step[], private readonly text: string) {
    this.words = Math.ceil(steps.filter(({ kind }) => kind === "choice").length / 32);
    this.failed = new Uint32Array((text.length + 1) * this.words);
  }

  /** The end of the match that starts at `from`, or −1. */
  match(start: number, from: number): number {
    const { words, failed } = this;
    const to = this.follow(start, from, (id, at) => {
      const word = at * words + (id >>> 5);
      const bit = 1 << (id & 31);
      if (failed[word]! & bit) return false;
      failed[word]! |= bit;
      return true;
    });
    // What was visited on the way to a match has not failed. Only its end is visited again, by the next match.
    if (to >= 0) failed.fill(0, to * words, (to + 1) * words);
    return to;
  }

  private follow(start: number, from: number, enter: (id: number, at: number) => boolean): number {
    const { steps, text } = this;
    const pending: number[] = []; // alternatives to try: step and position
    let step = steps[start]!;
    let at = from;
    for (;;) {
      let isDead = false;
      if (step.kind === "match") return at;
      if (step.kind === "atom") {
        const code = text.codePointAt(at);
        isDead = code === undefined || !step.test(code);
        if (!isDead) at += code! > 0xffff ? 2 : 1;
      } else if (step.kind === "choice") {
        isDead = !enter(step.id, at);
        if (!isDead && step.other !== step.next) pending.push(step.other, at);
      } else isDead = this.holds(step, at) === step.isNegative;
      if (!isDead) {
        step = steps[step.next]!;
        continue;
      }
      if (pending.length === 0) return -1;
      at = pending.pop()!;
      step = steps[pending.pop()!]!;
    }
  }

  private holds(step: Extract<Step, { kind: "ahead" | "behind" }>, at: number): boolean {
    if (step.kind === "behind") {
      const before = this.text.slice(Math.max(0, at - 2), at);
      const code = before.codePointAt(before.codePointAt(0)! > 0xffff ? 0 : before.length - 1);
      return code !== undefined && step.tests.some((test) => test(code));
    }
    const visited = new Set<number>();
    const enter = (id: number, position: number): boolean => {
      const key = position * MAX_STEPS + id;
      return !visited.has(key) && visited.add(key).has(key);
    };
    return this.follow(step.body, at, enter) >= 0;
  }
}

/** Turns a pattern into steps, from its end to its start: each part is told the step that follows it. */
class Compiler {
  readonly steps: Step[] = [];
  private choices = 0;
  private readonly tests = new Map<string, Test>();

  add(step: Step): number {
    if (this.steps.length >= MAX_STEPS) throw new SyntaxError(`the pattern has more than ${MAX_STEPS} steps`);
    return this.steps.push(step) - 1;
  }

  compile(node: Node, next: number): number {
    switch (node.kind) {
      case "atom":
        return this.add({ kind: "atom", test: this.test(node.source), next });
      case "sequence":
        return node.items.reduceRight((after, item) => this.compile(item, after), next);
      case "choice": {
        const join = this.choice(next, next); // so that what follows is visited once per position
        return node.options.map((option) => this.compile(option, join)).reduceRight((other, option) => this.choice(option, other));
      }
      case "repeat":
        return this.repeat(node, next);
      case "look":
        return node.isBehind ? this.behind(node, next) : this.ahead(node, next);
    }
  }

  private choice(next: number, other: number): number {
    return this.add({ kind: "choice", id: this.choices++, next, other });
  }

  private repeat({ body, min, max, isLazy }: Extract<Node, { kind: "repeat" }>, next: number): number {
    if (min > max || min > MAX_STEPS || (max !== Infinity && max > MAX_STEPS)) throw new SyntaxError(`a repetition exceeds ${MAX_STEPS}`);
    if (max > min && isNullable(body)) throw new SyntaxError("a repeated part can match the empty string");
    let start = next;
    if (max === Infinity) {
      start = this.choice(next, next);
      const loop = this.steps[start] as Extract<Step, { kind: "choice" }>;
      const first = this.compile(body, start);
      loop.next = isLazy ? next : first;
      loop.other = isLazy ? first : next;
    } else {
      const join = max > min + 1 ? this.choice(next, next) : next;
      for (let i = min; i < max; i++) {
        const first = this.compile(body, i === min ? join : start);
        start = isLazy ? this.choice(join, first) : this.choice(first, join);
      }
    }
    for (let i = 0; i < min; i++) start = this.compile(body, start);
    return start;
  }

  private ahead({ body, isNegative }: Extract<Node, { kind: "look" }>, next: number): number {
    if (hasLoop(body)) throw new SyntaxError("an unbounded loop in a lookahead is not supported");
    const before = this.steps.length;
    const start = this.compile(body, this.add({ kind: "match" }));
    if (this.steps.length - before > MAX_AHEAD) throw new SyntaxError(`a lookahead has more than ${MAX_AHEAD} steps`);
    return this.add({ kind: "ahead", isNegative, body: start, next });
  }

  private behind({ body, isNegative }: Extract<Node, { kind: "look" }>, next: number): number {
    const options = body.kind === "choice" ? body.options : [body];
    const tests = options.map((option) => {
      if (option.kind !== "atom") throw new SyntaxError("a lookbehind of more than one character is not supported");
      return this.test(option.source);
    });
    return this.add({ kind: "behind", isNegative, tests, next });
  }

  /** Whether a code point matches an atom. The engine decides once for each code point below U+10000 that occurs. */
  private test(source: string): Test {
    let test = this.tests.get(source);
    if (test === undefined) this.tests.set(source, (test = cachedTest(new RegExp(`^${source}$`, "u"))));
    return test;
  }
}

const [UNKNOWN, NO, YES] = [0, 1, 2];

function cachedTest(atom: RegExp): Test {
  const pages: (Uint8Array | undefined)[] = [];
  return (codePoint) => {
    if (codePoint > 0xffff) return atom.test(String.fromCodePoint(codePoint));
    const page = (pages[codePoint >> 8] ??= new Uint8Array(256));
    const known = page[codePoint & 255]!;
    if (known !== UNKNOWN) return known === YES;
    const isMatch = atom.test(String.fromCodePoint(codePoint));
    page[codePoint & 255] = isMatch ? YES : NO;
    return isMatch;
  };
}

function isNullable(node: Node): boolean {
  switch (node.kind) {
    case "atom":
      return false;
    case "sequence":
      return node.items.every(isNullable);
    case "choice":
      return node.options.some(isNullable);
    case "repeat":
      return node.min === 0 || isNullable(node.body);
    case "look":
      return true;
  }
}

function hasLoop(node: Node): boolean {
  switch (node.kind) {
    case "atom":
      return false;
    case "sequence":
      return node.items.some(hasLoop);
    case "choice":
      return node.options.some(hasLoop);
    case "repeat":
      return node.max === Infinity || hasLoop(node.body);
    case "look":
      return hasLoop(node.body);
  }
}
