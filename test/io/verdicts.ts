import { readFileSync } from "node:fs";

/** A header, and what the reference implementation says of it: the names of its tensors, sorted, or null if it refuses the file. */
export interface Verdict {
  title: string;
  bytes: Uint8Array;
  names: string[] | null;
}

type Case = [title: string, header: string | { base64: string }, dataBytes: number, names: string[] | null];

/** A file with this header, followed by `dataBytes` zero bytes. */
export function fileOf(header: Uint8Array, dataBytes: number): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  return bytes;
}

/** The cases of test/vectors/safetensors/verdicts.json, which generate.py beside it records. */
export function verdicts(): Verdict[] {
  const { cases } = JSON.parse(readFileSync(new URL("../vectors/safetensors/verdicts.json", import.meta.url), "utf8")) as { cases: Case[] };
  return cases.map(([title, header, dataBytes, names]) => {
    const bytes = typeof header === "string" ? new TextEncoder().encode(header) : new Uint8Array(Buffer.from(header.base64, "base64"));
    return { title, bytes: fileOf(bytes, dataBytes), names };
  });
}
