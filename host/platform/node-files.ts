import { type FileHandle, access, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { HeedError } from "../errors";
import type { Files } from "../io/files";

/**
 * The file system of Node, Deno and Bun. Every change is synced to the disk before its promise resolves.
 *
 * @example
 * await nodeFiles.exists("no such file"); // false
 */
export const nodeFiles: Files = {
  exists: (path) => attempt(`look for ${path}`, () => orIfMissing(access(path).then(() => true), false)),

  read: (path) => attempt(`read ${path}`, () => withFile(path, "r", readWhole)),

  write: (path, bytes) =>
    attempt(`write ${path}`, async () => {
      await withFile(path, "w", async (file) => {
        await file.writeFile(bytes);
        await file.sync();
      });
      await syncFolder(dirname(path));
    }),

  append: (path, bytes) =>
    attempt(`append to ${path}`, () =>
      withFile(path, "a", async (file) => {
        await file.writeFile(bytes);
        await file.sync();
      }),
    ),

  rename: (from, to) =>
    attempt(`rename ${from} to ${to}`, async () => {
      await rename(from, to);
      await syncFolder(dirname(to));
    }),

  remove: (path) =>
    attempt(`remove ${path}`, async () => {
      await rm(path, { force: true });
      await syncFolder(dirname(path));
    }),

  list: (folder) =>
    attempt(`list ${folder}`, async () => {
      const names = await orIfMissing(readdir(folder), []);
      return names.sort();
    }),

  makeDirectory: (path) =>
    attempt(`make the folder ${path}`, async () => {
      const first = await mkdir(path, { recursive: true });
      if (first !== undefined) await syncFolder(dirname(first));
    }),
};

async function attempt<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw new HeedError("file", `cannot ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

async function orIfMissing<T>(action: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return otherwise;
    throw error;
  }
}

/** All of a file, in parts: Node reads no more than 2 GiB at a time, and a model's optimizer may be larger. */
async function readWhole(file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat();
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await file.read(bytes, at, Math.min(size - at, 2 ** 30), at);
    if (bytesRead === 0) break; // it has become shorter meanwhile
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

async function withFile<T>(path: string, flags: string, action: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags);
  try {
    return await action(file);
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder durable. Windows cannot sync a folder, and needs not. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  await withFile(path, "r", (folder) => folder.sync());
}
