import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type BeamOptions, type BeamPrompt, beamSearch } from "../../host/decode/beam";
import { Session } from "../../host/decode/session";
import { Program } from "../../host/graph/program";
import { GPT } from "../../host/models/gpt";
import { createRuntime } from "../graph/runtime";

let model: GPT;
beforeAll(async () => (model = new GPT({ vocabulary: 23, block: 8, layers: 1, heads: 2, width: 16 }).place(await createRuntime(), { seed: 4 })));
afterEach(() => vi.restoreAllMocks());

const prompt = { tokens: [3, 1] };

describe("beamSearch refuses, before it runs anything,", () => {
  it.each<[object, ErrorConstructor, string]>([
    [{ temperature: 0.7 }, TypeError, "beamSearch: temperature=0.7 is for sampling, and beams are not sampled; use generate, or leave it out"],
    [{ topP: 0.9 }, TypeError, "beamSearch: topP=0.9 is for sampling, and beams are not sampled; use generate, or leave it out"],
    [{ seed: 0 }, TypeError, "beamSearch: seed=0 is for sampling, and beams are not sampled; use generate, or leave it out"],
    [{ beams: 0 }, RangeError, "beamSearch: beams: expected an integer of at least 1, got 0"],
    [{ beams: 2, nBest: 3 }, RangeError, "beamSearch: nBest: expected at most as many as beams=2, got 3"],
    [{ nBest: 5 }, RangeError, "beamSearch: nBest: expected at most as many as beams=4, got 5"],
    [{ end: 23 }, RangeError, "beamSearch: end: token ids must be integers in [0, 23), got 23 at position 0"],
    [{ end: [2, -1] }, RangeError, "beamSearch: end: token ids must be integers in [0, 23), got -1 at position 1"],
    [{ end: undefined }, TypeError, "beamSearch: end: expected a token id or a list of them, got nothing"],
    [{ maxTokens: 1.5 }, RangeError, "beamSearch: maxTokens: expected an integer of at least 0, got 1.5"],
    [{ earlyStopping: "always" }, TypeError, 'beamSearch: earlyStopping: expected true, false or "never", got "always"'],
    [{ lengthPenalty: { kind: "google", alpha: 1 } }, RangeError, 'beamSearch: lengthPenalty: kind: expected "wu" or "huggingface", got "google"'],
    [{ lengthPenalty: { kind: "wu" } }, TypeError, "beamSearch: lengthPenalty: alpha: expected a number, got nothing"],
    [{ lengthPenalty: { kind: "wu", alpha: NaN } }, RangeError, "beamSearch: lengthPenalty: alpha: expected a number, got NaN"],
    [{ repetitionPenalty: 0 }, RangeError, "beamSearch: repetitionPenalty: expected a number above 0, got 0"],
    [{ banned: [23] }, RangeError, "beamSearch: prompt 0: banned: token ids must be integers in [0, 23), got 23 at position 0"],
    [{ beam: 4 }, TypeError, 'beamSearch: unknown field "beam"; did you mean "beams"?'],
  ])("%j", async (options, kind, message) => {
    const run = vi.spyOn(Program.prototype, "run");
    const before = model.weights.runtime.memory.report();
    await expect(beamSearch(model, [prompt], { end: 2, ...options } as BeamOptions)).rejects.toThrow(new kind(message));
    expect(run).not.toHaveBeenCalled();
    expect(model.weights.runtime.memory.report()).toEqual(before);
  });

  it.each<[unknown, ErrorConstructor, string]>([
    [{ tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9] }, RangeError, "beamSearch: prompt 49: tokens: the model takes 1 to 8 tokens, got 9"],
    [{ tokens: [] }, RangeError, "beamSearch: prompt 49: tokens: the model takes 1 to 8 tokens, got 0"],
    [{ tokens: [1, 23] }, RangeError, "beamSearch: prompt 49: tokens: token ids must be integers in [0, 23), got 23 at position 1"],
    [{ tokens: [1], temperature: 1 }, TypeError, "beamSearch: prompt 49: temperature=1 is for sampling, and beams are not sampled; use generate, or leave it out"],
    [{ tokens: [1], end: [3] }, TypeError, "beamSearch: prompt 49: end is the same for all prompts; give it with the options"],
    [{ tokens: [1], source: [3] }, TypeError, "beamSearch: prompt 49: the model has no source"],
    [{ tokens: [1], minTokens: -1 }, RangeError, "beamSearch: prompt 49: minTokens: expected an integer of at least 0, got -1"],
    [undefined, TypeError, "beamSearch: prompt 49: expected { tokens }, got undefined"],
  ])("%j as the last of 50 prompts", async (bad, kind, message) => {
    const run = vi.spyOn(Program.prototype, "run");
    const prompts = [...Array.from({ length: 49 }, () => prompt), bad as BeamPrompt];
    await expect(beamSearch(model, prompts, { end: 2 })).rejects.toThrow(new kind(message));
    expect(run).not.toHaveBeenCalled();
  });

  it("a session with too few free rows, prompts that are no list, and values that are no model", async () => {
    const session = new Session(model, { rows: 5 });
    await expect(beamSearch(session, [prompt], { end: 2, beams: 6 })).rejects.toThrow(new RangeError("beamSearch: 6 beams need as many rows; the session has 5, of which 5 are free"));
    await session.open([prompt, prompt]);
    await expect(beamSearch(session, [prompt], { end: 2 })).rejects.toThrow(new RangeError("beamSearch: 4 beams need as many rows; the session has 5, of which 3 are free"));
    session.dispose();
    await expect(beamSearch(model, prompt as never, { end: 2 })).rejects.toThrow(new TypeError("beamSearch: expected a list of prompts, each { tokens }"));
    await expect(beamSearch({} as never, [prompt], { end: 2 })).rejects.toThrow(TypeError);
  });
});

describe("beamSearch", () => {
  it("has room for the context and one more token, for one more token after a full prompt, and for none if maxTokens is 0", async () => {
    const search = async (tokens: number[], options: Partial<BeamOptions> = {}) => (await beamSearch(model, [{ tokens }], { end: 2, banned: [2], ...options }))[0]!;
    const [longest] = await search([3]);
    expect([longest!.ids.length, longest!.reason]).toEqual([8, "length"]);
    expect((await search([1, 2, 3, 4, 5, 6, 7, 8]))[0]!.ids).toHaveLength(1);
    expect(await search([3], { maxTokens: 0 })).toEqual([]);
    expect(await beamSearch(model, [], { end: 2 })).toEqual([]);
  });

  it("lets a prompt's settings replace those of the options", async () => {
    const expected = await beamSearch(model, [prompt], { end: 2, banned: [5, 6], minTokens: 3 });
    expect(await beamSearch(model, [{ ...prompt, banned: [5, 6] }], { end: 2, banned: [7], minTokens: 3 })).toEqual(expected);
  });

  it("keeps all of its beams although most tokens end a hypothesis", async () => {
    const session = new Session(model, { rows: 8 });
    const rows: number[] = [];
    const expand = session.expand.bind(session);
    session.expand = (groups, ...rest) => (rows.push(groups[0]!.length), expand(groups, ...rest));
    const end = Array.from({ length: 20 }, (_, id) => id);
    await beamSearch(session, [prompt], { end, beams: 3, maxTokens: 4, earlyStopping: "never", lengthPenalty: { kind: "huggingface", alpha: 3 } });
    expect(rows.slice(0, 2)).toEqual([1, 3]);
    session.dispose();
  });

  it("returns fewer hypotheses than asked for if penalties leave no more", async () => {
    const banned = Array.from({ length: 23 }, (_, id) => id).filter((id) => id !== 2 && id !== 9);
    const [found] = await beamSearch(model, [{ tokens: [3] }], { end: 2, beams: 4, nBest: 4, maxTokens: 3, banned, noRepeatNGram: 1 });
    expect(found!.map(({ ids, reason }) => [ids, reason]).sort()).toEqual([[[], "end"], [[9], "end"]]);
  });

  it("is aborted by its signal, and throws for NaN weights; both close the rows of the session", async () => {
    const session = new Session(model, { rows: 8 });
    await expect(beamSearch(session, [prompt], { end: 2, signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    const abort = new AbortController();
    const expand = session.expand.bind(session);
    session.expand = (...given) => (abort.abort(new Error("enough")), expand(...given));
    await expect(beamSearch(session, [prompt, prompt], { end: 2, signal: abort.signal })).rejects.toThrow("enough");
    expect([session.free, session["pool"].used]).toEqual([8, 0]);
    const before = model.weights.read();
    model.embedding.weight.state!.write(new Float32Array(64).fill(NaN));
    await expect(beamSearch(session, [prompt], { end: 2 })).rejects.toMatchObject({ name: "HeedError", code: "data" });
    model.weights.write(before);
    expect([session.free, session["pool"].used]).toEqual([8, 0]);
    session.dispose();
  });
});
