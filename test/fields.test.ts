import { describe, expect, it } from "vitest";
import { HeedError, inFile } from "../host/errors";
import { checkConfig, checkFields, count, type Fields, finiteOrNull, flag, oneOf, optional, share, text } from "../host/fields";

interface Config {
  heads: number;
  norm?: "pre" | "post";
  dropout?: number;
  bias?: boolean;
  loss: number | null;
}
const fields: Fields<Config> = { heads: count, norm: optional(oneOf("pre", "post")), dropout: optional(share), bias: optional(flag), loss: finiteOrNull };
// @ts-expect-error an optional property needs an optional field
export const wrongFields: Fields<{ heads?: number }> = { heads: count };
// @ts-expect-error and a required one must not be optional
export const wrongToo: Fields<{ heads: number }> = { heads: optional(count) };

const thrown = (action: () => void): Error => {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  return expect.fail("nothing was thrown");
};

const flaws: [unknown, string, ErrorConstructor][] = [
  [null, "expected an object with heads, loss, got null", TypeError],
  [[], "expected an object with heads, loss, got []", TypeError],
  [undefined, "expected an object with heads, loss, got nothing", TypeError],
  [{ head: 4, loss: 0 }, 'unknown field "head"; did you mean "heads"?', TypeError],
  [{ heads: 4, loss: 0, somethingElse: 1 }, 'unknown field "somethingElse"; the fields are heads, norm, dropout, bias, loss', TypeError],
  [{ loss: 0 }, "heads: expected an integer of at least 1, got nothing", TypeError],
  [{ heads: "4", loss: 0 }, 'heads: expected an integer of at least 1, got "4"', TypeError],
  [{ heads: 4.5, loss: 0 }, "heads: expected an integer of at least 1, got 4.5", RangeError],
  [{ heads: NaN, loss: 0 }, "heads: expected an integer of at least 1, got NaN", RangeError],
  [{ heads: 4n, loss: 0 }, "heads: expected an integer of at least 1, got 4", TypeError],
  [{ heads: 4, loss: 0, norm: "mid" }, 'norm: expected "pre" or "post", got "mid"', RangeError],
  [{ heads: 4, loss: 0, dropout: 1 }, "dropout: expected a number in [0, 1), got 1", RangeError],
  [{ heads: 4, loss: 0, dropout: null }, "dropout: expected a number in [0, 1), got null", TypeError],
  [{ heads: 4, loss: 0, bias: 1 }, "bias: expected true or false, got 1", TypeError],
  [{ heads: 4, loss: Infinity }, "loss: expected a number or null, got Infinity", TypeError],
];

describe("checkFields and checkConfig", () => {
  it("accept what the fields allow, and treat undefined as absent for an optional field", () => {
    for (const config of [{ heads: 1, loss: null }, { heads: 2, loss: 0.5, norm: "pre", dropout: undefined, bias: false }]) {
      expect(checkFields("", config, fields)).toBeUndefined();
      expect(checkConfig("Model", config, fields)).toBeUndefined();
    }
  });

  it.each(flaws)("reject %o: %s", (value, message, type) => {
    const inConstructor = thrown(() => checkConfig("Model", value, fields));
    expect([inConstructor.constructor, inConstructor.message]).toEqual([type, `Model: ${message}`]);
    expect(thrown(() => checkFields("model", value, fields))).toMatchObject({ name: "HeedError", code: "format", message: `model: ${message}` });
    expect(thrown(() => checkFields("", value, fields)).message).toBe(message);
  });

  it("do not list fields if none is required", () => {
    expect(thrown(() => checkConfig("Model", undefined, { bias: optional(flag) })).message).toBe("Model: expected an object, got nothing");
  });

  it("do not accept names that every object inherits", () => {
    expect(thrown(() => checkConfig("Model", { constructor: 1 }, { name: text })).message).toMatch(/unknown field "constructor"/);
  });
});

describe("inFile", () => {
  const broken = new HeedError("format", "not JSON");

  it("prefixes the message with the file's name, keeping code and cause", async () => {
    const error = thrown(() => inFile("a.json", () => { throw broken; }));
    expect(error).toMatchObject({ code: "format", message: "a.json: not JSON", file: "a.json", cause: broken });
    await expect(inFile("a.json", () => Promise.reject(broken))).rejects.toMatchObject({ message: "a.json: not JSON" });
  });

  it("names only the innermost file", () => {
    expect(thrown(() => inFile("folder", () => inFile("folder/a.json", () => { throw broken; }))).message).toBe("folder/a.json: not JSON");
  });

  it("returns the result of the action, and does not change other errors", async () => {
    expect(inFile("a", () => 1)).toBe(1);
    expect(await inFile("a", async () => 2)).toBe(2);
    const mistake = new TypeError("x is not a function");
    expect(thrown(() => inFile("a", () => { throw mistake; }))).toBe(mistake);
  });
});
