import { type FileHandle, access, mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
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

  read: (path) => attempt(`read ${path}`, () => readFile(path)),

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

async function withFile(path: string, flags: string, action: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags);
  try {
    await action(file);
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder durable. Windows cannot sync a folder, and needs not. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  await withFile(path, "r", (folder) => folder.sync());
}
