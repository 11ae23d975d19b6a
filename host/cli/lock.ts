import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { HeedError } from "../errors";

// A process claims a folder with a file whose name says who claims it, and then lists the folder. It holds the lock if it finds no
// other claim of a running process. Of two claims, one was made first, and the other process lists the folder after that: it finds the
// first claim and does not hold the lock. So two processes never hold it at once, and no file is ever taken over: the claim of a process
// that has ended is simply ignored, and since its name is not used again, anyone can remove it.

/** The lock file of earlier versions, which contains a process id and a host name. */
const OLD_LOCK = ".lock";
const CLAIM = /^\.lock-(\d+)-(\d+)-([0-9a-f]{8})-[0-9a-f]{32}$/;
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
/** Two processes that start at once find each other's claims. The one whose name sorts first waits this long for the other to give up. */
const PATIENCE = 1000;
const INTERVAL = 20;
/** How often to create the folder again if another process, which found nothing to save, removes it at the same time. */
const ATTEMPTS = 100;

/** The claims of this process. */
const mine = new Set<string>();

interface Rival {
  pid: number;
  name: string;
}

/**
 * Locks a folder for this process, so that no two training runs write to it. The lock of a process that has ended is ignored, and so is
 * one from another machine, whose processes cannot be checked.
 * @returns a function that releases the lock
 * @throws HeedError: `checkpoint` naming the process that holds the lock, `file` if the lock cannot be written or checked
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const name = await claim(folder);
  const release = async (): Promise<void> => {
    mine.delete(name);
    await rm(`${folder}/${name}`, { force: true }).catch((cause: Error) => {
      throw new HeedError("file", `cannot unlock ${folder}: ${cause.message}; remove ${folder}/${name}`, { cause, file: folder });
    });
    await rmdir(folder).catch(() => undefined); // fails if something was saved
  };
  try {
    for (let waited = 0; ; waited += INTERVAL) {
      const rival = await findRival(folder, name);
      if (!rival) return release;
      if (rival.name < name || waited >= PATIENCE) {
        const advice = `stop it first, or choose another --out (if it is not a training run, remove ${folder}/${rival.name})`;
        throw new HeedError("checkpoint", `${folder}: process ${rival.pid} is already training there; ${advice}`);
      }
      await delay(INTERVAL);
    }
  } catch (error) {
    await release().catch(() => undefined); // the first error is the one to report
    throw error;
  }
}

/** Creates a claim, and the folder if necessary. Everything that others need to know is in the name, so a claim is never incomplete. */
async function claim(folder: string): Promise<string> {
  const start = (await statusOf(process.pid))?.start ?? 0;
  const name = `${OLD_LOCK}-${process.pid}-${start}-${HOST}-${randomUUID().replaceAll("-", "")}`;
  mine.add(name);
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(`${folder}/${name}`, `${process.pid} ${hostname()}\n`, { flag: "wx" });
      return name;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT" && attempt < ATTEMPTS) continue;
      mine.delete(name);
      const advice = "choose another --out, or make it a writable folder";
      throw new HeedError("file", `cannot lock ${folder}: ${(cause as Error).message}; ${advice}`, { cause, file: folder });
    }
  }
}

/** The first claim, by name, of a running process. Claims of ended processes are removed. */
async function findRival(folder: string, name: string): Promise<Rival | undefined> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new HeedError("file", `cannot check the locks in ${folder}: ${cause.message}`, { cause, file: folder });
  });
  if (names.includes(OLD_LOCK)) {
    const rival = await checkOldLock(`${folder}/${OLD_LOCK}`);
    if (rival) return rival;
  }
  for (const other of names.sort()) {
    const [, pid, start, host] = CLAIM.exec(other) ?? [];
    if (pid === undefined || other === name) continue;
    const isRunning = host === HOST && (mine.has(other) || (await isProcess(Number(pid), Number(start))));
    if (isRunning) return { pid: Number(pid), name: other };
    await rm(`${folder}/${other}`, { force: true }).catch(() => undefined); // a claim that cannot be removed is harmless
  }
  return undefined;
}

/** Removes the lock file of an earlier version, unless its process is running. */
async function checkOldLock(path: string): Promise<Rival | undefined> {
  try {
    const [owner, host] = (await readFile(path, "utf8")).trim().split(" ");
    const pid = Number(owner);
    if (host === hostname() && pid !== process.pid && (await isProcess(pid, 0))) return { pid, name: OLD_LOCK };
    await rm(path, { force: true });
    return undefined;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined; // removed in the meantime
    const advice = `remove ${path} if no training run uses the folder, or choose another --out`;
    throw new HeedError("file", `cannot take over the lock ${path}: ${(cause as Error).message}; ${advice}`, { cause, file: path });
  }
}

/** Whether a process is running and, as far as that is known, started at the given time, so that the id has not been reused. */
async function isProcess(pid: number, start: number): Promise<boolean> {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0); // signal 0 only checks that the process exists
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false; // EPERM: it belongs to another user
  }
  const status = await statusOf(pid);
  if (!status) return start > 0 || pid !== process.pid;
  return !status.hasEnded && (start === 0 || start === status.start);
}

/** When a process started, in clock ticks since boot, and whether it only waits for its parent. Undefined except on Linux. */
async function statusOf(pid: number): Promise<{ start: number; hasEnded: boolean } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // after the program's name, which may contain anything
  return fields.length < 20 ? undefined : { start: Number(fields[19]), hasEnded: fields[0] === "Z" || fields[0] === "X" };
}
