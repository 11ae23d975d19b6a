import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import { Session, type SessionOptions } from "../../host/decode/session";
import { HeedError } from "../../host/errors";
import type { DecoderModel } from "../../host/models/decoding";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
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
    const expected = "Session: expected a model that continues texts, such as GPT, or a model that decodes from a source, such as Transformer";
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
    ["nothing", undefined, TypeError, "open: expected a list of prompts, each { tokens }"],
    ["a prompt without its list", { tokens: [3] }, TypeError, "open: expected a list of prompts, each { tokens }"],
    ["bare ids", [[3, 4]], TypeError, 'open: prompt 0: tokens: expected a list of token ids, got undefined'],
    ["undefined as a prompt", [undefined], TypeError, "open: prompt 0: expected { tokens }, got undefined"],
    ["a text", [{ tokens: "abc" }], TypeError, "open: prompt 0: tokens: expected a list of token ids, got abc"],
    ["no tokens", [{ tokens: [3] }, { tokens: [] }], RangeError, `open: prompt 1: tokens: the model takes 1 to ${CONTEXT} tokens, got 0`],
    ["too many tokens", [{ tokens: long }], RangeError, `open: prompt 0: tokens: the model takes 1 to ${CONTEXT} tokens, got ${CONTEXT + 1}`],
    ["an id of V", [{ tokens: [3, VOCABULARY] }], RangeError, "open: prompt 0: tokens: token ids must be whole numbers in [0, 13), got 13 at position 1"],
    ["an undefined id", [{ tokens: [undefined] }], RangeError, "open: prompt 0: tokens: token ids must be whole numbers in [0, 13), got undefined at position 0"],
    ["a fraction", [{ tokens: [3.5] }], RangeError, "open: prompt 0: tokens: token ids must be whole numbers in [0, 13), got 3.5 at position 0"],
    ["NaN in a typed array", [{ tokens: Float32Array.of(NaN) }], RangeError, "open: prompt 0: tokens: token ids must be whole numbers in [0, 13), got NaN at position 0"],
    ["a source", [{ tokens: [3], source: [4] }], TypeError, "open: prompt 0: the model has no source"],
    ["an unknown field", [{ tokens: [3], temprature: 1 }], TypeError, 'open: prompt 0: unknown field "temprature"; did you mean "temperature"?'],
    ["a negative temperature", [{ tokens: [3], temperature: -1 }], RangeError, "open: prompt 0: temperature: expected a number of at least 0, got -1"],
    ["a top k of 1.5", [{ tokens: [3], topK: 1.5 }], RangeError, "open: prompt 0: topK: expected an integer of at least 0, got 1.5"],
    ["a negative seed", [{ tokens: [3], seed: -1 }], RangeError, "open: prompt 0: seed: expected an integer in [0, 2^53), got -1"],
    ["more prompts than rows", [3, 4, 5].map((id) => ({ tokens: [id] })), RangeError, "open: the session has 2 rows, of which 0 are open; got 3 prompts"],
  ])("of a Llama refuses %s, and leaves every row free", async (_, prompts, kind, message) => {
    const session = openSession(llama, { rows: 2 });
    await expect(session.open(prompts as never)).rejects.toThrow(new kind(message));
    expect(await session.open([{ tokens: [3] }, { tokens: [4] }])).toHaveLength(2);
    session.dispose();
  });

  it.each<[string, object, ErrorConstructor, string]>([
    ["no source", { tokens: [1] }, TypeError, "open: prompt 0: source: expected a list of token ids, got undefined"],
    ["an empty source", { tokens: [1], source: [] }, RangeError, `open: prompt 0: source: the model takes 1 to ${CONTEXT} tokens, got 0`],
    ["a source that is too long", { tokens: [1], source: long }, RangeError, `open: prompt 0: source: the model takes 1 to ${CONTEXT} tokens, got ${CONTEXT + 1}`],
    ["an undefined id in the source", { tokens: [1], source: [3, undefined] }, RangeError, "open: prompt 0: source: token ids must be whole numbers in [0, 13), got undefined at position 1"],
  ])("of a Transformer refuses %s", async (_, prompt, kind, message) => {
    const session = openSession(transformer);
    await expect(session.open([prompt] as never)).rejects.toThrow(new kind(message));
    session.dispose();
  });

  it("stops at its signal between pieces and sources: no row is open, no page is used", async () => {
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

  it("changes no list that it is given, and takes typed arrays", async () => {
    const session = openSession(llama);
    const tokens = [3, 4, 5];
    const rows = await session.open([{ tokens }, { tokens: Int32Array.from(tokens) as unknown as number[] }]);
    const chosen = await session.step(rows);
    expect([tokens, chosen[0]]).toEqual([[3, 4, 5], chosen[1]]);
    session.dispose();
  });
});

describe("step", () => {
  it("goes up to a full context, and refuses to go on, changing nothing", async () => {
    const session = openSession(llama);
    const [full, other] = (await session.open([{ tokens: randomIds(1, CONTEXT) }, { tokens: [3] }])) as [Row, Row];
    await session.step([full]); // past = context − 1
    const message = `step: the model's context is ${CONTEXT} tokens, and the row would have ${CONTEXT + 1}; truncate it, or open a new row with fewer`;
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

  it("with weights that are NaN names the row, and changes nothing: with the weights back it goes on as before", async () => {
    const model = copyOf(llama, await createRuntime());
    const session = openSession(model);
    const rows = await session.open([{ tokens: [3, 4] }, { tokens: [5], temperature: 1, seed: 7 }, { tokens: [6, 7, 8] }]);
    await session.step(rows);
    const before = rows.map(({ tokens, draws }) => [...tokens, draws]);
    const weights = model.weights.read();
    model.norm.weight.state!.write([NaN]);
    await expect(session.step(rows)).rejects.toThrow(new HeedError("data", "step: the logits of row 0 are not numbers (NaN); was the model trained?"));
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
    model.embedding.weight.state!.write([NaN], 12 * model.config.width); // token 12's
    await expect(session.step(rows)).rejects.toThrow("step: the logits of row 2 are not numbers (NaN); was the model trained?");
  });
});

describe("append", () => {
  it("of nothing changes nothing, and refuses ids outside the vocabulary and what is no list", async () => {
    const session = openSession(llama);
    const [row] = (await session.open([{ tokens: [3, 4] }])) as [Row];
    await session.append(row, []);
    await expect(session.append(row, [5, 13])).rejects.toThrow(new RangeError("append: token ids must be whole numbers in [0, 13), got 13 at position 1"));
    await expect(session.append(row, [undefined as unknown as number])).rejects.toThrow(RangeError);
    await expect(session.append(row, 5 as never)).rejects.toThrow(new TypeError("append: expected a list of token ids, got 5"));
    await expect(session.append(row, randomIds(1, CONTEXT - 1))).rejects.toThrow(`append: the model's context is ${CONTEXT} tokens, and the row would have ${CONTEXT + 1}`);
    expect(row.tokens).toEqual([3, 4]);
    session.dispose();
  });

  it("that its signal stops leaves the row as it was", async () => {
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

  it("while it runs, no other verb takes the row; closing it ends it, without a page left", async () => {
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
  it("are those of the row's place in the last step, whatever becomes of the list that it was given", async () => {
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

  it("are refused to a row that took no part, and once another program has run", async () => {
    const session = openSession(llama);
    const [row, other] = (await session.open([{ tokens: [3] }, { tokens: [4] }])) as [Row, Row];
    await session.step([row]);
    expect(() => session.logits(other)).toThrow(new TypeError("logits: the row took no part in the session's last step"));
    await session.append(other, randomIds(1, 20));
    expect(() => session.logits(row)).toThrow(/^read: the arena holds no result of this program/);
    session.dispose();
  });
});

describe("dispose", () => {
  it("gives all memory back, twice without harm, and refuses what follows", async () => {
    const { memory } = llama.weights.runtime;
    const before = memory.report().filter(({ owner }) => owner !== "runtime");
    const session = openSession(llama);
    const [row] = (await session.open([{ tokens: [3] }])) as [Row];
    await session.step([row]);
    session.dispose();
    session.dispose();
    expect(memory.report().filter(({ owner }) => owner !== "runtime")).toEqual(before);
    const gone = new TypeError("the session was disposed");
    await expect(session.step([row])).rejects.toThrow(gone);
    await expect(session.open([{ tokens: [3] }])).rejects.toThrow(gone);
    expect(() => session.fork(row)).toThrow(gone);
    session.close(row);
  });

  it("of the model first makes steps a TypeError, and the memory comes back all the same", async () => {
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

describe("a Llama whose matrices are stored in panels", () => {
  it.each(["simd", "relaxed"] as const)("gives the tokens and logits of its f32 weights, bit for bit, and its block is as long as its padded rows (%s)", async (build) => {
    const runtime = await createRuntime(build);
    const plain = copyOf(llama, runtime);
    const isMatrix = ({ shape }: { shape: readonly number[] }): boolean => shape.length === 2;
    const model = new Llama(llama.config).place(runtime, { format: (_, parameter) => (isMatrix(parameter) ? "panels" : "f32") });
    model.weights.write(llama.weights.read());
    expect(model.weights.read()).toEqual(plain.weights.read());
    const decode = async (from: Llama): Promise<unknown[]> => {
      const session = openSession(from);
      const rows = await session.open([{ tokens: randomIds(1, 70) }, { tokens: [5], temperature: 1, seed: 7 }, { tokens: randomIds(2, 9) }]);
      const seen: unknown[] = [];
      for (let step = 0; step < 8; step++) {
        const some = rows.slice(0, 1 + (step % 3));
        await session.step(some);
        seen.push(some.map((row) => [[...row.tokens], session.logits(row).slice()]));
      }
      session.dispose();
      return seen;
    };
    expect(await decode(model)).toEqual(await decode(plain));
    const expected = [...model.weights.parameters.values()].reduce((sum, { shape: [rows = 1, columns = 1], size, format }) =>
      sum + Math.ceil((format === "panels" ? 64 * Math.ceil(rows / 16) * columns : 4 * size) / 64) * 64, 0);
    const reported = runtime.memory.report().filter(({ name }) => name === "weights").map(({ bytes }) => bytes);
    expect(reported).toEqual([plain.weights.block.bytes, expected]);
  });
});
