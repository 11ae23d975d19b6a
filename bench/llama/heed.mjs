/** heed's contestants on a placed Llama model. Also loaded by the browser's page. */
import { Session } from "../../dist/index.js";
import { centred } from "./model.mjs";

/** Generates tokens after `tokens`, whose last is read by the first step; after `count` steps, it starts again. */
export async function steps(model, tokens, count) {
  const session = new Session(model, { rows: 1 });
  const rows = await session.open([{ tokens }]);
  const [row] = rows;
  return {
    run() {
      if (row.tokens.length >= tokens.length + count) session.truncate(row, tokens.length);
      return session.step(rows);
    },
    async result() {
      session.truncate(row, tokens.length);
      await session.step(rows);
      return centred(session.logits(row));
    },
    release: () => session.dispose(),
  };
}

/** Reads a whole prompt and generates the first token. */
export function firstToken(model, tokens) {
  const session = new Session(model, { rows: 1 });
  const read = async (finish) => {
    const [row] = await session.open([{ tokens }]);
    await session.step([row]);
    const result = finish?.(row);
    session.close(row);
    return result;
  };
  return { run: () => read(), result: () => read((row) => centred(session.logits(row))), release: () => session.dispose() };
}
