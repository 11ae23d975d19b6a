import { describe, expect, it } from "vitest";
import { decodingMemory } from "../../host/decode/memory";
import { Session } from "../../host/decode/session";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { randomArray } from "../random";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const ids = (seed: number, n: number): number[] => Array.from(randomArray(n, seed, 0, 11), Math.floor);

describe("decodingMemory", () => {
  it("is what the pages of full rows take, and what the weights take once they are placed", async () => {
    const llama = new Llama({ vocabulary: 11, block: 130, layers: 2, heads: 4, keyValueHeads: 2, width: 16, hidden: 16 });
    const before = decodingMemory(llama, { rows: 3 });
    expect(before).toMatchObject({ weights: 0, rows: 3 * before.perRow, total: 3 * before.perRow });
    llama.place(runtime);
    const session = new Session(llama, { rows: 3 });
    await session.open([1, 2, 3].map((seed) => ({ tokens: ids(seed, 130) })));
    const pageBytes = session["pool"].bytes(1).length;
    expect(session["pool"].used * pageBytes).toBe(before.rows);
    expect(decodingMemory(llama, { rows: 3 })).toMatchObject({ weights: llama.weights.block.bytes, total: llama.weights.block.bytes + before.rows });
    expect(decodingMemory(llama, { tokens: 64 }).perRow).toBe(pageBytes);
    session.dispose();
    llama.dispose();
  });

  it("counts the source of a Transformer", () => {
    const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 11 });
    const { perRow } = decodingMemory(model, { tokens: 64, sourceTokens: 64 });
    expect(decodingMemory(model, { tokens: 1, sourceTokens: 1 }).perRow).toBe(perRow);
    expect(perRow).toBe(2 * 4 * 64 * 2 * 64); // two pages of 64 keys and values of width 64
  });

  it("refuses more tokens than the context, no rows, and models that cannot decode", () => {
    const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 11 });
    expect(() => decodingMemory(model, { tokens: 65 })).toThrow(new RangeError("decodingMemory: the model takes at most 64 tokens, got 65"));
    expect(() => decodingMemory(model, { rows: 0 })).toThrow(new RangeError("decodingMemory: rows: expected an integer of at least 1, got 0"));
    expect(() => decodingMemory({} as Transformer)).toThrow(TypeError);
  });
});
