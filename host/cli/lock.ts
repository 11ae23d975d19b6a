import { mkdir, open, readFile, rm, rmdir } from "node:fs/promises";
import { hostname } from "node:os";
import { HeedError } from "../errors";

/**
 * Locks a folder for this process, so that no two training runs write to it. A lock left behind by a killed process is ignored, and so is
 * one from another machine, whose processes cannot be checked.
 * @returns a function that releases the lock
 * @throws HeedError (`checkpoint`) naming the process that holds the lock
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = `${folder}/.lock`;
  for (;;) {
    try {
      await mkdir(folder, { recursive: true });
      const file = await open(path, "wx");
      await file.writeFile(`${process.pid} ${hostname()}\n`);
      await file.close();
      return async () => {
        await rm(path, { force: true });
        await rmdir(folder).catch(() => undefined); // fails if something was saved
      };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") {
        throw new HeedError("file", `cannot write ${path}: ${(cause as Error).message}`, { cause });
      }
    }
    const [pid = "", host] = (await readFile(path, "utf8").catch(() => "")).trim().split(" ");
    if (host === hostname() && isAnotherProcess(Number(pid))) {
      const advice = `stop it first, or choose another --out (if it is not a training run, remove ${path})`;
      throw new HeedError("checkpoint", `${folder}: process ${pid} is already training there; ${advice}`);
    }
    await rm(path, { force: true });
  }
}

function isAnotherProcess(pid: number): boolean {
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    return process.kill(pid, 0); // signal 0 only checks that the process exists
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it belongs to another user
  }
}
