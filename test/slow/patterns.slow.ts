import { expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { loadTokenizer } from "../../host/data/huggingface";
import { LinearPattern } from "../../host/data/linearpattern";
import { HeedError } from "../../host/errors";
import { randomPattern, randomText } from "../data/patterns";
import { attack, type Dice } from "./mutate";
import { rounds } from "./settings";

const base = trainBPE(["aab abb ab"], { vocabularySize: 262, specials: [], prefixSpace: false }).toJSON();
const long = ["a".repeat(5000), "ab".repeat(2500), " ".repeat(5000), `${"a".repeat(4999)}c`];

/** A pattern that makes a backtracking matcher slow more often than not: ambiguous loops inside loops, then something that is not there. */
function hostilePattern(dice: Dice): string {
  let pattern = dice.pick(["a", "[ab]", "\\p{L}", "\\s", "a|a", "a|ab|b", "[^c]"]);
  for (let depth = 1 + dice.below(4); depth > 0; depth--) {
    pattern = `(?:${pattern})${dice.pick(["*", "+", "+?", "{1,9}", "{2,}"])}`;
    if (dice.below(2) === 0) pattern = `${pattern}${dice.pick(["a*", "|a", "b?", "\\s*", pattern])}`;
  }
  return pattern.length < 300 ? `${pattern}${dice.pick(["c", "$", "(?!a)", "z"])}` : "a*a*c";
}

it("a hostile pattern takes bounded time in a tokenizer, or is refused", async () => {
  let used = 0;
  await attack("hostile patterns", rounds(600), 10, (dice) => {
    const pre_tokenizer = { type: "Split", pattern: { Regex: hostilePattern(dice) }, behavior: "Isolated", invert: dice.below(2) === 0 };
    const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
    try {
      const tokenizer = loadTokenizer({ ...base, pre_tokenizer: { type: "Sequence", pretokenizers: [pre_tokenizer, byteLevel] } });
      for (const text of long) tokenizer.encode(text);
      used++;
    } catch (error) {
      if (!(error instanceof HeedError) || error.code !== "format") throw error;
    }
  });
  expect(used).toBeGreaterThan(rounds(600) / 10);
});

it("a random pattern matches as the engine's own matcher does", async () => {
  await attack("random patterns", rounds(40_000), 10, (dice) => {
    const source = randomPattern(dice.next, 1 + dice.below(3));
    let pattern: LinearPattern;
    try {
      pattern = LinearPattern.of(new RegExp(source, "u"));
    } catch (error) {
      if (error instanceof SyntaxError) return; // a repeated part that can be empty
      throw error;
    }
    // V8 tries lookarounds from within a surrogate pair too, which the specification does not allow.
    const alphabets = /\(\?[=!<]/.test(source) ? ["ab", "aab \n1"] : ["ab", "aab \n1", "a🦉b\ud83d "];
    const text = randomText(dice.next, 12, dice.pick(alphabets));
    const matches = (regex: RegExp): unknown[] => Array.from(text.matchAll(regex), (match) => [match.index, match[0]]);
    expect([source, text, matches(pattern as unknown as RegExp)]).toEqual([source, text, matches(new RegExp(source, "gu"))]);
  });
});
