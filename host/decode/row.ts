import { checkConfig, type FieldsByName, notNegative, optional, seed, whole } from "../fields";

/** How a row chooses its tokens. */
export interface Sampler {
  /** 0: the likeliest token; towards 1 and above: more variety. 0 by default. */
  temperature?: number;
  /** Draws from this many of the likeliest tokens; 0, the default: from all of them. */
  topK?: number;
  /** Rows with the same seed draw the same random numbers, whatever their company; 0 by default. */
  seed?: number;
}

export const samplerFields: FieldsByName = { temperature: optional(notNegative), topK: optional(whole), seed: optional(seed) };

/**
 * One sequence that a session decodes. `session.open` and `session.fork` make rows; `tokens` is theirs to read.
 *
 * @example
 * const session = new Session(model);
 * const [row] = await session.open([{ source: [5, 6, 7], tokens: [1] }]);
 * await session.step([row!]);
 * row!.tokens.length; // 2
 * session.dispose();
 */
export class Row {
  /** The pages of its tokens' keys and values, in order. */
  readonly pages: number[] = [];
  /** The same of its source. */
  readonly sourcePages: number[] = [];
  sourceLength = 0;
  /** How many random numbers it has drawn. */
  draws = 0;
  /** Whether linear memory lacks what has changed here. */
  isStale = true;
  isOpen = true;

  constructor(
    /** Every token, the last of which awaits the next step. */
    readonly tokens: number[],
    readonly sampler: Required<Sampler>,
  ) {}

  /** Tokens whose keys and values are stored: all but the last. */
  stored = 0;
}

/** @throws TypeError for an unknown field or a wrong type, RangeError for a value out of range */
export function checkSampler(caller: string, sampler: Sampler): Required<Sampler> {
  checkConfig(caller, sampler, samplerFields);
  const { temperature = 0, topK = 0, seed = 0 } = sampler;
  return { temperature, topK, seed };
}
