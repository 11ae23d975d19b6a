import { distance } from "fastest-levenshtein";
import { HeedError } from "./errors";

/** What a field of a configuration may hold. */
export interface Field {
  /** For the error: "an integer of at least 1". */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** Whether a value that is not accepted is at least of the right type; if so, it is out of range. */
  readonly isType: (value: unknown) => boolean;
  readonly isOptional?: boolean;
}

export interface OptionalField extends Field {
  readonly isOptional: true;
}

export interface RequiredField extends Field {
  readonly isOptional?: never;
}

/** A field for each property of T: optional where T's is, and only there. */
export type Fields<T> = { readonly [Name in keyof T]-?: undefined extends T[Name] ? OptionalField : RequiredField };

/** What a configuration is checked against. */
export type FieldsByName = Readonly<Record<string, Field>>;

function number(expected: string, accepts: (value: number) => boolean): RequiredField {
  return { expected, isType: (value) => typeof value === "number", accepts: (value) => Number.isFinite(value) && accepts(value as number) };
}

/** Values of a type that has no range. */
export function typed(expected: string, isType: (value: unknown) => boolean): RequiredField {
  return { expected, isType, accepts: isType };
}

export const count = number("an integer of at least 1", (value) => Number.isSafeInteger(value) && value >= 1);
/** A number of layers. More than 1,000 come from a broken file, and building them would take minutes. */
export const depth = number("an integer from 1 to 1000", (value) => Number.isInteger(value) && value >= 1 && value <= 1000);
export const whole = number("an integer of at least 0", (value) => Number.isSafeInteger(value) && value >= 0);
/** Of random numbers: what Philox's key has room for and a number holds exactly. */
export const seed = number("an integer in [0, 2^53)", (value) => Number.isSafeInteger(value) && value >= 0);
export const positive = number("a number above 0", (value) => value > 0);
export const notNegative = number("a number of at least 0", (value) => value >= 0);
export const finite = number("a number", () => true);
export const finiteOrNull = typed("a number or null", (value) => value === null || Number.isFinite(value));
/** A share: 1 is excluded, since dropping or smoothing everything leaves nothing. */
export const share = number("a number in [0, 1)", (value) => value >= 0 && value < 1);
export const flag = typed("true or false", (value) => typeof value === "boolean");
export const text = typed("a string", (value) => typeof value === "string");
export const object = typed("an object", isObject);
export const callback = typed("a function", (value) => typeof value === "function");
/** What an instruction's word holds. */
export const int32 = number("a 32-bit integer", (value) => value === (value | 0));

export function oneOf(...names: readonly string[]): RequiredField {
  return { expected: names.map((name) => `"${name}"`).join(" or "), isType: text.isType, accepts: (value) => names.includes(value as string) };
}

/**
 * A configuration whose `kind` tells which fields it has, with those; of an unknown kind, the kind alone, to be refused.
 *
 * @example
 * checkConfig("optimizer", ...byKind({ kind: "sgd" }, { sgd: { kind: oneOf("sgd") } }));
 */
export function byKind(value: unknown, kinds: Readonly<Record<string, FieldsByName>>): [value: unknown, fields: FieldsByName] {
  const kind = oneOf(...Object.keys(kinds));
  if (!isObject(value)) return [value, { kind }];
  return kind.accepts(value.kind) ? [value, kinds[value.kind as string]!] : [{ kind: value.kind }, { kind }];
}

export const optional = (field: Field): OptionalField => ({ ...field, isOptional: true });

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
 * @param path  the path within the file, for the error; "" is the whole file
 * @throws HeedError (`format`) at the first field that is unknown (with the nearest known name), missing, or not acceptable
 *
 * @example
 * checkFields("model", { heads: 4 }, { heads: count });
 */
export function checkFields(path: string, value: unknown, fields: FieldsByName): void {
  const flaw = findFlaw(value, fields);
  if (flaw) throw new HeedError("format", path ? `${path}: ${flaw.message}` : flaw.message);
}

/**
 * Checks the configuration that a constructor was given, field by field.
 *
 * @param name  the constructor's, for the error
 * @throws TypeError at the first field that is unknown (with the nearest known name), missing, or of the wrong type; RangeError for
 *   a value out of range
 *
 * @example
 * checkConfig("Attention", { heads: 4 }, { heads: count });
 */
export function checkConfig(name: string, value: unknown, fields: FieldsByName): void {
  const flaw = findFlaw(value, fields);
  if (!flaw) return;
  const message = `${name}: ${flaw.message}`;
  throw flaw.isOutOfRange ? new RangeError(message) : new TypeError(message);
}

function findFlaw(value: unknown, fields: FieldsByName): { message: string; isOutOfRange?: boolean } | undefined {
  if (!isObject(value)) {
    const required = Object.keys(fields).filter((name) => !fields[name]!.isOptional);
    return { message: `expected an object${required.length > 0 ? ` with ${required.join(", ")}` : ""}, got ${show(value)}` };
  }
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(fields, name)) continue;
    const meant = nearest(name, Object.keys(fields));
    const hint = meant ? `did you mean "${meant}"?` : `the fields are ${Object.keys(fields).join(", ")}`;
    return { message: `unknown field "${name}"; ${hint}` };
  }
  for (const [name, { accepts, isType, expected, isOptional }] of Object.entries(fields)) {
    const field = value[name];
    if (field === undefined ? !isOptional : !accepts(field)) {
      return { message: `${name}: expected ${expected}, got ${show(field)}`, isOutOfRange: isType(field) };
    }
  }
  return undefined;
}

/** A value as an error quotes it. JSON turns NaN and infinities to null, and has no functions, symbols and bigints. */
function show(value: unknown): string {
  if (value === undefined) return "nothing";
  return typeof value === "object" || typeof value === "string" ? JSON.stringify(value) : String(value);
}
