import { mkdir, open, readFile, rm, rmdir } from "node:fs/promises";
import { hostname } from "node:os";
import { HeedError } from "../errors";

/**
 * Takes a folder for this process, so that no two trainings write into it. What a process that was killed left behind holds nobody up;
 * nor does another machine's, whose processes cannot be seen from here.
 * @returns how to give it back
 * @throws HeedError (`checkpoint`) naming the process that has it
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
        await rmdir(folder).catch(() => undefined); // unless something was saved
      };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw new HeedError("file", `cannot write ${path}: ${(cause as Error).message}`, { cause });
    }
    const [pid = "", host] = (await readFile(path, "utf8").catch(() => "")).trim().split(" ");
    if (host === hostname() && isAnotherProcess(Number(pid))) {
      throw new HeedError("checkpoint", `${folder}: process ${pid} is training into it; stop that one first, or give another --out (if there is no such training, remove ${path})`);
    }
    await rm(path, { force: true });
  }
}

function isAnotherProcess(pid: number): boolean {
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    return process.kill(pid, 0); // asks whether there is such a process, and sends nothing
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // somebody else's
  }
}
