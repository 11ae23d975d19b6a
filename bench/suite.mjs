/** Runs one suite: `node suite.mjs NAME SETTINGS`, started by run.mjs, which receives the rows. */
import { Harness } from "./harness.mjs";

const [name, settings] = process.argv.slice(2);
const { default: suite } = await import(`./suites/${name}.mjs`);
await suite(new Harness(name, JSON.parse(settings), (row) => process.send(row)));
process.once("disconnect", () => process.exit()); // some peers leave timers behind
process.disconnect();
