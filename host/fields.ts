import { distance } from "fastest-levenshtein";
import { HeedError } from "./errors";

/** What a field of a JSON object may hold. */
export interface Field {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  readonly isOptional?: boolean;
}

/** A field for each property of T. */
export type Fields<T> = { readonly [Name in keyof Required<T>]: Field };

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

export const count: Field = { expected: "an integer of at least 1", accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 1 };
/** Of layers: more are a broken file, which should not be built first. */
export const depth: Field = { expected: "an integer from 1 to 1000", accepts: (value) => count.accepts(value) && (value as number) <= 1000 };
export const whole: Field = { expected: "an integer of at least 0", accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0 };
export const positive: Field = { expected: "a number above 0", accepts: (value) => isNumber(value) && value > 0 };
export const notNegative: Field = { expected: "a number of at least 0", accepts: (value) => isNumber(value) && value >= 0 };
/** A share: 1 is excluded, since dropping or smoothing everything leaves nothing. */
export const share: Field = { expected: "a number in [0, 1)", accepts: (value) => isNumber(value) && value >= 0 && value < 1 };
export const flag: Field = { expected: "true or false", accepts: (value) => typeof value === "boolean" };
export const object: Field = { expected: "an object", accepts: isObject };
export const oneOf = (...names: readonly string[]): Field => ({ expected: names.map((name) => `"${name}"`).join(" or "), accepts: (value) => names.includes(value as string) });
export const optional = (field: Field): Field => ({ ...field, isOptional: true });

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The name that a misspelt one may have meant, or undefined when none is near. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  const ranked = [...names].map((candidate) => ({ candidate, edits: distance(name.toLowerCase(), candidate.toLowerCase()) }));
  const best = ranked.sort((a, b) => a.edits - b.edits)[0];
  return best && best.edits <= Math.max(2, Math.floor(best.candidate.length / 2)) ? best.candidate : undefined;
}

/**
 * Checks an object that came from a file, field by field.
 *
 * @param where  the file and the path in it, for the error
 * @throws HeedError (`format`) at the first field that is unknown (with the nearest that is not), missing, or of the wrong kind
 *
 * @example
 * checkFields("config.json: model", { heads: 4 }, { heads: count });
 */
export function checkFields(where: string, value: unknown, fields: Readonly<Record<string, Field>>): void {
  if (!isObject(value)) throw new HeedError("format", `${where}: expected an object, got ${JSON.stringify(value)}`);
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(fields, name)) continue;
    const meant = nearest(name, Object.keys(fields));
    const hint = meant ? `did you mean "${meant}"?` : `there are ${Object.keys(fields).join(", ")}`;
    throw new HeedError("format", `${where}: unknown field "${name}"; ${hint}`);
  }
  for (const [name, { accepts, expected, isOptional }] of Object.entries(fields)) {
    const field = value[name];
    if (field === undefined ? !isOptional : !accepts(field)) {
      throw new HeedError("format", `${where}: ${name}: expected ${expected}, got ${field === undefined ? "nothing" : JSON.stringify(field)}`);
    }
  }
}

/** @throws HeedError (`format`) when a text is not JSON */
export function parseJsonText(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HeedError("format", `${name}: not JSON: ${(cause as Error).message}`, { cause });
  }
}
