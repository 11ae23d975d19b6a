import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import type { Llama } from "../../host/models/llama";
import type { Transformer } from "../../host/models/transformer";
import { CONTEXT, openSession, randomIds, sourceOf, trained, VOCABULARY } from "./trained";

let llama: Llama;
let transformer: Transformer;
beforeAll(async () => {
  [llama, transformer] = [await trained.Llama(), await trained.Transformer()];
});

describe("open", () => {
  const long = new Array<number>(CONTEXT + 1).fill(3);

  it.each<[string, unknown, ErrorConstructor, string]>([
    ["nothing", undefined, TypeError, "open: expected a list of prompts, each { tokens }, got undefined"],
    ["a prompt without its list", { tokens: [3] }, TypeError, "open: expected a list of prompts, each { tokens }, got [object Object]"],
    ["bare ids", [[3, 4]], TypeError, 'open: prompt 0: tokens: expected a list of token ids, got undefined'],
    ["undefined as a prompt", [undefined], TypeError, "open: prompt 0: expected { tokens }, got undefined"],
    ["a text", [{ tokens: "abc" }], TypeError, "open: prompt 0: tokens: expected a list of token ids, got abc"],
    ["no tokens", [{ tokens: [3] }, { tokens: [] }], RangeError, `open: prompt 1: tokens: the model takes 1 to ${CONTEXT} tokens, got 0`],
    ["too many tokens", [{ tokens: long }], RangeError, `open: prompt 0: tokens: the model takes 1 to ${CONTEXT} tokens, got ${CONTEXT + 1}`],
    ["an id of V", [{ tokens: [3, VOCABULARY] }], RangeError, "open: prompt 0: tokens: token ids must be integers in [0, 13), got 13 at position 1"],
    ["an undefined id", [{ tokens: [undefined] }], RangeError, "open: prompt 0: tokens: token ids must be integers in [0, 13), got undefined at position 0"],
    ["a fraction", [{ tokens: [3.5] }], RangeError, "open: prompt 0: tokens: token ids must be integers in [0, 13), got 3.5 at position 0"],
    ["NaN in a typed array", [{ tokens: Float32Array.of(NaN) }], RangeError, "open: prompt 0: tokens: token ids must be integers in [0, 13), got NaN at position 0"],
    ["a source", [{ tokens: [3], source: [4] }], TypeError, "open: prompt 0: the model has no source"],
    ["an unknown field", [{ tokens: [3], temprature: 1 }], TypeError, 'open: prompt 0: unknown field "temprature"; did you mean "temperature"?'],
    ["a negative temperature", [{ tokens: [3], temperature: -1 }], RangeError, "open: prompt 0: temperature: expected a number of at least 0, got -1"],
    ["a top k of 1.5", [{ tokens: [3], topK: 1.5 }], RangeError, "open: prompt 0: topK: expected an integer of at least 0, got 1.5"],
    ["a negative seed", [{ tokens: [3], seed: -1 }], RangeError, "open: prompt 0: seed: expected an integer in [0, 2^53), got -1"],
    ["more prompts than rows", [3, 4, 5].map((id) => ({ tokens: [id] })), RangeError, "open: the session has 2 rows, of which 0 are open; it cannot open 3 more"],
  ])("with a Llama refuses %s, and leaves no row open", async (_, prompts, kind, message) => {
    const session = openSession(llama, { rows: 2 });
    await expect(session.open(prompts as never)).rejects.toThrow(new kind(message));
    expect(await session.open([{ tokens: [3] }, { tokens: [4] }])).toHaveLength(2);
    session.dispose();
  });

  it.each<[string, object, ErrorConstructor, string]>([
    ["no source", { tokens: [1] }, TypeError, "open: prompt 0: source: expected a list of token ids, got undefined"],
    ["an empty source", { tokens: [1], source: [] }, RangeError, `open: prompt 0: source: the model takes 1 to ${CONTEXT} tokens, got 0`],
    ["a source that is too long", { tokens: [1], source: long }, RangeError, `open: prompt 0: source: the model takes 1 to ${CONTEXT} tokens, got ${CONTEXT + 1}`],
    ["an undefined id in the source", { tokens: [1], source: [3, undefined] }, RangeError, "open: prompt 0: source: token ids must be integers in [0, 13), got undefined at position 1"],
  ])("with a Transformer refuses %s", async (_, prompt, kind, message) => {
    const session = openSession(transformer);
    await expect(session.open([prompt] as never)).rejects.toThrow(new kind(message));
    session.dispose();
  });

  it("is aborted by its signal between pieces and sources, and leaves no row open and no page in use", async () => {
    for (const [model, prompts] of [[llama, [{ tokens: randomIds(1, 140) }]], [transformer, Array.from({ length: 40 }, (_, i) => ({ tokens: [1], source: sourceOf(i) }))]] as const) {
      const session = openSession(model, { rows: 40, pieces: [16] });
      const abort = new AbortController();
      const opening = session.open(prompts as never, { signal: abort.signal });
      abort.abort(new Error("enough"));
      await expect(opening).rejects.toThrow("enough");
      expect([session["pool"].used, session["openRows"].size]).toEqual([0, 0]);
      session.dispose();
    }
  });

  it("does not change its lists, and accepts typed arrays", async () => {
    const session = openSession(llama);
    const tokens = [3, 4, 5];
    const rows = await session.open([{ tokens }, { tokens: Int32Array.from(tokens) as unknown as number[] }]);
    const chosen = await session.step(rows);
    expect([tokens, chosen[0]]).toEqual([[3, 4, 5], chosen[1]]);
    session.dispose();
  });
});

describe("append", () => {
  it("with no tokens changes nothing, and refuses ids outside the vocabulary and values that are not lists", async () => {
    const session = openSession(llama);
    const [row] = (await session.open([{ tokens: [3, 4] }])) as [Row];
    await session.append(row, []);
    await expect(session.append(row, [5, 13])).rejects.toThrow(new RangeError("append: token ids must be integers in [0, 13), got 13 at position 1"));
    await expect(session.append(row, [undefined as unknown as number])).rejects.toThrow(RangeError);
    await expect(session.append(row, 5 as never)).rejects.toThrow(new TypeError("append: expected a list of token ids, got 5"));
    await expect(session.append(row, randomIds(1, CONTEXT - 1))).rejects.toThrow(`append: the model takes at most ${CONTEXT} tokens, the row would have ${CONTEXT + 1}`);
    expect(row.tokens).toEqual([3, 4]);
    session.dispose();
  });

  it("leaves the row unchanged if aborted by its signal", async () => {
    const session = openSession(llama, { pieces: [16] });
    const [row, same] = (await session.open([{ tokens: randomIds(2, 70) }, { tokens: randomIds(2, 70) }])) as [Row, Row];
    const used = session["pool"].used;
    const abort = new AbortController();
    const appending = session.append(row, randomIds(3, 70), { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(appending).rejects.toThrow("enough");
    expect([row.tokens, session["pool"].used]).toEqual([randomIds(2, 70), used + 1]); // the rows shared a page, which was copied
    for (let i = 0; i < 5; i++) {
      const [chosen, expected] = await session.step([row, same]);
      expect(chosen).toBe(expected);
      expect(session.logits(row)).toEqual(session.logits(same));
    }
    session.dispose();
  });

  it("locks the row while it runs, and is aborted by closing the row, which releases its pages", async () => {
    const session = openSession(llama, { pieces: [16] });
    const [row] = (await session.open([{ tokens: [3] }])) as [Row];
    const appending = session.append(row, randomIds(3, 100));
    const busy = (verb: string): TypeError => new TypeError(`${verb}: row 0 is still reading tokens: await append first`);
    await expect(session.step([row])).rejects.toThrow(busy("step"));
    await expect(session.append(row, [3])).rejects.toThrow(busy("append"));
    expect(() => session.fork(row)).toThrow(busy("fork"));
    expect(() => session.truncate(row, 1)).toThrow(busy("truncate"));
    session.close(row);
    await expect(appending).rejects.toThrow(new TypeError("the row was closed while its tokens were being read"));
    expect(session["pool"].used).toBe(0);
    session.dispose();
  });
});
