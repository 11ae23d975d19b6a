import { expect, it } from "vitest";
import { HeedError } from "../host/errors";
import { parseJson } from "../host/json";

it("parseJson refuses values nested more than 1,000 levels deep, which JSON.stringify could not write again", () => {
  const nested = (depth: number, inside: string): string => "[".repeat(depth) + inside + "]".repeat(depth);
  const brackets = JSON.stringify('[{\\"'.repeat(2000));
  expect(JSON.stringify(parseJson(nested(1000, brackets)))).toBe(nested(1000, brackets));
  expect(parseJson(`[${"[],".repeat(5000)}{}]`)).toHaveLength(5001);
  for (const depth of [1001, 100_000]) {
    expect(() => parseJson(nested(depth, ""))).toThrow(new HeedError("format", "expected JSON of at most 1000 levels, got more"));
  }
});

it("parseJson reports invalid JSON in a bounded message without control characters", () => {
  let message = "";
  try {
    parseJson(`{"a": \u001b]0;owned\u0007${"x".repeat(1000)}`);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toMatch(/^not JSON: /);
  expect(message.length).toBeLessThan(250);
  expect(message).not.toMatch(/\p{Cc}/u);
});
