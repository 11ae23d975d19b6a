import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import { Session, type SessionOptions } from "../../host/decode/session";
import { HeedError } from "../../host/errors";
import type { DecoderModel } from "../../host/models/decoding";
import { GPT } from "../../host/models/gpt";
import type { Llama } from "../../host/models/llama";
import type { Transformer } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";
import { Digits } from "../models/digits";
import { copyOf, CONTEXT, openSession, randomIds, sourceOf, trained, VOCABULARY } from "./trained";

let llama: Llama;
let transformer: Transformer;
beforeAll(async () => {
  [llama, transformer] = [await trained.Llama(), await trained.Transformer()];
});

describe("new Session", () => {
  it.each<[unknown, string]>([
    [{ row: 4 }, 'Session: unknown field "row"; did you mean "rows"?'],
    [{ rows: 0 }, "Session: rows: expected an integer of at least 1, got 0"],
    [{ rows: 1.5 }, "Session: rows: expected an integer of at least 1, got 1.5"],
    [{ pieces: [] }, "Session: pieces: expected a list of integers of at least 1, got []"],
    [{ pieces: [16, 0] }, "Session: pieces: expected a list of integers of at least 1, got [16,0]"],
    [{ pieces: 16 }, "Session: pieces: expected a list of integers of at least 1, got 16"],
    [{ poison: 1 }, "Session: poison: expected true or false, got 1"],
    [null, "Session: expected an object, got null"],
  ])("refuses %j", (options, message) => {
    const before = llama.weights.runtime.memory.used;
    expect(() => new Session(llama, options as SessionOptions)).toThrow(message);
    expect(llama.weights.runtime.memory.used).toBe(before);
  });

  it.each<[string, () => unknown, string]>([
    ["nothing", () => undefined, "undefined"],
    ["a runtime", () => llama.weights.runtime, "Runtime"],
    ["a model that does not decode", () => new Digits(), "Digits"],
  ])("refuses %s as a model", (_, model, name) => {
    const expected = "Session: expected a model that continues text, such as GPT, or a model that decodes from a source, such as Transformer";
    expect(() => new Session(model() as DecoderModel)).toThrow(new TypeError(`${expected}, got ${name}`));
  });

  it("refuses a model without memory", () => {
    const model = new GPT({ vocabulary: 5, block: 4, layers: 1, heads: 1, width: 4 });
    expect(() => new Session(model)).toThrow(new TypeError("the model has no memory yet: call model.place(runtime) first"));
  });
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
    ["more prompts than rows", [3, 4, 5].map((id) => ({ tokens: [id] })), RangeError, "open: the session has 2 rows, of which 0 are open; got 3 prompts"],
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

describe("step", () => {
  it("fills the context, then refuses to continue and changes nothing", async () => {
    const session = openSession(llama);
    const [full, other] = (await session.open([{ tokens: randomIds(1, CONTEXT) }, { tokens: [3] }])) as [Row, Row];
    await session.step([full]); // past = context − 1
    const message = `step: the model takes at most ${CONTEXT} tokens, the row would have ${CONTEXT + 1}; truncate it or open a shorter row`;
    for (let i = 0; i < 2; i++) await expect(session.step([other, full])).rejects.toThrow(new RangeError(message));
    expect([full.tokens.length, other.tokens.length]).toEqual([CONTEXT + 1, 1]);
    await expect(session.append(full, [3])).rejects.toThrow(RangeError);
    session.truncate(full, CONTEXT);
    expect(await session.step([full, other])).toHaveLength(2);
    session.dispose();
  });

  it("of no rows does nothing", async () => {
    const session = openSession(llama);
    expect(await session.step([])).toEqual([]);
    session.dispose();
  });

  it.each<[string, (row: Row, closed: Row, foreign: Row) => unknown, string]>([
    ["a row without its list", (row) => row, "step: expected a list of rows"],
    ["nothing", () => undefined, "step: expected a list of rows"],
    ["a row that was closed", (row, closed) => [row, closed], "step: row 1 is not open in this session"],
    ["another session's row", (_, __, foreign) => [foreign], "step: row 0 is not open in this session"],
    ["a row twice", (row) => [row, row], "step: row 1 is given twice"],
    ["undefined", () => [undefined], "step: row 0 is not open in this session"],
  ])("refuses %s", async (_, rows, message) => {
    const [session, other] = [openSession(llama), openSession(llama)];
    const [row, closed] = (await session.open([{ tokens: [3] }, { tokens: [4] }])) as [Row, Row];
    const [foreign] = (await other.open([{ tokens: [3] }])) as [Row];
    session.close(closed);
    session.close(closed);
    await expect(session.step(rows(row, closed, foreign) as Row[])).rejects.toThrow(new TypeError(message));
    session.dispose();
    other.dispose();
  });

  it("names the row if the weights are NaN, and changes nothing: with the weights restored it continues as before", async () => {
    const model = copyOf(llama, await createRuntime());
    const session = openSession(model);
    const rows = await session.open([{ tokens: [3, 4] }, { tokens: [5], temperature: 1, seed: 7 }, { tokens: [6, 7, 8] }]);
    await session.step(rows);
    const before = rows.map(({ tokens, draws }) => [...tokens, draws]);
    const weights = model.weights.read();
    model.norm.weight.state!.write([NaN]);
    await expect(session.step(rows)).rejects.toThrow(new HeedError("data", "step: the logits of row 0 are NaN; expected finite numbers. Has the model been trained?"));
    expect(rows.map(({ tokens, draws }) => [...tokens, draws])).toEqual(before);
    expect(() => session.logits(rows[0]!)).toThrow(TypeError);
    model.weights.write(weights);
    await session.step(rows);

    const again = openSession(model);
    const others = await again.open([{ tokens: [3, 4] }, { tokens: [5], temperature: 1, seed: 7 }, { tokens: [6, 7, 8] }]);
    for (let i = 0; i < 2; i++) await again.step(others);
    expect(rows.map(({ tokens }) => tokens)).toEqual(others.map(({ tokens }) => tokens));
  });

  it("names the row whose own logits are NaN, not the first", async () => {
    const model = copyOf(llama, await createRuntime());
    const session = openSession(model);
    const rows = await session.open([{ tokens: [3] }, { tokens: [4] }, { tokens: [12] }]);
    model.embedding.weight.state!.write([NaN], 12 * model.config.width); // the row of token 12
    await expect(session.step(rows)).rejects.toThrow("step: the logits of row 2 are NaN; expected finite numbers. Has the model been trained?");
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
    expect([row.tokens, session["pool"].used]).toEqual([randomIds(2, 70), used]);
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

describe("logits", () => {
  it("belong to the row's position in the last step, even if the caller has changed the list of rows", async () => {
    const session = openSession(llama);
    const rows = await session.open([3, 4, 5].map((id) => ({ tokens: [id] })));
    const list = [...rows];
    const chosen = await session.step(list);
    list.reverse();
    for (const [i, row] of rows.entries()) {
      const logits = session.logits(row);
      expect(logits.indexOf(Math.max(...logits))).toBe(chosen[i]);
    }
    session.dispose();
  });

  it("are refused for a row that was not part of the step, and after another program has run", async () => {
    const session = openSession(llama);
    const [row, other] = (await session.open([{ tokens: [3] }, { tokens: [4] }])) as [Row, Row];
    await session.step([row]);
    expect(() => session.logits(other)).toThrow(new TypeError("logits: the row was not part of the session's last step"));
    await session.append(other, randomIds(1, 20));
    expect(() => session.logits(row)).toThrow(/^read: the arena holds no result of this program/);
    session.dispose();
  });
});

describe("dispose", () => {
  it("frees all memory, can be called twice, and makes later calls fail", async () => {
    const { memory } = llama.weights.runtime;
    const before = memory.report().filter(({ owner }) => owner !== "runtime");
    const session = openSession(llama);
    const [row] = (await session.open([{ tokens: [3] }])) as [Row];
    await session.step([row]);
    session.dispose();
    session.dispose();
    expect(memory.report().filter(({ owner }) => owner !== "runtime")).toEqual(before);
    const gone = new TypeError("the session has been disposed; create a new one");
    await expect(session.step([row])).rejects.toThrow(gone);
    await expect(session.open([{ tokens: [3] }])).rejects.toThrow(gone);
    expect(() => session.fork(row)).toThrow(gone);
    session.close(row);
  });

  it("of the model first makes steps throw a TypeError, and still frees the memory", async () => {
    const runtime = await createRuntime();
    const model = copyOf(llama, runtime);
    const session = openSession(model);
    const [row] = (await session.open([{ tokens: [3] }])) as [Row];
    await session.step([row]);
    model.dispose();
    await expect(session.step([row])).rejects.toThrow(TypeError);
    session.dispose();
    expect(runtime.memory.report().map(({ owner }) => owner)).toEqual(["runtime"]);
  });
});
