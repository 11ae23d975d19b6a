/** Patterns of published tokenizers, as JavaScript writes them. */
export const published = {
  "GPT-2": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "Llama 3": "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  o200k:
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?:'[sS]|'[tT]|'[rR][eE])?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+" +
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?:'[sS]|'[tT]|'[rR][eE])?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  CLIP: "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
  DeepSeek: "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "T5's spaces": " {2,}",
  "a word boundary": "(?:(?<![\\p{L}])(?=[\\p{L}])|(?<=[\\p{L}])(?![\\p{L}]))",
  "the end": "\\s+(?=\\n?(?![\\s\\S]))",
};

type Next = () => number;
const pick = <T>(next: Next, items: ArrayLike<T>): T => items[Math.floor(items.length * next())]!;

export function randomText(next: Next, longest: number, alphabet = "aAbB 1'\r\n\t.é漢🦉s "): string {
  const characters = [...alphabet];
  return Array.from({ length: Math.floor(longest * next()) }, () => pick(next, characters)).join("");
}

/** A random pattern of atoms, groups, alternatives, quantifiers and lookarounds. */
export function randomPattern(next: Next, depth: number): string {
  const atom = (): string => pick(next, ["a", "b", " ", "\\s", "\\p{L}", "[ab]", "[^a]", "1", "\\n"]);
  const quantifier = (): string => pick(next, ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}"]);
  const term = (): string => {
    const die = next();
    if (depth === 0 || die < 0.5) return atom() + quantifier();
    if (die < 0.85) return pick(next, ["(?:", "("]) + randomPattern(next, depth - 1) + ")" + quantifier();
    if (die < 0.93) return pick(next, ["(?=", "(?!"]) + atom() + pick(next, ["", atom(), `?${atom()}`, `|${atom()}`]) + ")";
    return pick(next, ["(?<=", "(?<!"]) + pick(next, [atom(), `${atom()}|${atom()}`]) + ")";
  };
  const sequence = (): string => Array.from({ length: 1 + Math.floor(3 * next()) }, term).join("");
  return Array.from({ length: 1 + Math.floor(2.5 * next()) }, sequence).join("|");
}
