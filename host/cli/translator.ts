import type { PairSpecials } from "../data/batch";
import type { Tokenizer } from "../data/tokenizer";
import { beamSearch, type Hypothesis } from "../decode/beam";
import { greedy } from "../decode/greedy";
import { Session } from "../decode/session";
import { HeedError } from "../errors";
import { attentionWeights } from "../models/attention";
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
  /** Report which source token each token attends to most. */
  alignments?: boolean;
}

/** A translation. */
export interface Translation {
  readonly text: string;
  /** Its score in beam search; NaN without beams. */
  readonly score: number;
  /** Pairs of a source token and a target token, by their indices. */
  readonly alignment?: readonly (readonly [source: number, target: number])[];
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
  const { name = (index) => `text ${index + 1}`, onProgress, beams = 1, nBest = 1, alignments = false } = options;
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
        translations[index] = found[i]!.map(({ ids, score }) => ({
          text: tokenizer.decode(ids), score, ...(alignments ? { alignment: align(model, tokenizer, sources[index]!, ids) } : {}),
        }));
      });
      onProgress?.(start + indices.length);
    }
  } finally {
    session.dispose();
  }
  return translations;
}

/** For each target token, the source token to which the last layer's heads attend most on average when they predict it. */
function align(model: Transformer, tokenizer: Tokenizer, source: readonly number[], target: readonly number[]): [number, number][] {
  if (target.length === 0) return [];
  const layer = `decoder.layers.${model.config.decoderLayers - 1}.crossAttention`;
  const row = (ids: readonly number[]) => ({ shape: [1, ids.length], data: Int32Array.from(ids) });
  const batch = {
    source: row(source), sourceLengths: { shape: [1], data: Int32Array.of(source.length) },
    target: row([pairSpecials(tokenizer).bos, ...target.slice(0, -1)]), targets: row(target),
  };
  const { shape, data } = attentionWeights(model, batch, { layers: (path) => path === layer }).get(layer)!;
  const [, H = 0, T = 0, S = 0] = shape;
  const mean = (t: number, s: number): number => Array.from({ length: H }, (_, h) => data[(h * T + t) * S + s]!).reduce((a, b) => a + b);
  return target.map((_, t) => {
    let best = 0;
    for (let s = 1; s < source.length; s++) if (mean(t, s) > mean(t, best)) best = s;
    return [best, t];
  });
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
