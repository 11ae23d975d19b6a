import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

/** Data sets too large for the repository: in `data` of the sibling folder `../shared`, or of $HEED_SHARED. */
const folder = process.env.HEED_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));

/** Whether the shared data sets exist. Tests that need them are skipped otherwise, with `needsShared` in their titles. */
export const hasShared = existsSync(`${folder}/data`);
export const needsShared = "(skipped without ../shared/data or $HEED_SHARED)";

/** The bytes of a shared file, decompressed if its name ends in .gz. */
export function shared(path: string): Uint8Array {
  const bytes = readFileSync(`${folder}/data/${path}`);
  return path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

export const sharedText = (path: string) => new TextDecoder().decode(shared(path));
