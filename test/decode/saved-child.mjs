// Restores a session from stdin, with the model of saved.test.ts, and prints its tokens after 12 steps.
import { readFileSync } from "node:fs";
import { GPT, Runtime, Session } from "../../dist/index.js";

const model = new GPT(JSON.parse(process.argv[2])).place(await Runtime.create({ build: "simd" }), { seed: 3 });
const session = Session.restore(model, new Uint8Array(readFileSync(0)));
for (let i = 0; i < 12; i++) await session.step(session.openedRows);
console.log(JSON.stringify(session.openedRows[0].tokens));
