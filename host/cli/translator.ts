import type { PairSpecials } from "../data/batch";
import type { Tokenizer } from "../data/tokenizer";
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

/** Number of sentences translated at once. */
const BATCH = 64;

/** Maximum length of a translation. An undertrained model may never emit the end token. */
const mostTokens = (sourceLength: number): number => 2 * sourceLength + 16;

/**
 * Translates texts in batches of similar length.
 *
 * @param name  names a text in an error, given its index from 0
 * @param onProgress  called with the number of texts done
 * @returns the translations in the order of the texts; a blank text has an empty translation
 * @throws HeedError (`data`) for a text that is too long for the model, or has characters outside its vocabulary
 */
export async function translateTexts(
  model: Transformer,
  tokenizer: Tokenizer,
  texts: readonly string[],
  { name = (index) => `text ${index + 1}`, onProgress }: { name?: (index: number) => string; onProgress?: (done: number) => void } = {},
): Promise<string[]> {
  const { bos, eos } = pairSpecials(tokenizer);
  const { maxLength } = model.config;
  const sources = texts.map((text, index) => encode(tokenizer, text, maxLength, name(index)));
  const order = [...sources.keys()].filter((index) => sources[index]!.length > 0).sort((a, b) => sources[a]!.length - sources[b]!.length);
  const translations = texts.map(() => "");
  const session = new Session(model, { rows: BATCH });
  try {
    for (let start = 0; start < order.length; start += BATCH) {
      const indices = order.slice(start, start + BATCH);
      const batch = indices.map((index) => sources[index]!);
      const targets = await greedy(session, batch, { start: bos, end: eos, maxTokens: mostTokens(batch.at(-1)!.length) });
      indices.forEach((index, row) => (translations[index] = tokenizer.decode(targets[row]!)));
      onProgress?.(start + indices.length);
    }
  } finally {
    session.dispose();
  }
  return translations;
}

function encode(tokenizer: Tokenizer, text: string, maxLength: number, name: string): number[] {
  if (text.trim() === "") return [];
  const ids = tokenizer.encode(text);
  if (ids.length <= maxLength) return ids;
  throw new HeedError("data", `${name} has ${ids.length} tokens, but the model takes at most ${maxLength}; split it into shorter texts`);
}
