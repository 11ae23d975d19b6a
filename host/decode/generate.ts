import { YieldTimer } from "../core/yieldtoeventloop";
import { checkConfig, count, type FieldsByName, isList, isObject, object, oneOf, optional, whole } from "../fields";
import { samplingFields } from "../graph/ops/sampling";
import { type DecoderModel, expectDecoder, hasSource } from "../models/decoding";
import { checkIds } from "../models/inputs";
import { seedKey } from "../seed";
import type { AbortSignalLike } from "../webtypes";
import type { Prompt } from "./prompt";
import type { Row } from "./row";
import { adjustmentFields, checkSampler, endField, endIds, type Sampler } from "./sampler";
import { Session } from "./session";

/** Options of `generate`: how tokens are chosen, and when rows end. */
export interface GenerateOptions extends Omit<Sampler, "end"> {
  /** Maximum number of tokens to generate. */
  maxTokens: number;
  /** 0 picks the most likely token (greedy); higher values give more variety. 1 by default. */
  temperature?: number;
  /** Number of continuations of each prompt; 1 by default. They share what the prompt has stored. */
  samples?: number;
  /** The same seed gives the same tokens; row i uses seed + i. 0 by default. Sample j of a prompt with a seed of its own uses that + j. */
  seed?: number;
  /** A row ends at this id, or at any of these. */
  end?: number | readonly number[];
  /** Past the model's context: restart from its last half (the default), or stop. */
  pastContext?: "restart" | "stop";
  signal?: AbortSignalLike;
}

const fields: FieldsByName = {
  ...adjustmentFields, ...samplingFields, maxTokens: whole, samples: optional(count), end: optional(endField),
  pastContext: optional(oneOf("restart", "stop")), signal: optional(object),
};

/**
 * Continues prompts, or decodes targets from sources. Each step generates one token per row. A row's tokens do not depend on the others.
 *
 * A row that reaches the model's context restarts from the last half of it. A prompt longer than the context starts in the same way.
 * @param model    a model, or a session to reuse across calls
 * @param prompts  token ids, at least one each; for an encoder-decoder `{ source, tokens }`
 * @returns an iterator over the steps: the next id of each row, or −1 for a row that has ended. The samples of a prompt are neighbouring
 *   rows
 * @throws TypeError for a model that cannot decode, and for unknown options; RangeError for ids outside the vocabulary, empty prompts and
 *   options out of range
 *
 * @example
 * for await (const [id] of generate(model, [tokenizer.encode("ROMEO:")], { maxTokens: 300, temperature: 0.8, topK: 40, seed: 1 })) {
 *   process.stdout.write(tokenizer.decode([id]));
 * }
 */
export async function* generate<M extends DecoderModel>(
  model: M | Session<M>, prompts: readonly (readonly number[] | Prompt)[], options: GenerateOptions,
): AsyncGenerator<number[], void> {
  const decoder = model instanceof Session ? model.model : model;
  expectDecoder("generate", decoder);
  checkConfig("generate", options, fields);
  const { maxTokens, samples = 1, temperature = 1, seed = 0, pastContext, signal, ...rest } = options;
  const end = endIds(options.end);
  const starts = toPrompts(prompts, decoder).flatMap((prompt) => Array.from({ length: samples }, (_, sample) => ({ prompt, sample })));
  checkSampler("generate", { ...rest, end, temperature, seed }, decoder.vocabulary);
  seedKey(seed + Math.max(0, starts.length - 1));
  if (starts.length === 0) return;

  const { context } = decoder;
  const session = model instanceof Session ? model : new Session(decoder, { rows: starts.length });
  let rows: Row[] = [];
  try {
    const windows = starts.map(({ prompt, sample }, i) => {
      const tokens = prompt.tokens.length > context ? prompt.tokens.slice(-half(context)) : prompt.tokens;
      return { ...rest, end, temperature, ...prompt, seed: prompt.seed === undefined ? seed + i : prompt.seed + sample, tokens };
    });
    rows = await session.open(windows, { signal });
    yield* continueRows(session, rows, { maxTokens, end, pastContext, signal });
  } finally {
    for (const row of rows) session.close(row);
    if (session !== model) session.dispose();
  }
}

/**
 * Continues open rows: the loop of `generate`. A row that restarts is replaced in `rows`.
 * @param rows  open rows of the session, which remain open
 */
export async function* continueRows(
  session: Session, rows: Row[], { maxTokens, end = [], pastContext = "restart", signal }: ContinueOptions,
): AsyncGenerator<number[], void> {
  const ends = new Set(end);
  const done = new Uint8Array(rows.length);
  const timer = new YieldTimer();
  for (let step = 0; step < maxTokens && done.includes(0); step++) {
    signal?.throwIfAborted();
    for (const [i, row] of rows.entries()) {
      if (done[i] || row.tokens.length <= session.model.context) continue;
      if (pastContext === "stop") done[i] = 1;
      else rows[i] = await restart(session, row, signal);
    }
    const active = rows.filter((_, i) => !done[i]);
    if (active.length === 0) return;
    await session.step(active);
    yield rows.map(({ tokens }, i) => {
      if (done[i]) return -1;
      const id = tokens.at(-1)!;
      if (ends.has(id)) done[i] = 1;
      return id;
    });
    await timer.yield();
  }
}

interface ContinueOptions extends Pick<GenerateOptions, "maxTokens" | "pastContext" | "signal"> {
  end?: readonly number[];
}

const half = (context: number): number => Math.ceil(context / 2);

/** Replaces a row by one that starts from the last half of the context. */
async function restart(session: Session, row: Row, signal?: AbortSignalLike): Promise<Row> {
  session.close(row);
  const tokens = row.tokens.slice(-half(session.model.context));
  const source = row.source.length > 0 ? { source: row.source } : {};
  const [next] = await session.open([{ tokens, ...source, ...row.sampler }], { signal });
  Object.assign(next!, { draws: row.draws, generated: row.generated });
  return next!;
}

function toPrompts(prompts: unknown, model: DecoderModel): Prompt[] {
  const needed = hasSource(model) ? "each { source, tokens }" : "each a list of token ids: [[5, 6, 7]]";
  const isPrompt = (value: unknown): value is Prompt => isObject(value) && isList(value.tokens);
  if (!Array.isArray(prompts) || !prompts.every((prompt) => isPrompt(prompt) || (isList(prompt) && !hasSource(model)))) {
    throw new TypeError(`generate: expected a list of prompts, ${needed}`);
  }
  return prompts.map((given: readonly number[] | Prompt, i) => {
    const prompt = isList(given) ? { tokens: given } : given;
    if (prompt.tokens.length === 0) throw new RangeError(`generate: prompt ${i} is empty; give at least one token`);
    checkIds(`generate: prompt ${i}`, prompt.tokens, model.vocabulary);
    return prompt;
  });
}
