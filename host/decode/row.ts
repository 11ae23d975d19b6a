import { checkConfig, type FieldsByName, notNegative, optional, seed, whole } from "../fields";

/** How a row chooses its tokens. */
export interface Sampler {
  /** 0, the default, picks the most likely token; higher values give more variety. */
  temperature?: number;
  /** Sample from this many of the most likely tokens; 0, the default, samples from all of them. */
  topK?: number;
  /** Rows with the same seed draw the same random numbers, whichever rows they are batched with; 0 by default. */
  seed?: number;
}

export const samplerFields: FieldsByName = { temperature: optional(notNegative), topK: optional(whole), seed: optional(seed) };

/**
 * A sequence that a session decodes, created by `session.open` or `session.fork`. Callers read `tokens`; everything else belongs to the
 * session.
 *
 * @example
 * const session = new Session(model);
 * const [row] = await session.open([{ source: [5, 6, 7], tokens: [1] }]);
 * await session.step([row!]);
 * row!.tokens.length; // 2
 * session.dispose();
 */
export class Row {
  /** Pages with the keys and values of the row's tokens, in order. */
  readonly pages: number[] = [];
  /** Pages with the keys and values of the row's source. */
  readonly sourcePages: number[] = [];
  sourceLength = 0;
  /** Number of random numbers drawn. */
  draws = 0;
  /** Whether the row has changes that are not in linear memory yet. */
  isStale = true;
  isOpen = true;

  constructor(
    /** All tokens. The next step reads the last one. */
    readonly tokens: number[],
    readonly sampler: Required<Sampler>,
  ) {}

  /** Number of tokens whose keys and values are stored: all but the last. */
  stored = 0;
}

/** @throws TypeError for an unknown field or a wrong type, RangeError for a value out of range */
export function checkSampler(caller: string, sampler: Sampler): Required<Sampler> {
  checkConfig(caller, sampler, samplerFields);
  const { temperature = 0, topK = 0, seed = 0 } = sampler;
  return { temperature, topK, seed };
}
