import { HeedError } from "../errors";
import { quote } from "../quote";
import type { Files } from "./files";

/** The journal of a save that has been committed but may not be complete. */
export const JOURNAL = "commit.json";
/** The journal of the last complete save. */
export const SAVED = ".heed-saved.json";

const FORMAT = "heed-commit-2";
/** Earlier versions wrote the new contents to `<name>.next`. */
const FORMAT_1 = "heed-commit-1";
const NEXT = ".next";
const TEMPORARY = /\.heed-[0-9a-f]{32}\.next$/;
const ATTEMPTS = 10;
/** The most bytes of a journal. It names a few files. */
const LONGEST_JOURNAL = 2 ** 20;
/** The longest name that file systems accept. */
const LONGEST_NAME = 255;

export interface Journal {
  /** Unique to the save; null in the journals of earlier versions. */
  readonly id: string | null;
  /** Files whose new contents are, or were, in a temporary file. */
  readonly replace: readonly string[];
  /** Files to remove. */
  readonly remove: readonly string[];
}

/** Which set of files a folder contains. */
export interface FolderState {
  /** The text of the last committed journal, which is unique to its save; null if heed has not saved to the folder. */
  readonly identity: string | null;
  /** Whether that save may be incomplete. */
  readonly isPending: boolean;
}

/** A journal with an id of its own. */
export function newJournal(replace: readonly string[], remove: readonly string[]): Journal {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { id: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""), replace, remove };
}

/** The file that contains the new contents of `path` until they are renamed into place. */
export const temporary = (path: string, { id }: Journal): string => `${path}${id === null ? "" : `.heed-${id}`}${NEXT}`;

/** Whether the name is that of a temporary file that this version of heed wrote. */
export const isTemporary = (name: string): boolean => TEMPORARY.test(name);

/** Whether a file name stays within the folder and is not reserved for the journal. */
export function isName(name: unknown): name is string {
  return typeof name === "string" && name.length <= LONGEST_NAME && /^\w[\w.-]*$/.test(name) && !name.endsWith(NEXT) && name !== JOURNAL;
}

export const formatJournal = ({ id, replace, remove }: Journal): string => JSON.stringify({ format: FORMAT, id, replace, remove });

/** @throws HeedError (`checkpoint`) if heed did not write the text */
export function parseJournal(text: string, path: string): Journal {
  try {
    const { format, id, replace, remove } = JSON.parse(text) as Journal & { format: string };
    const isKnown = format === FORMAT ? typeof id === "string" && isTemporary(`.heed-${id}${NEXT}`) : format === FORMAT_1;
    if (isKnown && replace.every(isName) && remove.every(isName)) return { id: format === FORMAT ? id : null, replace, remove };
  } catch {
    // reported below
  }
  throw new HeedError("checkpoint", `${path}: expected a journal in format ${FORMAT}, got ${quote(text, 80)}`, { file: path });
}

/** Reads the state that the folder was in at some time during the call. */
export async function readState(files: Files, folder: string): Promise<FolderState> {
  const pending = await readIfPresent(files, `${folder}/${JOURNAL}`);
  if (pending !== null) return { identity: pending, isPending: true };
  return { identity: await readIfPresent(files, `${folder}/${SAVED}`), isPending: false };
}

/** The text of a journal. One that is too long is cut, which makes it invalid. */
async function readStart(files: Files, path: string): Promise<string> {
  const file = await files.open(path);
  try {
    const bytes = new Uint8Array(Math.min(file.size, LONGEST_JOURNAL));
    await file.read(bytes, 0);
    return new TextDecoder().decode(bytes);
  } finally {
    await file.close();
  }
}

/** Reads a file that a save may rename at any time. */
async function readIfPresent(files: Files, path: string): Promise<string | null> {
  for (let attempt = 1; ; attempt++) {
    if (!(await files.exists(path))) return null;
    try {
      return await readStart(files, path);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}
