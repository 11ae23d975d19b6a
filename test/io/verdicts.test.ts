import { describe, expect, it } from "vitest";
import { HeedError } from "../../host/errors";
import { readSafetensors } from "../../host/io/safetensors";
import { verdicts } from "./verdicts";

/** Names of the tensors that heed reads, sorted as Python sorts them, or the message of its refusal. */
function answer(bytes: Uint8Array): string[] | string {
  try {
    return [...readSafetensors(bytes).tensors.keys()].sort();
  } catch (error) {
    if (error instanceof HeedError && error.code === "format") return error.message;
    throw error;
  }
}

/** What the reference accepts and heed refuses on purpose (docs/files.md), by the message of the refusal. */
const onPurpose = /expected '\{' first|duplicate key|expected an object, got an array|dtype: .* got an object$|from 0 to 2\^53/;

describe("the reference implementation's verdicts on hostile headers", () => {
  it("are heed's, except where docs/files.md says otherwise", () => {
    const cases = verdicts();
    const differing: [title: string, reference: string[] | null, heed: string[] | string][] = [];
    let refusedOnPurpose = 0;
    for (const { title, bytes, names } of cases) {
      const found = answer(bytes);
      const isSame = names === null ? typeof found === "string" : JSON.stringify(found) === JSON.stringify([...names].sort());
      const isOnPurpose = names !== null && typeof found === "string" && onPurpose.test(found);
      if (isOnPurpose) refusedOnPurpose++;
      else if (!isSame) differing.push([title, names, found]);
    }
    expect(differing).toEqual([]);
    expect(cases.length).toBeGreaterThan(1600);
    expect(refusedOnPurpose).toBeLessThan(cases.length / 50);
  });
});
