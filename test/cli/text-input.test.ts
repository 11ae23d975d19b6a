import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { fingerprint, fingerprintText, readChunks, readLines, readText } from "../../host/cli/input";
import { HeedError } from "../../host/errors";
import { temporaryFolder } from "./command";

const { file } = temporaryFolder();

describe("a text file", () => {
  const text = `${"ein Hund – 漢字 🦉\r\n".repeat(20_000)}das Ende`;

  it.each([["plain", Buffer.from(text)], ["gzip", gzipSync(text)], ["of two gzip members", Buffer.concat([gzipSync(text.slice(0, 99)), gzipSync(text.slice(99))])]])(
    "%s is read in pieces: the same lines, text and fingerprint",
    async (name, bytes) => {
      const path = file(name, bytes);
      const { lines } = await readLines(path);
      expect([lines.length, lines[0], lines[19_999], lines[20_000]]).toEqual([20_001, "ein Hund – 漢字 🦉", "ein Hund – 漢字 🦉", "das Ende"]);
      const pieces = await readText(path);
      expect(pieces.length).toBeGreaterThan(2);
      expect(pieces.join("")).toBe(text);
      expect(fingerprintText(pieces)).toBe(fingerprint([text]));
    },
  );

  it("that decompresses to more than the limit is refused when the limit is reached, not at the end", async () => {
    const path = file("bomb.gz", gzipSync(Buffer.alloc(2 ** 25, "a\n")));
    let bytes = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of readChunks(path, { limit: 2 ** 20 })) bytes += chunk.length;
    };
    await expect(read()).rejects.toThrow(new HeedError("data", `${path}: expected at most 1 MiB of text after decompression, got more; split the file`, { file: path }));
    expect(bytes).toBeLessThanOrEqual(2 ** 20);
  });
});
