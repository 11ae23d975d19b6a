import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const bench = fileURLToPath(new URL("../../bench/peers/node_modules/node/bin/node", import.meta.url));

/** Other versions of Node to test on: HEED_NODES (paths separated by ":"), and the one that `npm run bench:install` installs. */
export const otherNodes: readonly string[] = [...(process.env.HEED_NODES ?? "").split(":"), bench].filter((node) => node && existsSync(node));

const major = (node: string): number => Number(execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).split(".")[0]);

/** A Node whose V8 can revectorize: this one or another. */
export const turboNode: string | undefined = [process.execPath, ...otherNodes].find((node) => major(node) >= 24);
