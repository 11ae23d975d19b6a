import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import { Session } from "../../host/decode/session";
import { HeedError } from "../../host/errors";
import { hashWords } from "../../host/hash";
import { GPT } from "../../host/models/gpt";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { randomArray, uniform } from "../random";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const V = 13;
const config = { vocabulary: V, block: 160, layers: 2, heads: 2, width: 16 };
const place = (seed = 3): GPT => new GPT(config).place(runtime, { seed });
const model = place();
const randomIds = (seed: number, n: number): number[] => Array.from(randomArray(n, seed, 0, V), Math.floor);

/** Steps all rows and returns their tokens and the logits of the last step. */
async function decode(session: Session, steps: number, rows: readonly Row[] = session.openedRows): Promise<unknown[]> {
  for (let i = 0; i < steps; i++) await session.step(rows);
  return rows.map((row) => [[...row.tokens], [...session.logits(row)]]);
}

/** A saved session whose header was changed, with the right hashes. */
function forge(bytes: Uint8Array, change: (header: { rows: Record<string, unknown>[]; pages: number; weights: string }) => void): Uint8Array {
  const view = new DataView(bytes.buffer);
  const length = view.getUint32(8, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(44, 44 + length))) as Parameters<typeof change>[0];
  change(header);
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = 44 + 4 * Math.ceil(json.length / 4);
  const pages = bytes.subarray(44 + 4 * Math.ceil(length / 4));
  const forged = new Uint8Array(start + pages.length);
  forged.set(bytes.subarray(0, 44));
  forged.set(json, 44);
  forged.set(pages, start);
  const to = new DataView(forged.buffer);
  to.setUint32(8, json.length, true);
  const hash = hashWords(new Uint32Array(forged.buffer, 44, (start - 44) / 4));
  for (let i = 0; i < 4; i++) to.setUint32(12 + 4 * i, parseInt(hash.slice(8 * i, 8 * i + 8), 16), true);
  return forged;
}

describe("Session.restore", () => {
  it.each([1, 2, 63, 64, 65, 66, 128, 129, 130])("continues a prompt of %i tokens to the same tokens and logits, bit for bit, in pages that held NaN", async (n) => {
    const session = new Session(model, { poison: true });
    await session.open([{ tokens: randomIds(n, n) }, { tokens: randomIds(n, n), temperature: 1, seed: 4, repetitionPenalty: 1.3, banned: [2] }, { tokens: [7] }]);
    await session.step(session.openedRows.slice(0, 2));
    const bytes = session.save();
    const again = Session.restore(model, bytes, { poison: true });
    expect(again.openedRows.map(({ tokens }) => tokens)).toEqual(session.openedRows.map(({ tokens }) => tokens));
    expect(await decode(again, 20)).toEqual(await decode(session, 20));
    expect(again["pool"].used).toBe(session["pool"].used);
    again.dispose();
    session.dispose();
  });

  it("continues the rows of a Transformer, which share their source", async () => {
    const transformer = new Transformer({ ...transformerPresets.tiny, vocabulary: V }).place(runtime, { seed: 1 });
    const session = new Session(transformer);
    await session.open([{ source: [5, 6, 7], tokens: [1] }, { source: [5, 6, 7], tokens: [1, 4], temperature: 1 }]);
    const again = Session.restore(transformer, session.save());
    expect(await decode(again, 6)).toEqual(await decode(session, 6));
    for (const one of [again, session]) one.dispose();
    transformer.dispose();
  });

  it("continues in another process, to the same bits", async () => {
    const session = new Session(model);
    await session.open([{ tokens: randomIds(1, 70) }]);
    const bytes = session.save();
    const [[tokens]] = (await decode(session, 12)) as [[number[], number[]]];
    const child = fileURLToPath(new URL("saved-child.mjs", import.meta.url));
    const output = execFileSync(process.execPath, [child, JSON.stringify(config)], { input: bytes, encoding: "utf8" });
    expect(JSON.parse(output)).toEqual(tokens);
    session.dispose();
  });

  it("takes weights stored in another exact format, and names both hashes for other weights", async () => {
    const session = new Session(model);
    await session.open([{ tokens: [3, 4, 5] }]);
    const bytes = session.save();
    const panels = new GPT(config).place(runtime, { seed: 3, format: "panels" });
    const again = Session.restore(panels, bytes);
    expect(await decode(again, 3)).toEqual(await decode(session, 3));
    again.dispose();
    const before = runtime.memory.report();
    const other = place(4);
    const [mine, theirs] = [model.weights.hash(), other.weights.hash()];
    expect(() => Session.restore(other, bytes)).toThrow(
      new HeedError("checkpoint", `Session.restore: the session was saved with weights of hash ${mine}, the model's have ${theirs}; load the model that the session belongs to`),
    );
    other.dispose();
    expect(runtime.memory.report()).toEqual(before);
    for (const one of [panels, session]) one.dispose();
  });

  it("refuses any bytes that were changed or cut, and rows that do not fit, with a HeedError `format`", async () => {
    const session = new Session(model);
    await session.open([{ tokens: randomIds(1, 70), logitBias: [[3, -Infinity], [4, 2]] }, { tokens: [3] }]);
    const bytes = session.save();
    Session.restore(model, bytes).dispose();
    const next = uniform(1);
    for (let round = 0; round < 200; round++) {
      const mutated = bytes.slice(0, next() < 0.3 ? Math.floor(next() * bytes.length) : bytes.length);
      if (mutated.length === bytes.length) mutated[Math.floor(next() * bytes.length * (next() < 0.5 ? 1 : 0.01))]! ^= 1 << Math.floor(next() * 8);
      expect(() => Session.restore(model, mutated), `round ${round}`).toThrow(expect.objectContaining({ code: "format" }) as Error);
    }
    const forgeries: ((row: Record<string, unknown>) => void)[] = [
      (row) => (row.pages = [0, 99]), (row) => (row.pages = [0, -1]), (row) => (row.pages = [0]), (row) => (row.stored = 70), (row) => (row.tokens = []),
      (row) => (row.tokens = [V]), (row) => (row.source = [1]), (row) => (row.sampler = { temperature: "hot" }), (row) => (row.generated = 71), (row) => delete row.draws,
    ];
    for (const change of forgeries) {
      const forged = forge(bytes, ({ rows }) => change(rows[0]!));
      expect(() => Session.restore(model, forged), String(change)).toThrow(expect.objectContaining({ code: "format" }) as Error);
    }
    expect(() => Session.restore(model, bytes, { rows: 1 })).toThrow(new RangeError("restore: the session has 1 rows, of which 0 are open; it cannot open 2 more"));
    session.dispose();
  });
});

describe("hashWords", () => {
  it("is MurmurHash3_x86_128, as mmh3 5.2 computes it", () => {
    const words = (n: number): Uint32Array => Uint32Array.from({ length: n }, (_, i) => Number((BigInt(i) * 2654435761n + 7n) & 0xffffffffn));
    const expected = {
      0: "00000000000000000000000000000000", 1: "ed1982573fd560473fd560473fd56047", 3: "74864bca3984ce0d3386625d6443827c",
      4: "b432b8506782fb28dbf4108f30fbac02", 7: "3c06197e67bf373b1c51dd868da51d68", 100: "df428f4420e19699dfaf6287ee666e4d",
    };
    for (const [n, hash] of Object.entries(expected)) expect(hashWords(words(Number(n)))).toBe(hash);
  });
});
