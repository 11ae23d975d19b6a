import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import { Session } from "../../host/decode/session";
import type { SessionOptions } from "../../host/decode/sessionoptions";
import { HeedError } from "../../host/errors";
import type { DecoderModel } from "../../host/models/decoding";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { createRuntime } from "../graph/runtime";
import { Digits } from "../models/digits";
import { CONTEXT, copyOf, openSession, randomIds, trained } from "./trained";

let llama: Llama;
beforeAll(async () => (llama = await trained.Llama()));

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

  it("frees its memory if it does not fit", async () => {
    const model = copyOf(llama, await createRuntime());
    const { memory } = model.weights.runtime;
    const before = memory.report();
    const allocate = memory.allocate.bind(memory);
    let calls = 0;
    memory.allocate = (bytes, owner, name) => {
      if (++calls === 2) throw new HeedError("memory", "full");
      return allocate(bytes, owner, name);
    };
    expect(() => openSession(model)).toThrow("full");
    expect(memory.report()).toEqual(before);
    openSession(model).dispose();
    expect(memory.report()).toEqual(before);
  });

  it("refuses a model without memory", () => {
    const model = new GPT({ vocabulary: 5, block: 4, layers: 1, heads: 1, width: 4 });
    expect(() => new Session(model)).toThrow(new TypeError("the model has no memory yet: call model.place(runtime) first"));
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

  it("of the model, which is then placed again, makes the session unusable", async () => {
    const runtime = await createRuntime();
    const model = copyOf(llama, runtime);
    const session = openSession(model);
    const [row] = (await session.open([{ tokens: [3] }])) as [Row];
    model.dispose();
    model.place(runtime);
    await expect(session.step([row])).rejects.toThrow(new TypeError("Session: the model has since been disposed and placed again; create a new session"));
    session.dispose();
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

describe("a Llama whose matrices are stored in panels", () => {
  it.each(["simd", "relaxed"] as const)("gives the tokens and logits of its f32 weights, bit for bit, and its block is as long as its padded rows (%s)", async (build) => {
    const runtime = await createRuntime(build);
    const plain = copyOf(llama, runtime);
    const model = new Llama(llama.config).place(runtime, { format: "panels" });
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
