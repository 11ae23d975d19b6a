import { HeedError } from "./errors";
import { excerpt } from "./quote";

/** Deeper values would overflow the stack of whatever walks them, JSON.stringify included. */
const DEEPEST = 1000;

/** @throws HeedError (`format`) if the text is not valid JSON, or is nested more than 1,000 levels deep */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new HeedError("format", `not JSON: ${excerpt((cause as Error).message)}`, { cause });
  }
  if (isDeeper(text, DEEPEST)) throw new HeedError("format", `expected JSON of at most ${DEEPEST} levels, got more`);
  return value;
}

/** Whether valid JSON has more levels of arrays and objects than `limit`. */
function isDeeper(json: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "[" || character === "{") {
      if (++depth > limit) return true;
    } else if (character === "]" || character === "}") depth--;
    else if (character === '"') while (json[++at] !== '"') if (json[at] === "\\") at++;
  }
  return false;
}
