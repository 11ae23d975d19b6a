import { checkConfig, type Field, type FieldsByName, isObject, optional } from "../fields";
import type { DecoderModel } from "../models/decoding";
import { continueRows, generate, type GenerateOptions } from "./generate";
import type { Prompt } from "./prompt";
import { type TextDecoderLike, TextPieces } from "./pieces";
import { Row } from "./row";
import { endIds } from "./sampler";
import { Session } from "./session";

/** The part of a tokenizer that `streamText` uses. */
export interface TextCodec extends TextDecoderLike {
  encode(text: string): number[];
}

/** Options of `streamText`. */
export interface StreamOptions extends Omit<GenerateOptions, "samples" | "maxTokens"> {
  /** Maximum number of tokens to generate; as many as the model's context has room for by default. */
  maxTokens?: number;
  /** The text ends before any of these strings. */
  stop?: readonly string[];
}

/** How a stream ended. */
export interface StreamResult {
  /** The whole text. */
  readonly text: string;
  /** The generated ids, `end` included. */
  readonly ids: readonly number[];
  /** "end": the model chose an `end` token; "stop": a stop string was found; "length": `maxTokens` were generated; "context": none fit. */
  readonly reason: "end" | "stop" | "length" | "context";
  /** The stop string that was found. */
  readonly stop?: string;
  /** Number of tokens of the prompt, and of the generated text. */
  readonly promptTokens: number;
  readonly tokens: number;
  /** Time from the first request to the first token and to the last one, in ms. */
  readonly firstMs: number;
  readonly totalMs: number;
  /** Speed after the first token; 0 if only one was generated. */
  readonly tokensPerSecond: number;
}

const strings: Field = {
  expected: "a list of strings that are not empty", isType: Array.isArray,
  accepts: (value) => Array.isArray(value) && value.every((stop) => typeof stop === "string" && stop.length > 0),
};
const fields: FieldsByName = { stop: optional(strings) };

/**
 * Text that is generated as it is read: see `streamText`. Reading it again generates it again.
 *
 * @example
 * const stream = streamText(model, tokenizer, "ROMEO:", { maxTokens: 5 });
 * for await (const _ of stream) break; // leaving the loop ends the generation
 * stream.result; // undefined
 */
export class TextStream implements AsyncIterable<string> {
  /** How the stream ended; undefined before it has. */
  result: StreamResult | undefined;

  constructor(private readonly read: (stream: TextStream) => AsyncGenerator<string, void>) {}

  [Symbol.asyncIterator](): AsyncGenerator<string, void> {
    return this.read(this);
  }
}

/**
 * Continues a text piece by piece. A piece ends neither inside a character nor inside a stop string, and the pieces together are the text
 * of the generated tokens.
 * @param model   a model, or a session to reuse across calls
 * @param prompt  a text or its ids, at least one token; for an encoder-decoder `{ source, tokens }`; or an open row of the session, which
 *   keeps its sampler and remains open
 * @throws as `generate` does; RangeError for an empty stop string
 *
 * @example
 * const stream = streamText(model, tokenizer, "ROMEO:", { maxTokens: 100, temperature: 0.8, stop: ["\n\n"] });
 * for await (const piece of stream) process.stdout.write(piece);
 * console.log(stream.result?.reason); // why it ended: "end", "stop", "length" or "context"
 */
export function streamText<M extends DecoderModel>(
  model: M | Session<M>, tokenizer: TextCodec, prompt: string | readonly number[] | Prompt | Row, options: StreamOptions = {},
): TextStream {
  checkConfig("streamText", isObject(options) ? { stop: options.stop } : options, fields);
  const { stop = [], maxTokens, ...rest } = options;
  const start = typeof prompt === "string" ? tokenizer.encode(prompt) : prompt;
  if (start instanceof Row && !(model instanceof Session)) throw new TypeError("streamText: an open row needs its session, got a model");
  const { context } = model instanceof Session ? model.model : model;
  const given = "tokens" in start ? start.tokens.length : start.length;
  const room = Math.max(0, context + 1 - given);
  const ends = new Set(endIds(rest.end));
  return new TextStream(async function* (stream) {
    const started = performance.now();
    const pieces = new TextPieces(tokenizer, stop);
    const ids: number[] = [];
    let text = "";
    let first = started;
    let reason: StreamResult["reason"] = "length";
    const settings = { pastContext: "stop" as const, ...rest, maxTokens: maxTokens ?? room };
    const steps = start instanceof Row
      ? continueRows(model as Session, [start], { ...settings, end: [...ends] })
      : generate(model, [start], settings);
    for await (const [id] of steps) {
      if (id! < 0) break;
      ids.push(id!);
      if (ids.length === 1) first = performance.now();
      if (ends.has(id!)) {
        reason = "end";
        break;
      }
      const piece = pieces.push(id!);
      text += piece;
      if (piece !== "") yield piece;
      if (pieces.stop !== undefined) break;
    }
    const last = pieces.end();
    text += last;
    if (last !== "") yield last;
    if (pieces.stop !== undefined) reason = "stop";
    else if (reason === "length" && (maxTokens === undefined || ids.length < maxTokens)) reason = "context";
    const now = performance.now();
    const tokensPerSecond = ids.length > 1 ? ((ids.length - 1) / (now - first)) * 1000 : 0;
    const times = { firstMs: first - started, totalMs: now - started, tokensPerSecond };
    stream.result = { text, ids, reason, stop: pieces.stop, promptTokens: given, tokens: ids.length, ...times };
  });
}
