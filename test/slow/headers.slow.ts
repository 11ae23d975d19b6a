import { expect, it } from "vitest";
import { HeedError } from "../../host/errors";
import { readSafetensors } from "../../host/io/safetensors";
import { fileOf, verdicts } from "../io/verdicts";
import { attack, mutateBytes } from "./mutate";
import { rounds } from "./settings";

/** Reads a file. Returns the names of its tensors, or null if it is refused. */
function read(bytes: Uint8Array): string[] | null {
  try {
    return [...readSafetensors(bytes).tensors.keys()];
  } catch (error) {
    if (!(error instanceof HeedError) || error.code !== "format") throw error;
    expect(error.message.length).toBeLessThan(2000);
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    return null;
  }
}

it("heed accepts no header that the reference refuses, in any of its recorded verdicts and their mutations in space", async () => {
  const cases = verdicts();
  await attack("header verdicts", rounds(20_000), 5, (dice) => {
    const { title, bytes, names } = dice.pick(cases);
    const header = bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)));
    const padded = Uint8Array.of(...header, ...new Array<number>(dice.below(20)).fill(0x20)); // spaces may follow
    if (names === null) expect([title, read(fileOf(padded, bytes.length - 8 - header.length))]).toEqual([title, null]);
    else read(fileOf(padded, bytes.length - 8 - header.length));
  });
});

it("a mutated header is read or refused", async () => {
  const cases = verdicts();
  await attack("mutated headers", rounds(100_000), 5, (dice) => {
    read(mutateBytes(dice, dice.pick(cases).bytes));
  });
});

it.each<[string, (i: number) => string]>([
  ["tensors", (i) => `"layers.${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`],
  ["metadata", (i) => `${i === 0 ? '"__metadata__":{' : ""}"${i}":""`],
  ["ignored numbers", (i) => (i === 0 ? '"w":{"x":[0' : "0,0,0,0,0,0,0,0")],
  ["a shape of ones", (i) => (i === 0 ? '"w":{"dtype":"U8","data_offsets":[0,1],"shape":[1' : "1,1,1,1,1,1,1,1,1")],
  ["nesting", (i) => (i === 0 ? '"w":{"x":[' : "[[[[[[[[[[[[")],
])("a header of 99 MB full of %s takes less than 30 s", (_, part) => {
  const header = new Uint8Array(99_000_000).fill(0x20);
  header[0] = 0x7b;
  let at = 1;
  for (let i = 0; at < header.length - 1000; i++) at += new TextEncoder().encodeInto(`${i === 0 ? "" : ","}${part(i)}`, header.subarray(at)).written;
  const started = performance.now();
  read(fileOf(header, 1));
  expect(performance.now() - started).toBeLessThan(30_000);
});
