import { HeedError } from "../errors";
import { isObject } from "../fields";
import { quote, show } from "../quote";
import { checkComponent, checkValues, componentPlaces, modelFields, refuse } from "./components";
import type { TokenizerJSON } from "./tokenizer";

/** A larger id means that the file is broken: the largest vocabularies have about a million tokens. */
const MOST_TOKENS = 2 ** 24;
/** The longest token, in UTF-16 code units. The longest of published vocabularies have some hundreds. */
const LONGEST_TOKEN = 1024;
/** Decoding compares each token with the added ones. Published tokenizers add at most some 6,000. */
const MOST_ADDED = 2 ** 16;
/** Of a Unigram token's beginnings, the most that may be tokens too: segmenting costs the square of it per character. */
const MOST_BEGINNINGS = 64;

/**
 * Checks everything in a tokenizer.json that heed or `@huggingface/tokenizers` reads: kinds, ranges, sizes and the depth of nesting.
 * Regular expressions are checked when they are compiled.
 *
 * @returns the checked object, with the model's type filled in and absent components set to null
 * @throws HeedError "format" naming the field, what was expected and what was found
 */
export function checkTokenizer(json: unknown): TokenizerJSON {
  const hasVocabulary = isObject(json) && isObject(json.model) && typeof json.model.vocab === "object" && json.model.vocab !== null;
  if (!isObject(json) || !isObject(json.model) || !hasVocabulary || !Array.isArray(json.added_tokens)) {
    throw new HeedError("format", 'not a Hugging Face tokenizer.json: "model.vocab" or "added_tokens" is missing');
  }
  const { model, added_tokens } = json as unknown as TokenizerJSON;
  const type = typeOf(model);
  checkValues("model", model, modelFields[type]!);
  checkTokens(model.vocab as object, added_tokens);
  if (type === "BPE") checkMerges(model.merges ?? []);
  if (type === "Unigram") checkUnigram(model.vocab as unknown[], model.unk_id);
  for (const place of componentPlaces) checkComponent(place, json[place]);
  const components = Object.fromEntries(componentPlaces.map((place) => [place, json[place] ?? null]));
  const merges = type === "BPE" ? { merges: model.merges ?? [] } : {};
  return { ...(json as unknown as TokenizerJSON), ...components, model: { ...model, type, ...merges } };
}

/** The model's type, which files from before 2021 leave out. */
function typeOf({ type, vocab, merges, continuing_subword_prefix: prefix }: TokenizerJSON["model"]): string {
  const isList = Array.isArray(vocab);
  const implied = isList ? "Unigram" : merges !== undefined ? "BPE" : typeof prefix === "string" ? "WordPiece" : undefined;
  const found: unknown = type ?? implied;
  const types = Object.keys(modelFields);
  if (typeof found !== "string" || !types.includes(found)) {
    return refuse("model: type", `expected one of ${types.join(", ")}, got ${show(type)}`);
  }
  const [wanted, given] = isList ? ["an object", "a list"] : ["a list", "an object"];
  if ((found === "Unigram") !== isList) refuse("model: vocab", `expected ${wanted} for ${found}, got ${given}`);
  return found;
}

/** Checks that ids are valid and unique, and texts short enough. */
function checkTokens(vocab: object, addedTokens: readonly unknown[]): void {
  const taken = new Map<number, string>();
  const check = (token: string, id: unknown): void => {
    const where = (): string => `the token ${quote(token)}`;
    if (token.length > LONGEST_TOKEN) {
      throw new HeedError("format", `${where()}: expected at most ${LONGEST_TOKEN} characters, got ${token.length}`);
    }
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= MOST_TOKENS) {
      throw new HeedError("format", `${where()}: expected an id in [0, ${MOST_TOKENS}), got ${show(id)}`);
    }
    if (Array.isArray(vocab)) return; // ids are positions, and an added token may replace what is there
    const other = taken.get(id as number) ?? token;
    if (other !== token) throw new HeedError("format", `${where()} has the same id as ${quote(other)}: ${id as number}`);
    taken.set(id as number, token);
  };
  if (Array.isArray(vocab)) {
    if (vocab.length === 0 || vocab.length > MOST_TOKENS) {
      refuse("model: vocab", `expected from 1 to ${MOST_TOKENS} tokens, got ${vocab.length}`);
    }
    for (const [id, entry] of vocab.entries()) {
      const isEntry = Array.isArray(entry) && typeof entry[0] === "string" && Number.isFinite(entry[1]);
      if (!isEntry) refuse("model: vocab", `expected a token and its score for id ${id}, got ${show(entry)}`);
      check((entry as [string])[0], id);
    }
  } else for (const [token, id] of Object.entries(vocab)) check(token, id);
  if (addedTokens.length > MOST_ADDED) refuse("added_tokens", `expected at most ${MOST_ADDED}, got ${addedTokens.length}`);
  for (const token of addedTokens) {
    if (!isObject(token) || typeof token.content !== "string") {
      throw new HeedError("format", `added_tokens: expected objects with "id" and "content", got ${show(token)}`);
    }
    check(token.content, token.id);
  }
}

function checkMerges(merges: unknown): void {
  if (!Array.isArray(merges)) return refuse("model: merges", `expected a list, got ${show(merges)}`);
  const arePairs = Array.isArray(merges[0]);
  const isShort = (text: unknown): boolean => typeof text === "string" && text.length <= LONGEST_TOKEN;
  const isPair = (merge: unknown): boolean => Array.isArray(merge) && merge.length === 2 && merge.every(isShort);
  const isLine = (merge: unknown): boolean => typeof merge === "string" && merge.length <= 2 * LONGEST_TOKEN && merge.includes(" ");
  const at = merges.findIndex((merge) => !(arePairs ? isPair(merge) : isLine(merge)));
  const wanted = arePairs ? "pairs of tokens" : 'lines like "a b"';
  if (at >= 0) refuse("model: merges", `expected ${wanted}, got ${show(merges[at])} at index ${at}`);
}

function checkUnigram(vocab: readonly unknown[], unknown: unknown): void {
  const isId = Number.isInteger(unknown) && (unknown as number) >= 0 && (unknown as number) < vocab.length;
  if (unknown !== null && unknown !== undefined && !isId) {
    refuse("model: unk_id", `expected an id in [0, ${vocab.length}) or null, got ${show(unknown)}`);
  }
  const tokens = new Set(vocab.map((entry) => (entry as [string])[0]));
  for (const token of tokens) {
    let beginnings = 0;
    for (let end = 1; end < token.length; end++) if (tokens.has(token.slice(0, end))) beginnings++;
    if (beginnings > MOST_BEGINNINGS) {
      refuse("model: vocab", `expected at most ${MOST_BEGINNINGS} beginnings of ${quote(token)} to be tokens, got ${beginnings}`);
    }
  }
}
