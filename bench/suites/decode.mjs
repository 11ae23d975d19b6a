/** Greedy decoding with a cache: tokens per second over a whole context, and the time to the first token after a prompt. */
import { GPT, Session } from "../../dist/index.js";
import { heeds } from "../kernels.mjs";
import { llamaRows } from "../llama/rows.mjs";
import { random } from "../random.mjs";

export const models = {
  "nanogpt-cpu": { block: 64, layers: 4, heads: 4, width: 128, vocabulary: 65 },
  "GPT, 6 layers of 384": { block: 256, layers: 6, heads: 6, width: 384, vocabulary: 8000, bias: true },
};
export const PROMPT = 128;
/** Number of tokens compared before anything is timed. */
const COMPARED = 16;

export default async function decode(harness) {
  const runtimes = await heeds(harness.threads, { turbo: true });
  for (const [name, config] of Object.entries(models)) {
    for (const count of [1, 8]) await measure(`${name}: ${count} at a time`, config, count, steps, { unit: "tokens/s", amount: count });
    if (config.block > PROMPT) await measure(`${name}: first token after ${PROMPT}`, config, 1, firstToken, { unit: "ms" });
  }
  await llamaRows(harness, runtimes);

  async function measure(title, config, count, start, how) {
    if (!harness.wants(title)) return;
    const contestants = [];
    for (const heed of runtimes) {
      const model = new GPT(config).place(heed.runtime, { seed: 1, format: "panels" });
      const session = new Session(model, { rows: count });
      contestants.push({ ...heed, ...(await start(session, count)), release: () => (session.dispose(), model.dispose()) });
    }
    await harness.compare(title, contestants, how);
    for (const { release } of contestants) release();
  }
}

/** Decodes one token in every row; at the end of the context, rows are truncated to their first token. */
async function steps(session, count) {
  const rows = await session.open(prompts(session.model, count, 1).map((tokens) => ({ tokens })));
  const rewind = () => rows.forEach((row) => session.truncate(row, 1));
  return {
    run() {
      if (rows[0].tokens.length > session.model.context) rewind();
      return session.step(rows);
    },
    async result() {
      rewind();
      while (rows[0].tokens.length <= COMPARED) await session.step(rows);
      return rows.flatMap(({ tokens }) => tokens);
    },
  };
}

function firstToken(session) {
  const [tokens] = prompts(session.model, 1, PROMPT);
  const run = async () => {
    const [row] = await session.open([{ tokens }]);
    const ids = await session.step([row]);
    session.close(row);
    return ids;
  };
  return { run, result: run };
}

/** `count` seeded sequences of `length` ids. */
export function prompts({ vocabulary }, count, length) {
  const ids = Array.from(random(count * length), (x) => Math.floor(((x + 1) / 2) * vocabulary));
  return Array.from({ length: count }, (_, i) => ids.slice(i * length, (i + 1) * length));
}
