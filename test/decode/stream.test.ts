import { describe, expect, it } from "vitest";
import { CharacterTokenizer } from "../../host/data/characters";
import { generate } from "../../host/decode/generate";
import { Session } from "../../host/decode/session";
import { type StreamOptions, type StreamResult, streamText } from "../../host/decode/stream";
import { GPT } from "../../host/models/gpt";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const tokenizer = CharacterTokenizer.of(["abcdefghijklmnopqrstuvwxyz \n"]);
const model = new GPT({ vocabulary: tokenizer.size, block: 24, layers: 1, heads: 2, width: 16 }).place(runtime, { seed: 3 });

async function read(options: StreamOptions, prompt = "ab"): Promise<{ pieces: string[]; result: StreamResult }> {
  const stream = streamText(model, tokenizer, prompt, options);
  const pieces: string[] = [];
  for await (const piece of stream) pieces.push(piece);
  return { pieces, result: stream.result! };
}

async function ids(maxTokens: number, seed: number): Promise<number[]> {
  const all: number[] = [];
  for await (const [id] of generate(model, [tokenizer.encode("ab")], { maxTokens, seed })) all.push(id!);
  return all;
}

describe("streamText", () => {
  it("yields the text of the tokens that generate chooses, and reports how many there were and why it ended", async () => {
    const { pieces, result } = await read({ maxTokens: 9, seed: 5 });
    const expected = await ids(9, 5);
    expect(pieces.join("")).toBe(tokenizer.decode(expected));
    expect(result).toMatchObject({ text: pieces.join(""), ids: expected, reason: "length", promptTokens: 2, tokens: 9, stop: undefined });
    expect(result.totalMs).toBeGreaterThanOrEqual(result.firstMs);
    expect(result.tokensPerSecond).toBeGreaterThan(0);
  });

  it("ends at a token of `end`, which it does not print", async () => {
    const expected = await ids(9, 5);
    const end = expected[4]!;
    const first = expected.indexOf(end);
    const { pieces, result } = await read({ maxTokens: 9, seed: 5, end });
    expect([pieces.join(""), result.reason, result.ids]).toEqual([tokenizer.decode(expected.slice(0, first)), "end", expected.slice(0, first + 1)]);
  });

  it("ends before a stop string across tokens, and names it", async () => {
    const text = tokenizer.decode(await ids(9, 5));
    const stop = text.slice(3, 6);
    const { pieces, result } = await read({ maxTokens: 9, seed: 5, stop: ["never there", stop] });
    expect([pieces.join(""), result.reason, result.stop]).toEqual([text.slice(0, text.indexOf(stop)), "stop", stop]);
    expect(result.tokens).toBeLessThan(9);
  });

  it("fills the context without maxTokens, and may restart past it", async () => {
    expect((await read({})).result).toMatchObject({ reason: "context", tokens: 24 + 1 - 2 });
    expect((await read({ maxTokens: 40 })).result).toMatchObject({ reason: "context", tokens: 24 + 1 - 2 });
    expect((await read({ maxTokens: 40, pastContext: "restart" })).result).toMatchObject({ reason: "length", tokens: 40 });
  });

  it("stops when the reader does, closes its row, and can be read again", async () => {
    const session = new Session(model, { rows: 1 });
    const stream = streamText(session, tokenizer, "ab", { maxTokens: 9, seed: 5 });
    for await (const _ of stream) break;
    expect(stream.result).toBeUndefined();
    let text = "";
    for await (const piece of stream) text += piece; // the session's only row is free again
    expect(text).toBe(tokenizer.decode(await ids(9, 5)));
    session.dispose();
  });

  it("is aborted between tokens of a long stream", async () => {
    const abort = new AbortController();
    let tokens = 0;
    const reading = (async () => {
      for await (const piece of streamText(model, tokenizer, "ab", { maxTokens: 1e6, pastContext: "restart", signal: abort.signal })) {
        tokens += piece.length;
        if (tokens === 3) abort.abort(new Error("enough"));
      }
    })();
    await expect(reading).rejects.toThrow("enough");
    expect(tokens).toBe(3);
  });

  it.each<[StreamOptions, Error]>([
    [{ stop: [""] }, new RangeError('streamText: stop: expected a list of strings that are not empty, got [""]')],
    [{ stop: "end" as never }, new TypeError('streamText: stop: expected a list of strings that are not empty, got "end"')],
    [{ maxTokens: -1 }, new RangeError("generate: maxTokens: expected an integer of at least 0, got -1")],
    [{ topP: 0 }, new RangeError("generate: topP: expected a number in (0, 1], got 0")],
    [{ topP: 1.5 }, new RangeError("generate: topP: expected a number in (0, 1], got 1.5")],
  ])("refuses %j", async (options, error) => {
    await expect((async () => { for await (const _ of streamText(model, tokenizer, "ab", options)); })()).rejects.toThrow(error);
  });
});
