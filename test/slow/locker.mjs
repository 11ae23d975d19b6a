// Locks a folder when told to, and checks that no other process holds the lock at the same time: while it does, it owns the file "held".
//   node locker.mjs lock.mjs
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const { lockFolder } = await import(pathToFileURL(process.argv[2]).href);
process.on("message", async ({ folder, delay, hold }) => process.send(await lock(folder, delay, hold)));
process.on("disconnect", () => process.exit());
process.send("ready");

async function lock(folder, delay, hold) {
  await sleep(delay);
  let unlock;
  try {
    unlock = await lockFolder(folder);
  } catch (error) {
    const isRefused = error.code === "checkpoint" && error.message.includes("is already training there");
    return isRefused ? { outcome: "refused" } : { outcome: "failed", message: String(error) };
  }
  const other = take(`${folder}/held`);
  await sleep(hold);
  if (other === undefined) rmSync(`${folder}/held`, { force: true });
  await unlock();
  return other === undefined ? { outcome: "held" } : { outcome: "failed", message: `process ${other} held the lock too` };
}

/** Takes the file, unless a running process has it; then returns its id. */
function take(path) {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return undefined;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    try {
      const pid = Number(readFileSync(path, "utf8"));
      if (pid === 0 || isRunning(pid)) return pid;
      rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}
