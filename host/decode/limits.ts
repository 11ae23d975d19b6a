import { typed, whole } from "../fields";

/** A limit for all rows, or one for each. */
export const limits = typed("an integer of at least 0, or a list of them", (value) => typeof value === "number" || Array.isArray(value));

/**
 * The limit of each row; Infinity by default.
 * @throws RangeError for values out of range, and for a list of another length
 */
export function limitsOf(caller: string, given: number | readonly number[] | undefined, rows: readonly unknown[]): readonly number[] {
  const all = typeof given === "object" ? given : rows.map(() => given ?? Infinity);
  if (all.length !== rows.length) throw new RangeError(`${caller}: maxTokens: expected ${rows.length} numbers, got ${all.length}`);
  const wrong = all.find((value) => value !== Infinity && !whole.accepts(value));
  if (wrong !== undefined) throw new RangeError(`${caller}: maxTokens: expected an integer of at least 0, got ${String(wrong)}`);
  return all;
}
