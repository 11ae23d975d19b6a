import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Row } from "../../host/decode/row";
import type { Sampler } from "../../host/decode/sampler";
import type { Session } from "../../host/decode/session";
import type { Extension } from "../../host/decode/steps";
import { Program } from "../../host/graph/program";
import type { GPT } from "../../host/models/gpt";
import { CONTEXT, openSession, randomIds, trained } from "./trained";

let model: GPT;
let session: Session<GPT>;
beforeAll(async () => (model = await trained.GPT()));
const open = async (...prompts: (readonly number[])[]): Promise<Row[]> => {
  session = openSession(model);
  return session.open(prompts.map((tokens) => ({ tokens })));
};
afterEach(() => {
  vi.restoreAllMocks();
  session.dispose();
});

describe("expand and choose", () => {
  it("of one row give the tokens and bits of steps: the best extension is what step would choose", async () => {
    const [row, twin] = (await open(randomIds(1, 60), randomIds(1, 60))) as [Row, Row];
    for (let i = 0; i < 10; i++) {
      const [[best]] = (await session.expand([[row]], [[0]], { width: 1, count: 1 })) as [[Extension]];
      expect(best.parent).toBe(0);
      session.choose(row, best.id);
      await session.step([twin]);
      expect(row.tokens).toEqual(twin.tokens);
    }
    expect(await session.step([row])).toEqual(await session.step([twin]));
    expect(row.generated).toBe(twin.generated);
  });

  it("of groups of different sizes give each what it has alone, with its own scores", async () => {
    const rows = (await open([3], [4, 5], [6, 7, 8], randomIds(1, 70))) as [Row, Row, Row, Row];
    const groups = [[rows[0], rows[1]], [rows[2]], [rows[3]]];
    const scores = [[-1, -0.5], [-2], [0]];
    const together = await session.expand(groups, scores, { width: 2, count: 5 });
    session.dispose();
    const again = (await open([3], [4, 5], [6, 7, 8], randomIds(1, 70))) as [Row, Row, Row, Row];
    const others = [[again[0], again[1]], [again[2]], [again[3]]];
    for (const [g, group] of others.entries()) expect(await session.expand([group], [scores[g]!], { width: 4, count: 5 })).toEqual([together[g]]);
    expect(new Set(together[0]!.map(({ parent }) => parent)).size).toBe(2);
  });

  it("give another token than step would, and rows go on from it", async () => {
    const [row] = (await open(randomIds(2, 63))) as [Row];
    const before = [...row.tokens];
    await session.expand([[row]], [[0]], { width: 2, count: 3 });
    const fork = session.fork(row); // a row that waits can be forked
    session.choose(row, 5);
    session.choose(fork, 6);
    const [first, second] = await session.step([row, fork]);
    const [a, b] = (await session.open([{ tokens: [...before, 5] }, { tokens: [...before, 6] }])) as [Row, Row];
    expect(await session.step([a, b])).toEqual([first, second]);
  });

  it("refuse what does not fit, before anything runs", async () => {
    const [row, other] = (await open([3], [4])) as [Row, Row];
    const run = vi.spyOn(Program.prototype, "run");
    const sizes = { width: 1, count: 2 };
    const refused: [() => Promise<unknown>, Error][] = [
      [() => session.expand([[row, other]], [[0, 0]], sizes), new RangeError("expand: expected at most 12 groups of at most 1 rows, got 1 groups")],
      [() => session.expand([[row], [other]], [[0], [0]], { width: 8, count: 2 }), new RangeError("expand: expected at most 1 groups of at most 8 rows, got 2 groups")],
      [() => session.expand([[row], [row]], [[0], [0]], sizes), new TypeError("expand: row 1 is given twice")],
      [() => session.expand([[row]], [[0, 1]], sizes), new RangeError("expand: group 0 has 1 rows, got 2 scores")],
      [() => session.expand([[row], [other]], [[0]], sizes), new RangeError("expand: group 1 has 1 rows, got 0 scores")],
      [() => session.expand([[row]], [[0]], { width: 0, count: 2 }), new RangeError("expand: width: expected an integer of at least 1, got 0")],
      [() => session.expand([[row]], [[0]], { width: 1, count: 1.5 }), new RangeError("expand: count: expected an integer of at least 1, got 1.5")],
    ];
    for (const [action, error] of refused) await expect(action()).rejects.toThrow(error);
    expect(() => session.choose(row, 5)).toThrow(new TypeError("choose: the row does not wait for a token: call expand first"));
    expect(run).not.toHaveBeenCalled();
    expect(await session.expand([], [], sizes)).toEqual([]);
  });

  it("leave a row waiting: only choose, fork and close take it, and choose takes it once", async () => {
    const [row] = (await open([3])) as [Row];
    await session.expand([[row]], [[0]], { width: 1, count: 2 });
    const waits = (verb: string): TypeError => new TypeError(`${verb}: row 0 waits for a token: call choose first`);
    await expect(session.step([row])).rejects.toThrow(waits("step"));
    await expect(session.expand([[row]], [[0]], { width: 1, count: 2 })).rejects.toThrow(waits("expand"));
    await expect(session.append(row, [4])).rejects.toThrow(waits("append"));
    expect(() => session.truncate(row, 1)).toThrow(waits("truncate"));
    expect(() => session.choose(row, 13)).toThrow(new RangeError("choose: token ids must be integers in [0, 13), got 13 at position 0"));
    expect(() => session.logits(row)).toThrow(TypeError);
    session.choose(row, 4);
    expect(() => session.choose(row, 4)).toThrow(TypeError);
    await session.step([row]);
    session.close(row);
    expect(() => session.choose(row, 4)).toThrow(new TypeError("choose: row 0 is not open in this session"));
    expect(session["pool"].used).toBe(0);
  });

  it("refuse a row at the context's end, and leave the others ready", async () => {
    const [full, other] = (await open(randomIds(1, CONTEXT), [4])) as [Row, Row];
    await session.step([full]);
    await expect(session.expand([[other], [full]], [[0], [0]], { width: 1, count: 2 })).rejects.toThrow(RangeError);
    expect(await session.step([other])).toHaveLength(1);
  });
});

describe("a sampler is refused by open and fork, before anything runs,", () => {
  it.each<[object, ErrorConstructor, string]>([
    [{ topP: 0 }, RangeError, "topP: expected a number in (0, 1], got 0"], [{ topP: 1.1 }, RangeError, "topP: expected a number in (0, 1], got 1.1"],
    [{ topP: NaN }, RangeError, "topP: expected a number in (0, 1], got NaN"], [{ typicalP: 0 }, RangeError, "typicalP: expected a number in (0, 1], got 0"],
    [{ minP: 1 }, RangeError, "minP: expected a number in [0, 1), got 1"], [{ minP: -0.1 }, RangeError, "minP: expected a number in [0, 1), got -0.1"],
    [{ repetitionPenalty: 0 }, RangeError, "repetitionPenalty: expected a number above 0, got 0"], [{ presencePenalty: Infinity }, RangeError, "presencePenalty: expected a number, got Infinity"],
    [{ noRepeatNGram: -1 }, RangeError, "noRepeatNGram: expected an integer of at least 0, got -1"], [{ minTokens: 0.5 }, RangeError, "minTokens: expected an integer of at least 0, got 0.5"],
    [{ banned: [2, 13] }, RangeError, "banned: token ids must be integers in [0, 13), got 13 at position 1"], [{ end: [-1] }, RangeError, "end: token ids must be integers in [0, 13), got -1 at position 0"],
    [{ forced: [[0, 13]] }, RangeError, "forced: token ids must be integers in [0, 13), got 13 at position 0"], [{ forced: [[-1, 3]] }, RangeError, "forced: expected an index of at least 0, got -1"],
    [{ forced: [3] }, TypeError, "forced: expected a list of pairs, got [3]"], [{ logitBias: [[13, 1]] }, RangeError, "logitBias: token ids must be integers in [0, 13), got 13 at position 0"],
    [{ logitBias: [[3, NaN]] }, RangeError, "logitBias: expected a number below Infinity for token 3, got NaN"], [{ logitBias: [[3, 1e39]] }, RangeError, "logitBias: expected a number below Infinity for token 3, got 1e+39"],
    [{ banned: 3 }, TypeError, "banned: expected a list of token ids, got 3"], [{ topp: 0.5 }, TypeError, 'unknown field "topp"; did you mean "topP"?'],
  ])("%j", async (sampler, kind, message) => {
    const [row] = (await open([3])) as [Row];
    const run = vi.spyOn(Program.prototype, "run");
    await expect(session.open([{ tokens: [3] }, { tokens: [3], ...sampler }])).rejects.toThrow(new kind(`open: prompt 1: ${message}`));
    expect(() => session.fork(row, sampler as Sampler)).toThrow(new kind(`fork: ${message}`));
    expect([run.mock.calls.length, session.free]).toEqual([0, 11]);
  });
});
