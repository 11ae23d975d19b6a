import { yieldToEventLoop } from "../core/yieldtoeventloop";
import { checkConfig, type FieldsByName, object, oneOf, optional, whole } from "../fields";
import { type DecoderModel, expectDecoder } from "../models/decoding";
import { checkIds } from "../models/inputs";
import { seedKey } from "../seed";
import { type Row, samplerFields } from "./row";
import { Session } from "./session";
import type { AbortSignalLike } from "../webtypes";

/** Options of `generate`. */
export interface GenerateOptions {
  /** Maximum number of tokens to generate. */
  maxTokens: number;
  /** 0 picks the most likely token (greedy); higher values give more variety. 1 by default. */
  temperature?: number;
  /** Sample from this many of the most likely tokens; from all of them by default. */
  topK?: number;
  /** The same seed gives the same tokens; row i uses seed + i. 0 by default. */
  seed?: number;
  /** A row ends at this id. */
  end?: number;
  /** Past the model's context: restart from its last half (the default), or stop. */
  pastContext?: "restart" | "stop";
  signal?: AbortSignalLike;
}

const fields: FieldsByName = {
  ...samplerFields, maxTokens: whole, end: optional(whole), pastContext: optional(oneOf("restart", "stop")), signal: optional(object),
};

/**
 * Continues prompts. Each step generates one token per row. A row's tokens do not depend on the other prompts.
 *
 * A row that reaches the model's context restarts from the last half of it. A prompt longer than the context starts in the same way.
 * @param model    a model, or a session to reuse across calls
 * @param prompts  token ids, at least one each
 * @returns an iterator over the steps: the next id of each row, or −1 for a row that has ended
 * @throws TypeError for a model that does not continue text, and for unknown options; RangeError for ids outside the vocabulary, empty
 *   prompts and options out of range
 *
 * @example
 * for await (const [id] of generate(model, [tokenizer.encode("ROMEO:")], { maxTokens: 300, temperature: 0.8, topK: 40, seed: 1 })) {
 *   process.stdout.write(tokenizer.decode([id]));
 * }
 */
export async function* generate<M extends DecoderModel>(
  model: M | Session<M>, prompts: readonly (readonly number[])[], options: GenerateOptions,
): AsyncGenerator<number[], void> {
  const decoder = model instanceof Session ? model.model : model;
  expectDecoder("generate", decoder, "decoder");
  checkConfig("generate", options, fields);
  const { maxTokens, temperature = 1, topK = 0, seed = 0, end, pastContext = "restart", signal } = options;
  checkPrompts(prompts, decoder.vocabulary);
  seedKey(seed + Math.max(0, prompts.length - 1));
  if (prompts.length === 0) return;

  const { context } = decoder;
  const session = model instanceof Session ? model : new Session(decoder, { rows: prompts.length });
  let rows: Row[] = [];
  try {
    const windows = prompts.map((prompt) => (prompt.length > context ? prompt.slice(-half(context)) : prompt));
    rows = await session.open(windows.map((tokens, i) => ({ tokens, temperature, topK, seed: seed + i })), { signal });
    const done = new Uint8Array(rows.length);
    for (let step = 0; step < maxTokens && done.includes(0); step++) {
      signal?.throwIfAborted();
      for (const [i, row] of rows.entries()) {
        if (done[i] || row.tokens.length <= context) continue;
        if (pastContext === "stop") done[i] = 1;
        else rows[i] = await restart(session, row, signal);
      }
      const active = rows.filter((_, i) => !done[i]);
      if (active.length === 0) return;
      await session.step(active);
      yield rows.map(({ tokens }, i) => {
        if (done[i]) return -1;
        const id = tokens.at(-1)!;
        if (id === end) done[i] = 1;
        return id;
      });
      await yieldToEventLoop();
    }
  } finally {
    for (const row of rows) session.close(row);
    if (session !== model) session.dispose();
  }
}

const half = (context: number): number => Math.ceil(context / 2);

/** Replaces a row by one that starts from the last half of the context. */
async function restart(session: Session, row: Row, signal?: AbortSignalLike): Promise<Row> {
  session.close(row);
  const [next] = await session.open([{ tokens: row.tokens.slice(-half(session.model.context)), ...row.sampler }], { signal });
  next!.draws = row.draws;
  return next!;
}

function checkPrompts(prompts: unknown, vocabulary: number): void {
  const isList = (value: unknown): value is ArrayLike<number> => Array.isArray(value) || ArrayBuffer.isView(value);
  if (!Array.isArray(prompts) || !prompts.every(isList)) {
    throw new TypeError("generate: expected a list of prompts, each a list of token ids: [[5, 6, 7]]");
  }
  prompts.forEach((prompt, row) => {
    if (prompt.length === 0) throw new RangeError(`generate: prompt ${row} is empty; give at least one token`);
    checkIds(`generate: prompt ${row}`, prompt, vocabulary);
  });
}
