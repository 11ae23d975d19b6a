import { HeedError } from "../errors";
import { isObject } from "../fields";
import { excerpt, quote, show } from "../quote";

// The components of a tokenizer.json that `@huggingface/tokenizers` implements, and what their fields must be. The package checks
// nothing: a wrong kind ends in its own TypeError, a length of 0 in a loop without end.

/** The longest text that a component may insert, find or remove, in UTF-16 code units. */
const LONGEST_TEXT = 256;
/** The longest regular expression. That of GPT-4o has 400 characters. */
const LONGEST_PATTERN = 4096;
const MOST_COMPONENTS = 64;
const DEEPEST = 8;
/** How many times as long a text may become. Llama's grows threefold, byte by byte. */
const MOST_GROWTH = 64;

/** What a field must be, and a test of it. */
interface Check {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  readonly isRequired?: boolean;
}

type Fields = Readonly<Record<string, Check>>;

const flag: Check = { expected: "true or false", accepts: (value) => typeof value === "boolean" };
const isShort = (value: unknown): boolean => typeof value === "string" && value.length <= LONGEST_TEXT;
const text: Check = { expected: `a string of at most ${LONGEST_TEXT} characters`, accepts: isShort };
const token: Check = {
  expected: "a token and its id", accepts: (value) => Array.isArray(value) && isShort(value[0]) && value.length === 2,
};
const pattern: Check = {
  expected: `{"String": …} of 1 to ${LONGEST_TEXT} characters or {"Regex": …} of at most ${LONGEST_PATTERN}`,
  accepts: (value) => {
    if (!isObject(value)) return false;
    const { Regex: regex, String: literal } = value;
    if (regex !== undefined) return typeof regex === "string" && regex.length <= LONGEST_PATTERN;
    return isShort(literal) && literal !== "";
  },
  isRequired: true,
};
const behavior: Check = {
  expected: "one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
  accepts: (value) => typeof value === "string" && /^(removed|isolated|merged_?with_?previous|merged_?with_?next|contiguous)$/i.test(value),
};
const integer = (least: number): Check => ({
  expected: `an integer of at least ${least}`, accepts: (value) => Number.isSafeInteger(value) && (value as number) >= least,
});
const items: Check = {
  expected: "a list of at most 64 special tokens and sequences, with the sequence A",
  accepts: (value) => Array.isArray(value) && value.length <= 64 && value.every(isTemplateItem),
  isRequired: true,
};
const required = (check: Check): Check => ({ ...check, isRequired: true });

function isTemplateItem(item: unknown): boolean {
  if (!isObject(item)) return false;
  const { SpecialToken: special, Sequence: sequence } = item;
  if (special !== undefined) return isObject(special) && isShort(special.id);
  return isObject(sequence) && sequence.id === "A";
}

const metaspace: Fields = { replacement: text, str_rep: text, add_prefix_space: flag, prepend_scheme: {
  expected: "one of first, never, always", accepts: (value) => ["first", "never", "always"].includes(value as string),
} };
const byteLevel: Fields = { add_prefix_space: flag, trim_offsets: flag, use_regex: flag };
const replace: Fields = { pattern, content: text };
const classifier: Fields = { sep: required(token), cls: required(token) };

/** The components by place and type. `list` names the field with the components of a sequence. */
const places: Readonly<Record<string, { list: string; types: Readonly<Record<string, Fields>> }>> = {
  normalizer: {
    list: "normalizers",
    types: {
      BertNormalizer: { clean_text: flag, handle_chinese_chars: flag, strip_accents: flag, lowercase: flag },
      Precompiled: {}, NFC: {}, NFD: {}, NFKC: {}, NFKD: {}, StripAccents: {}, Lowercase: {},
      Replace: replace, Strip: { strip_left: flag, strip_right: flag }, Prepend: { prepend: required(text) },
    },
  },
  pre_tokenizer: {
    list: "pretokenizers",
    types: {
      BertPreTokenizer: {}, Whitespace: {}, WhitespaceSplit: {}, Metaspace: metaspace, ByteLevel: byteLevel, Replace: replace,
      Split: { pattern, behavior, invert: flag }, Punctuation: { behavior }, Digits: { individual_digits: flag },
      FixedLength: { length: required(integer(1)) },
    },
  },
  post_processor: {
    list: "processors",
    types: { TemplateProcessing: { single: items }, ByteLevel: byteLevel, BertProcessing: classifier, RobertaProcessing: classifier },
  },
  decoder: {
    list: "decoders",
    types: {
      ByteLevel: byteLevel, WordPiece: { prefix: text, cleanup: flag }, Metaspace: metaspace, BPEDecoder: { suffix: text },
      Replace: replace,
      CTC: { pad_token: text, word_delimiter_token: text, cleanup: flag }, Fuse: {}, ByteFallback: {},
      Strip: { content: text, start: integer(0), stop: integer(0) },
    },
  },
};

/** The names of the places of components in a tokenizer.json. */
export const componentPlaces = Object.keys(places);

/**
 * Checks a normalizer, pre-tokenizer, post-processor or decoder with everything inside.
 * @throws HeedError "format" naming the component, the field, what was expected and what was found
 */
export function checkComponent(place: string, component: unknown): void {
  const { list, types } = places[place]!;
  let components = 0;
  let growth = 1;
  const check = (where: string, value: unknown, depth: number): void => {
    if (++components > MOST_COMPONENTS) refuse(place, `expected at most ${MOST_COMPONENTS} components, got more`);
    if (!isObject(value) || typeof value.type !== "string") return refuse(where, `expected an object with "type", got ${show(value)}`);
    if (value.type === "Sequence") {
      const parts = value[list];
      if (depth >= DEEPEST) refuse(where, `expected sequences nested at most ${DEEPEST} deep, got more`);
      if (!Array.isArray(parts)) return refuse(`${where}: ${list}`, `expected a list, got ${show(parts)}`);
      return parts.forEach((part, i) => check(`${where}.${i}`, part, depth + 1));
    }
    if (!Object.hasOwn(types, value.type)) {
      return refuse(where, `unknown type ${quote(value.type)}; the types are ${Object.keys(types).join(", ")}, Sequence`);
    }
    checkValues(`${where}: ${value.type}`, value, types[value.type]!);
    growth *= growthOf(value);
    if (growth > MOST_GROWTH) refuse(where, `expected a text to become at most ${MOST_GROWTH} times as long, got ${growth} times`);
  };
  if (component !== null && component !== undefined) check(place, component, 0);
}

/** How many times as long a component can make a text, apart from what it adds once. */
function growthOf({ type, content = "", replacement = "", str_rep: stand = replacement }: Record<string, unknown>): number {
  if (type === "ByteLevel") return 3; // of one code unit's bytes, each becomes one
  return Math.max(1, String(type === "Replace" ? content : type === "Metaspace" ? stand : "").length);
}

/** Checks fields by name. Absent fields and null count as not given; other fields are ignored. */
export function checkValues(where: string, value: Record<string, unknown>, fields: Fields): void {
  for (const [name, { accepts, expected, isRequired }] of Object.entries(fields)) {
    const field = value[name] ?? undefined;
    if (field === undefined ? isRequired : !accepts(field)) refuse(`${where}: ${name}`, `expected ${expected}, got ${show(field)}`);
  }
}

/** The checks of a model's fields, by its type. */
export const modelFields: Readonly<Record<string, Fields>> = {
  BPE: {
    unk_token: text, fuse_unk: flag, byte_fallback: flag, ignore_merges: flag,
    continuing_subword_prefix: text, continuing_subword_suffix: text, end_of_word_suffix: text,
  },
  // Longer words are looked up piece by piece, in time cubic in their length. BERT's limit is 100.
  WordPiece: { unk_token: required(text), continuing_subword_prefix: required(text), max_input_chars_per_word: {
    expected: "an integer from 0 to 256", accepts: (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 256,
  } },
  Unigram: { byte_fallback: flag },
};

export function refuse(where: string, message: string): never {
  throw new HeedError("format", `${excerpt(where)}: ${message}`);
}
