// Text from outside (file contents, names of tensors, a caller's strings) reaches messages and terminals only through these functions.

/** The most characters of a foreign text that a message quotes. */
const LONGEST = 200;
/** The most entries of a foreign list that a message names. */
const MOST_LISTED = 50;
/** The most sizes of a shape that a message names. */
const MOST_SIZES = 16;
/**
 * Control characters, format characters (bidirectional overrides, zero-width characters), line and paragraph separators, and lone
 * surrogates: characters that a terminal obeys or hides instead of showing.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escape(character: string): string {
  const code = character.codePointAt(0)!.toString(16);
  return SHORT_ESCAPES[character] ?? (code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`);
}

/**
 * Text that is safe to print: characters that a terminal would obey or hide are replaced by visible escapes.
 *
 * @example
 * printable("\u001b[31mred\u202e"); // "\\u001b[31mred\\u202e"
 */
export const printable = (text: string): string => text.replace(UNSAFE, escape);

/** The same for JSON, whose value does not change: each unsafe UTF-16 code unit becomes `\uXXXX`. It must not be indented. */
export const printableJson = (json: string): string =>
  json.replace(UNSAFE, (found) => found.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`));

/**
 * The beginning of a text, safe to print: at most 200 characters by default, without quotation marks.
 *
 * @example
 * excerpt("layers.0.weight"); // "layers.0.weight"
 */
export function excerpt(text: string, longest = LONGEST): string {
  const safe = printable(text.slice(0, longest));
  if (text.length <= longest && safe.length <= longest) return safe;
  return `${safe.slice(0, longest - 1)}…`;
}

/**
 * A foreign text in quotation marks, safe to print and at most 200 characters long.
 *
 * @example
 * quote('a "name"'); // "\"a \\\"name\\\"\""
 */
export const quote = (text: string, longest = LONGEST): string =>
  `"${excerpt(text.slice(0, longest + 1).replace(/["\\]/g, "\\$&"), longest - 2)}"`;

/** A shape as `[2,3]`; sizes after the first 16 are counted. */
export function quoteShape(shape: readonly number[]): string {
  const more = shape.length > MOST_SIZES ? `,… ${shape.length - MOST_SIZES} more` : "";
  return `[${shape.slice(0, MOST_SIZES).join(",")}${more}]`;
}

/** The first 50 entries of a list, joined; the others are counted. */
export function quoteList(entries: readonly string[], separator = ", "): string {
  const listed = entries.slice(0, MOST_LISTED);
  if (entries.length > MOST_LISTED) listed.push(`… ${entries.length - MOST_LISTED} more`);
  return listed.join(separator);
}

/**
 * Any value as quoted in a message. JSON turns NaN and infinities into null and lacks functions, symbols and bigints; nested and long
 * values are abbreviated.
 *
 * @example
 * show([1, { deep: { deeper: [{}] } }]); // "[1,{\"deep\":{\"deeper\":[…]}}]"
 */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object" || value === null) return excerpt(String(value));
  const text = abbreviate(value, 3);
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

function abbreviate(value: unknown, depth: number): string {
  if (typeof value !== "object" || value === null) return typeof value === "string" ? quote(value) : excerpt(String(value));
  if (Array.isArray(value)) {
    if (depth === 0 && value.length > 0) return "[…]";
    return `[${cut(value.slice(0, MOST_SIZES).map((item) => abbreviate(item, depth - 1)), value.length)}]`;
  }
  const names = Object.keys(value);
  if (depth === 0 && names.length > 0) return "{…}";
  const members = names.slice(0, MOST_SIZES).map((name) => {
    const member = (value as Record<string, unknown>)[name];
    return `${quote(name)}:${abbreviate(member, depth - 1)}`;
  });
  return `{${cut(members, names.length)}}`;
}

const cut = (shown: readonly string[], of: number): string => [...shown, ...(of > shown.length ? ["…"] : [])].join(",");
