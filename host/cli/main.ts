import { heed } from "./program";

// A reader that stops early (`heed generate … | head`) is no error: the write that fails ends the command.
// Nor is one of what a training reports (`heed train … 2>&1 | head`): it goes on, unseen.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

process.exitCode = await heed(process.argv.slice(2));
