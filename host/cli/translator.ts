import type { PairSpecials } from "../data/batch";
import type { Tokenizer } from "../data/tokenizer";
import { beamSearch, type Hypothesis } from "../decode/beam";
import { greedy } from "../decode/greedy";
import { Session } from "../decode/session";
import { HeedError } from "../errors";
import type { Transformer } from "../models/transformer";

/** @throws HeedError (`checkpoint`) when the tokenizer lacks one */
export function pairSpecials({ specials }: Tokenizer): PairSpecials {
  const { pad, bos, eos } = specials;
  if (pad === undefined || bos === undefined || eos === undefined) {
    throw new HeedError("checkpoint", "the tokenizer lacks <pad>, <bos> or <eos>, which a translation model needs");
  }
  return { pad, bos, eos };
}

/** Number of rows decoded at once. */
const ROWS = 64;
/** With beams, each sentence takes several. */
const BEAM_ROWS = 160;

/** Maximum length of a translation. An undertrained model may never emit the end token. */
const mostTokens = (sourceLength: number): number => 2 * sourceLength + 16;

/** Options of `translateTexts`. */
export interface TranslateTextsOptions {
  /** Names a text in an error, given its index from 0. */
  name?: (index: number) => string;
  /** Called with the number of texts done. */
  onProgress?: (done: number) => void;
  /** Beam search with this many beams; greedy decoding by default. */
  beams?: number;
  /** Number of translations of each text, best first. */
  nBest?: number;
}

/** A translation. */
export interface Translation {
  readonly text: string;
  /** Its score in beam search; NaN without beams. */
  readonly score: number;
}

/**
 * Translates texts in batches of similar length.
 *
 * @returns the translations of each text, in the order of the texts; a blank text has one, which is empty
 * @throws HeedError (`data`) for a text that is too long for the model, or has characters outside its vocabulary
 */
export async function translateAll(
  model: Transformer, tokenizer: Tokenizer, texts: readonly string[], options: TranslateTextsOptions = {},
): Promise<Translation[][]> {
  const { name = (index) => `text ${index + 1}`, onProgress, beams = 1, nBest = 1 } = options;
  const { bos, eos } = pairSpecials(tokenizer);
  const { maxLength } = model.config;
  const sources = texts.map((text, index) => encode(tokenizer, text, maxLength, name(index)));
  const order = [...sources.keys()].filter((index) => sources[index]!.length > 0).sort((a, b) => sources[a]!.length - sources[b]!.length);
  const translations: Translation[][] = texts.map(() => [{ text: "", score: NaN }]);
  const rows = beams === 1 ? ROWS : Math.max(BEAM_ROWS, beams);
  const size = Math.floor(rows / beams);
  const session = new Session(model, { rows });
  try {
    for (let start = 0; start < order.length; start += size) {
      const indices = order.slice(start, start + size);
      const batch = indices.map((index) => sources[index]!);
      const maxTokens = batch.map(({ length }) => mostTokens(length));
      const found: Pick<Hypothesis, "ids" | "score">[][] = beams === 1
        ? (await greedy(session, batch, { start: bos, end: eos, maxTokens })).map((ids) => [{ ids, score: NaN }])
        : await beamSearch(session, batch.map((source) => ({ source, tokens: [bos] })), { end: eos, maxTokens, beams, nBest });
      indices.forEach((index, i) => {
        translations[index] = found[i]!.map(({ ids, score }) => ({ text: tokenizer.decode(ids), score }));
      });
      onProgress?.(start + indices.length);
    }
  } finally {
    session.dispose();
  }
  return translations;
}

/** The best translation of each text: see `translateAll`. */
export async function translateTexts(
  model: Transformer, tokenizer: Tokenizer, texts: readonly string[], options: Omit<TranslateTextsOptions, "nBest"> = {},
): Promise<string[]> {
  return (await translateAll(model, tokenizer, texts, options)).map(([best]) => best!.text);
}

function encode(tokenizer: Tokenizer, text: string, maxLength: number, name: string): number[] {
  if (text.trim() === "") return [];
  const ids = tokenizer.encode(text);
  if (ids.length <= maxLength) return ids;
  throw new HeedError("data", `${name} has ${ids.length} tokens, but the model takes at most ${maxLength}; split it into shorter texts`);
}
