import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { expect, it } from "vitest";
import { uniform } from "../random";
import { ask, compileLock, kill, sleep, start, temporaryFolder } from "./processes";
import { rounds, seed } from "./settings";

const folder = temporaryFolder();
const PROCESSES = 6;

interface Answer {
  outcome: "held" | "refused" | "failed";
  message?: string;
}

const starts: Record<string, (out: string) => void> = {
  "no folder": () => {},
  "an empty folder": (out) => mkdirSync(out),
  "the lock of a process that has ended": (out) => (mkdirSync(out), writeFileSync(`${out}/.lock`, `4194304 ${hostname()}\n`)),
  "an empty lock": (out) => (mkdirSync(out), writeFileSync(`${out}/.lock`, "")),
};

it.skipIf(process.platform !== "linux").each(Object.keys(starts))(
  "never two of 6 processes hold the lock, starting from %s, while some are killed",
  async (title) => {
    const random = uniform(seed);
    const script = compileLock(folder);
    const launch = async (): Promise<ChildProcess> => {
      const child = start("locker.mjs", script);
      await once(child, "message");
      return child;
    };
    const children = await Promise.all(Array.from({ length: PROCESSES }, launch));
    const total = { held: 0, refused: 0, killed: 0 };
    for (let round = 0; round < rounds(150); round++) {
      const where = `seed ${seed}, round ${round}, starting from ${title}`;
      const out = `${folder}/${title.replaceAll(" ", "-")}-${round}`;
      starts[title]!(out);
      const spread = random() < 0.5 ? 0 : 4;
      const answers = children.map((child) => ask<Answer>(child, { folder: out, delay: spread * random(), hold: 10 * random() }));
      const isKilling = random() < 0.2;
      const victim = Math.floor(random() * PROCESSES);
      const delay = 15 * random();
      if (isKilling) {
        await sleep(delay);
        await kill(children[victim]!);
      }
      const outcomes = (await Promise.all(answers)).map((answer) => answer ?? { outcome: "killed" as const, message: "" });
      for (const { outcome, message } of outcomes) {
        if (outcome === "failed") expect.fail(`${where}: ${message}`);
        total[outcome]++;
      }
      if (isKilling) children[victim] = await launch();
      else expect(outcomes.filter(({ outcome }) => outcome === "held").length, where).toBeGreaterThanOrEqual(1);
      const last = await ask<Answer>(children[0]!, { folder: out, delay: 0, hold: 0 }); // the locks of killed processes are no obstacle
      expect(last, where).toEqual({ outcome: "held" });
      const left = readdirSync(folder).includes(out.split("/").at(-1)!) ? readdirSync(out).filter((name) => name.startsWith(".lock")) : [];
      expect(left, where).toEqual([]);
    }
    console.log(`${title}: ${rounds(150)} rounds, ${JSON.stringify(total)}`);
    await Promise.all(children.map(kill));
  },
);
