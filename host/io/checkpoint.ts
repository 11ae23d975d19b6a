import { HeedError } from "../errors";
import { quote, quoteList, show } from "../quote";
import type { Files, OpenFile } from "./files";

// A checkpoint is a folder of files that change together. A set of files is replaced by a write-ahead journal:
//
//   1. every new file is written as <name>.next                         ┐ a crash here leaves the old set
//   2. the journal commit.json, naming them, is renamed into place      ┘ ← the commit
//   3. every <name>.next is renamed over <name>                         ┐ a crash here leaves the new set:
//   4. the journal is removed                                           ┘ readers use <name>.next where it exists
//
// Each step is durable before the next begins (see Files). Opening never writes, so it does not disturb a running save
// and works in a read-only folder. The next save, or recoverCheckpoint, completes an interrupted save.

const JOURNAL = "commit.json";
const NEXT = ".next";
const FORMAT = "heed-commit-1";
/** The most bytes of a text file. Larger ones would not fit in a string; the largest tokenizers have some 30 MB. */
const LONGEST_TEXT = 2 ** 28;
/** The most bytes of a journal. It names a few files. */
const LONGEST_JOURNAL = 2 ** 20;
/** The longest name that file systems accept. */
const LONGEST_NAME = 255;

interface Journal {
  format: typeof FORMAT;
  /** Files whose new contents are, or were, in `<name>.next`. */
  replace: string[];
  /** Files to remove. */
  remove: string[];
}

/**
 * A snapshot of a folder at the time it was opened: the newest complete set of files.
 *
 * @example
 * const checkpoint = await openCheckpoint(files, "runs/dates");
 * checkpoint.has("model.safetensors"); // true
 * JSON.parse(await checkpoint.readText("config.json")).type; // "transformer"
 */
export class Checkpoint {
  constructor(
    private readonly files: Files,
    readonly folder: string,
    /** The names of the files, sorted. */
    readonly names: readonly string[],
    private readonly pending: ReadonlySet<string>,
  ) {}

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** Reads a file. @throws HeedError (`file`) if the checkpoint has no such file, or it cannot be read */
  async read(name: string): Promise<Uint8Array> {
    return this.files.read(await this.locate(name));
  }

  /** Opens a file for reading byte ranges; the caller closes it. @throws HeedError (`file`) as for `read` */
  async open(name: string): Promise<OpenFile> {
    return this.files.open(await this.locate(name));
  }

  /** Reads a file as UTF-8 text. @throws HeedError: `file` as for `read`, `format` if the file is not UTF-8 or exceeds 256 MiB */
  async readText(name: string): Promise<string> {
    const file = await this.open(name);
    const bytes = new Uint8Array(Math.min(file.size, LONGEST_TEXT + 1));
    try {
      await file.read(bytes, 0);
    } finally {
      await file.close();
    }
    if (bytes.length > LONGEST_TEXT) {
      throw new HeedError("format", `${this.path(name)}: expected at most ${LONGEST_TEXT} bytes of text, got more`, { file: this.path(name) });
    }
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new HeedError("format", `${this.folder}/${name}: expected UTF-8 text`, { cause, file: this.path(name) });
    }
  }

  /** The final path of a file, once the save that wrote it is complete; also its name in error messages. */
  path(name: string): string {
    return `${this.folder}/${name}`;
  }

  private async locate(name: string): Promise<string> {
    const path = this.path(name);
    if (!this.has(name)) {
      throw new HeedError("file", `checkpoint ${this.folder}: expected ${name}, found ${quoteList(this.names)}`, { file: path });
    }
    const isPending = this.pending.has(name) && (await this.files.exists(path + NEXT));
    return isPending ? path + NEXT : path;
  }
}

/**
 * Opens the newest complete set of files in a folder. Writes nothing.
 *
 * @throws HeedError: `file` if there is no checkpoint, `checkpoint` if the journal was not written by heed
 *
 * @example
 * const { names } = await openCheckpoint(files, "runs/dates");
 * names; // ["config.json", "model.safetensors", "tokenizer.json"]
 */
export async function openCheckpoint(files: Files, folder: string): Promise<Checkpoint> {
  const journal = await readJournal(files, folder);
  const found = (await files.list(folder)).filter(isName);
  const names = new Set([...found, ...(journal?.replace ?? [])]);
  for (const name of journal?.remove ?? []) names.delete(name);
  if (names.size === 0) throw new HeedError("file", `${folder}: expected a checkpoint, found no files`, { file: folder });
  return new Checkpoint(files, folder, [...names].sort(), new Set(journal?.replace));
}

/**
 * Saves a set of files atomically: even after a crash, the folder opens as either the complete old set or the complete new one.
 * Only one process at a time may save to a folder.
 *
 * @param entries  contents by file name; text is written as UTF-8, and `null` removes the file. Other files are kept
 * @throws HeedError (`file`) reporting whether the folder now holds the old set or the new one
 * @throws RangeError if a name is not a plain file name
 *
 * @example
 * await saveCheckpoint(files, "runs/a", { "config.json": "{}", "model.safetensors": writeSafetensors(tensors) });
 * const checkpoint = await openCheckpoint(files, "runs/a");
 * await checkpoint.readText("config.json"); // "{}"
 */
export async function saveCheckpoint(
  files: Files,
  folder: string,
  entries: Readonly<Record<string, Uint8Array | string | null>>,
): Promise<void> {
  const names = Object.keys(entries);
  for (const name of names) {
    if (!isName(name)) throw new RangeError(`saveCheckpoint: expected a plain file name, got ${show(name)}`);
  }
  const replace = names.filter((name) => entries[name] !== null);
  const remove = names.filter((name) => entries[name] === null);
  await files.makeDirectory(folder);
  await recoverCheckpoint(files, folder);
  try {
    for (const name of replace) await files.write(`${folder}/${name}${NEXT}`, toBytes(entries[name]!));
    await commit(files, folder, { format: FORMAT, replace, remove });
  } catch (cause) {
    throw await discard(files, folder, cause);
  }
  try {
    await recoverCheckpoint(files, folder);
  } catch (cause) {
    const message = `saveCheckpoint: ${folder}: ${reason(cause)}; the new checkpoint is complete, and the next save will clean up`;
    throw new HeedError("file", message, { cause });
  }
}

/**
 * Completes a save that was interrupted after its commit, or removes the files of one that was interrupted before its commit.
 *
 * @example
 * await recoverCheckpoint(files, "runs/dates"); // changes nothing unless a save was interrupted
 */
export async function recoverCheckpoint(files: Files, folder: string): Promise<void> {
  const journal = await readJournal(files, folder);
  if (journal === null) return removeStrays(files, folder);
  for (const name of journal.replace) {
    const path = `${folder}/${name}`;
    if (await files.exists(path + NEXT)) await files.rename(path + NEXT, path);
  }
  for (const name of journal.remove) await files.remove(`${folder}/${name}`);
  await files.remove(`${folder}/${JOURNAL}`);
}

async function commit(files: Files, folder: string, journal: Journal): Promise<void> {
  const path = `${folder}/${JOURNAL}`;
  await files.write(path + NEXT, toBytes(JSON.stringify(journal)));
  await files.rename(path + NEXT, path);
}

/** Undoes an uncommitted save, and returns the error to throw. Removes the journal first: a failed rename may have taken effect. */
async function discard(files: Files, folder: string, cause: unknown): Promise<HeedError> {
  try {
    await files.remove(`${folder}/${JOURNAL}`);
    await removeStrays(files, folder);
    const isFirst = !(await files.list(folder)).some(isName);
    const state = isFirst ? "nothing was saved" : "the previous checkpoint is intact";
    return new HeedError("file", `saveCheckpoint: ${folder}: ${reason(cause)}; ${state}`, { cause });
  } catch (second) {
    const message = `saveCheckpoint: ${folder}: ${reason(cause)}; cleaning up failed too (${reason(second)})`;
    return new HeedError("file", `${message}; the folder holds either the complete previous or the complete new checkpoint`, { cause });
  }
}

async function removeStrays(files: Files, folder: string): Promise<void> {
  for (const name of await files.list(folder)) {
    if (name.endsWith(NEXT)) await files.remove(`${folder}/${name}`);
  }
}

async function readJournal(files: Files, folder: string): Promise<Journal | null> {
  const path = `${folder}/${JOURNAL}`;
  if (!(await files.exists(path))) return null;
  const bytes = await files.read(path);
  const text = new TextDecoder().decode(bytes.subarray(0, LONGEST_JOURNAL));
  const journal = bytes.length > LONGEST_JOURNAL ? null : parseJournal(text);
  if (journal === null) {
    throw new HeedError("checkpoint", `${path}: expected a journal in format ${FORMAT}, got ${quote(text, 80)}`, { file: path });
  }
  return journal;
}

function parseJournal(text: string): Journal | null {
  try {
    const { format, replace, remove } = JSON.parse(text) as Journal;
    return format === FORMAT && replace.every(isName) && remove.every(isName) ? { format, replace, remove } : null;
  } catch {
    return null;
  }
}

/** Whether a file name stays within the folder and is not reserved for the journal. */
function isName(name: unknown): name is string {
  return typeof name === "string" && name.length <= LONGEST_NAME && /^\w[\w.-]*$/.test(name) && !name.endsWith(NEXT) && name !== JOURNAL;
}

function toBytes(content: Uint8Array | string): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
