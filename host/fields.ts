import { distance } from "fastest-levenshtein";
import { HeedError } from "./errors";
import { quote, show } from "./quote";

/** The values that a field of a configuration accepts. */
export interface Field {
  /** For the error message: "an integer of at least 1". */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** Whether a rejected value has the right type, and is therefore out of range. */
  readonly isType: (value: unknown) => boolean;
  readonly isOptional?: boolean;
}

export interface OptionalField extends Field {
  readonly isOptional: true;
}

export interface RequiredField extends Field {
  readonly isOptional?: never;
}

/** A field for each property of T; it is optional if and only if the property is. */
export type Fields<T> = { readonly [Name in keyof T]-?: undefined extends T[Name] ? OptionalField : RequiredField };

/** The fields of a configuration by name. */
export type FieldsByName = Readonly<Record<string, Field>>;

function number(expected: string, accepts: (value: number) => boolean): RequiredField {
  return { expected, isType: (value) => typeof value === "number", accepts: (value) => Number.isFinite(value) && accepts(value as number) };
}

/** A field that accepts every value of a type. */
export function typed(expected: string, isType: (value: unknown) => boolean): RequiredField {
  return { expected, isType, accepts: isType };
}

export const count = number("an integer of at least 1", (value) => Number.isSafeInteger(value) && value >= 1);
/** A number of layers. More than 1,000 can only come from a corrupt file, and building them would take minutes. */
export const depth = number("an integer from 1 to 1000", (value) => Number.isInteger(value) && value >= 1 && value <= 1000);
export const whole = number("an integer of at least 0", (value) => Number.isSafeInteger(value) && value >= 0);
/** A seed for random numbers: an integer that a number represents exactly and that fits in Philox's 64-bit key. */
export const seed = number("an integer in [0, 2^53)", (value) => Number.isSafeInteger(value) && value >= 0);
export const positive = number("a number above 0", (value) => value > 0);
export const notNegative = number("a number of at least 0", (value) => value >= 0);
export const finite = number("a number", () => true);
export const finiteOrNull = typed("a number or null", (value) => value === null || Number.isFinite(value));
/** A fraction. 1 is excluded, since dropping or smoothing everything would leave nothing. */
export const share = number("a number in [0, 1)", (value) => value >= 0 && value < 1);
export const flag = typed("true or false", (value) => typeof value === "boolean");
export const text = typed("a string", (value) => typeof value === "string");
export const object = typed("an object", isObject);
export const callback = typed("a function", (value) => typeof value === "function");
/** An integer that fits in one word of an instruction. */
export const int32 = number("a 32-bit integer", (value) => value === (value | 0));

export function oneOf(...names: readonly string[]): RequiredField {
  const expected = names.map((name) => `"${name}"`).join(" or ");
  return { expected, isType: text.isType, accepts: (value) => names.includes(value as string) };
}

/**
 * The arguments of `checkConfig` for a configuration whose `kind` determines its fields. For an unknown kind, the result contains only
 * `kind`, which `checkConfig` then rejects.
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

/** Whether a value is an array or a typed array. */
export function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}

/** The known name closest to a misspelled one, or undefined if none is close. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  if (name.length > 100) return undefined;
  const ranked = [...names].map((candidate) => ({ candidate, edits: distance(name.toLowerCase(), candidate.toLowerCase()) }));
  const best = ranked.sort((a, b) => a.edits - b.edits)[0];
  return best && best.edits <= Math.max(2, Math.floor(best.candidate.length / 2)) ? best.candidate : undefined;
}

/**
 * Checks an object read from a file, field by field.
 *
 * @param path  the path within the file, for the error message; "" is the whole file
 * @throws HeedError (`format`) at the first field that is unknown (suggesting the closest known name), missing or invalid
 *
 * @example
 * checkFields("model", { heads: 4 }, { heads: count });
 */
export function checkFields(path: string, value: unknown, fields: FieldsByName): void {
  const flaw = findFlaw(value, fields);
  if (flaw) throw new HeedError("format", path ? `${path}: ${flaw.message}` : flaw.message);
}

/**
 * Checks the configuration passed to a constructor, field by field.
 *
 * @param name  the constructor's name, for the error message
 * @throws TypeError at the first field that is unknown (suggesting the closest known name), missing or of the wrong type; RangeError
 *   if a value is out of range
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
    return { message: `unknown field ${quote(name)}; ${hint}` };
  }
  for (const [name, { accepts, isType, expected, isOptional }] of Object.entries(fields)) {
    const field = value[name];
    if (field === undefined ? !isOptional : !accepts(field)) {
      return { message: `${name}: expected ${expected}, got ${show(field)}`, isOutOfRange: isType(field) };
    }
  }
  return undefined;
}
