import { heed } from "./program";

// A closed pipe is not an error. If stdout is closed (`heed generate … | head`), the failed write ends the command.
// If progress output is closed (`heed train … 2>&1 | head`), training continues without it.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

process.exitCode = await heed(process.argv.slice(2));
