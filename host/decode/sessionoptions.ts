import { checkConfig, count, type FieldsByName, flag, optional, type RequiredField } from "../fields";

/** Options of a session. */
export interface SessionOptions {
  /** Maximum number of open rows; 64 by default. */
  rows?: number;
  /** Steps report the log-probability of each token they choose, and this many of the most likely tokens; by default, neither. */
  alternatives?: number;
  /** Prompts are split into pieces of these lengths, each with its own program; 16, 64 and 256 tokens by default. */
  pieces?: readonly number[];
  /** Fill pages with NaN when they are taken or released, so that tests detect stale reads; false by default. */
  poison?: boolean;
}

const lengths = {
  expected: "a list of integers of at least 1", isType: Array.isArray,
  accepts: (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(count.accepts),
};
/** More than 100 would make the insertion in `extendBeams` slow. */
const few: RequiredField = {
  expected: "an integer from 0 to 100", isType: (value) => typeof value === "number",
  accepts: (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 100,
};
const fields: FieldsByName = { rows: optional(count), alternatives: optional(few), pieces: optional(lengths), poison: optional(flag) };

/** @throws TypeError for unknown options and wrong types; RangeError for values out of range */
export function checkSessionOptions(options: SessionOptions): void {
  checkConfig("Session", options, fields);
}
