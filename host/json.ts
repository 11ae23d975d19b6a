import { HeedError } from "./errors";
import { excerpt } from "./quote";

/** @throws HeedError (`format`) if the text is not valid JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HeedError("format", `not JSON: ${excerpt((cause as Error).message)}`, { cause });
  }
}
