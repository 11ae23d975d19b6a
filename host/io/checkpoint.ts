import { HeedError } from "../errors";
import { quoteList, show } from "../quote";
import type { Files, OpenFile } from "./files";
import {
  formatJournal, isName, isTemporary, JOURNAL, type Journal, newJournal, parseJournal, readState, SAVED, temporary,
} from "./journal";
import { inTurn } from "./queue";

// A checkpoint is a folder of files that change together. A set of files is replaced by a write-ahead journal:
//
//   1. every new file is written as <name>.heed-<id>.next               ┐ a crash here leaves the old set
//   2. the journal commit.json, naming them, is renamed into place      ┘ ← the commit
//   3. every <name>.heed-<id>.next is renamed over <name>               ┐ a crash here leaves the new set:
//   4. the journal is renamed to .heed-saved.json                       ┘ readers use the temporary file where it exists
//
// Each step is durable before the next begins (see Files). The id is random and occurs in the journal, so the last committed journal,
// in commit.json or else in .heed-saved.json, identifies the set. It changes at the commit, and no file of a set changes before the next
// commit. So if a reader finds the same journal before and after it opens a file, the file belongs to the set of that journal.
//
// Opening never writes, so it does not disturb a running save and works in a read-only folder. The next save, or recoverCheckpoint,
// completes an interrupted save. Temporary files have names that only heed gives, so that cleaning up removes no others.

/** How often openCheckpoint starts again because a save was committed while it was listing the files. */
const ATTEMPTS = 100;
/** The most bytes of a text file. Larger ones would not fit in a string; the largest tokenizers have some 30 MB. */
const LONGEST_TEXT = 2 ** 28;

/**
 * The newest complete set of files in a folder, at the time it was opened. All reads return files of that set, even while another
 * process saves the next one. Once that is committed, reads reject instead; files that are already open remain readable.
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
    private readonly identity: string | null,
    private readonly pending: Journal | null,
  ) {}

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /**
   * Reads a file.
   * @throws HeedError: `file` if the checkpoint has no such file, or it cannot be read; `checkpoint` if the set has been replaced
   */
  async read(name: string): Promise<Uint8Array> {
    const bytes = await this.access(name, (path) => this.files.read(path));
    await this.expectUnchanged();
    return bytes;
  }

  /** Opens a file for reading byte ranges; the caller closes it. @throws HeedError as for `read` */
  async open(name: string): Promise<OpenFile> {
    const file = await this.access(name, (path) => this.files.open(path));
    try {
      await this.expectUnchanged();
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  /** Reads a file as UTF-8 text. @throws HeedError as for `read`; `format` if the file is not UTF-8 or exceeds 256 MiB */
  async readText(name: string): Promise<string> {
    const file = await this.open(name);
    const bytes = new Uint8Array(Math.min(file.size, LONGEST_TEXT + 1));
    try {
      await file.read(bytes, 0);
    } finally {
      await file.close();
    }
    if (bytes.length > LONGEST_TEXT) {
      const path = this.path(name);
      throw new HeedError("format", `${path}: expected at most ${LONGEST_TEXT} bytes of text, got more`, { file: path });
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

  private async access<T>(name: string, action: (path: string) => Promise<T>): Promise<T> {
    const path = this.path(name);
    if (!this.has(name)) {
      throw new HeedError("file", `checkpoint ${this.folder}: expected ${name}, found ${quoteList(this.names)}`, { file: path });
    }
    try {
      return (await this.accessPending(path, name, action)) ?? (await action(path));
    } catch (error) {
      await this.expectUnchanged(); // a replaced set explains why a file is missing
      throw error;
    }
  }

  /** Uses the temporary file, unless it has been renamed into place. */
  private async accessPending<T>(path: string, name: string, action: (path: string) => Promise<T>): Promise<T | undefined> {
    if (!this.pending?.replace.includes(name)) return undefined;
    const source = temporary(path, this.pending);
    if (!(await this.files.exists(source))) return undefined;
    try {
      return await action(source);
    } catch (error) {
      if (await this.files.exists(source)) throw error;
      return undefined;
    }
  }

  /** Whether the set is still the newest one in the folder. If not, reads reject. */
  async isCurrent(): Promise<boolean> {
    return (await readState(this.files, this.folder)).identity === this.identity;
  }

  private async expectUnchanged(): Promise<void> {
    if (await this.isCurrent()) return;
    throw new HeedError("checkpoint", `${this.folder}: the checkpoint was replaced while it was being read; open it again`);
  }
}

/**
 * Opens the newest complete set of files in a folder, also while another process is saving to it. Writes nothing.
 *
 * @throws HeedError: `file` if there is no checkpoint; `checkpoint` if the journal was not written by heed, or if the checkpoint
 *   was replaced in each of 100 attempts to open it
 *
 * @example
 * const { names } = await openCheckpoint(files, "runs/dates");
 * names; // ["config.json", "model.safetensors", "tokenizer.json"]
 */
export async function openCheckpoint(files: Files, folder: string): Promise<Checkpoint> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { identity, isPending } = await readState(files, folder);
    const pending = isPending ? parseJournal(identity!, `${folder}/${JOURNAL}`) : null;
    const found = (await files.list(folder)).filter(isName);
    if ((await readState(files, folder)).identity !== identity) continue;
    const names = new Set([...found, ...(pending?.replace ?? [])]);
    for (const name of pending?.remove ?? []) names.delete(name);
    if (names.size === 0) throw new HeedError("file", `${folder}: expected a checkpoint, found no files`, { file: folder });
    return new Checkpoint(files, folder, [...names].sort(), identity, pending);
  }
  throw new HeedError("checkpoint", `${folder}: the checkpoint was replaced ${ATTEMPTS} times while it was being opened; try again`);
}

/**
 * Saves a set of files atomically: even after a crash, the folder opens as either the complete old set or the complete new one.
 * Saves to one folder through the same `files` are queued, in the order of the calls. Only one process at a time may save to a folder.
 *
 * @param entries  contents by file name; text is written as UTF-8, and `null` removes the file. Other files are kept. Arrays must
 *   not change until the promise settles
 * @param options.overwrite  also replaces a checkpoint whose journal is invalid. By default, that is an error
 * @throws HeedError: `file` reporting whether the folder now holds the old set or the new one; `checkpoint` if the folder contains
 *   a journal that heed did not write
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
  { overwrite = false }: { overwrite?: boolean } = {},
): Promise<void> {
  const contents = new Map<string, Uint8Array>();
  const remove: string[] = [];
  for (const [name, content] of Object.entries(entries)) {
    if (!isName(name)) throw new RangeError(`saveCheckpoint: expected a plain file name, got ${show(name)}`);
    if (content === null) remove.push(name);
    else contents.set(name, toBytes(content));
  }
  await inTurn(files, folder, () => save(files, folder, contents, remove, overwrite));
}

async function save(
  files: Files, folder: string, contents: ReadonlyMap<string, Uint8Array>, remove: readonly string[], overwrite: boolean,
): Promise<void> {
  await files.makeDirectory(folder);
  await recover(files, folder, overwrite);
  const journal = newJournal([...contents.keys()], remove);
  const text = formatJournal(journal);
  try {
    for (const [name, bytes] of contents) await files.write(temporary(`${folder}/${name}`, journal), bytes);
    const path = `${folder}/${JOURNAL}`;
    await files.write(temporary(path, journal), toBytes(text));
    await files.rename(temporary(path, journal), path);
  } catch (cause) {
    return undo(files, folder, text, cause, overwrite);
  }
  try {
    await complete(files, folder, journal);
  } catch (cause) {
    const message = `saveCheckpoint: ${folder}: ${reason(cause)}; the new checkpoint is complete, and the next save will clean up`;
    throw new HeedError("file", message, { cause });
  }
}

/** Cleans up after a failed save, and throws. If the journal was renamed although the operation failed, completes the save instead. */
async function undo(files: Files, folder: string, text: string, cause: unknown, overwrite: boolean): Promise<void> {
  let state: string;
  try {
    await recover(files, folder, overwrite);
    if ((await readState(files, folder)).identity === text) return;
    const isFirst = !(await files.list(folder)).some(isName);
    state = isFirst ? "nothing was saved" : "the previous checkpoint is intact";
  } catch (second) {
    const either = "the folder holds either the complete previous or the complete new checkpoint";
    state = `cleaning up failed too (${reason(second)}); ${either}`;
  }
  throw new HeedError("file", `saveCheckpoint: ${folder}: ${reason(cause)}; ${state}`, { cause });
}

/**
 * Completes a save that was interrupted after its commit, or removes the files of one that was interrupted before its commit.
 * Like a save, it waits for earlier saves to the folder, and no other process may save to the folder at the same time.
 *
 * @throws HeedError: `file` if a file cannot be changed, `checkpoint` if the folder contains a journal that heed did not write
 *
 * @example
 * await recoverCheckpoint(files, "runs/dates"); // changes nothing unless a save was interrupted
 */
export function recoverCheckpoint(files: Files, folder: string): Promise<void> {
  return inTurn(files, folder, () => recover(files, folder));
}

async function recover(files: Files, folder: string, ignoreInvalid = false): Promise<void> {
  const { identity, isPending } = await readState(files, folder);
  if (isPending) {
    const path = `${folder}/${JOURNAL}`;
    const journal = readJournal(identity!, path, ignoreInvalid);
    if (journal) {
      // The rename that committed the journal may not be durable yet. It is, once the name it was renamed from is durably absent.
      await files.remove(temporary(path, journal));
      await complete(files, folder, journal);
    }
  }
  for (const name of await files.list(folder)) {
    if (isTemporary(name)) await files.remove(`${folder}/${name}`);
  }
}

function readJournal(text: string, path: string, ignoreInvalid: boolean): Journal | null {
  try {
    return parseJournal(text, path);
  } catch (error) {
    if (ignoreInvalid) return null;
    throw error;
  }
}

/** Renames the files of a committed save into place. */
async function complete(files: Files, folder: string, journal: Journal): Promise<void> {
  for (const name of journal.replace) {
    const path = `${folder}/${name}`;
    const source = temporary(path, journal);
    if (await files.exists(source)) await files.rename(source, path);
  }
  for (const name of journal.remove) await files.remove(`${folder}/${name}`);
  await files.rename(`${folder}/${JOURNAL}`, `${folder}/${SAVED}`);
}

function toBytes(content: Uint8Array | string): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
