import { heed } from "./program";

// A reader that stops early (`heed generate … | head`) is no error: the write that fails ends the command.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await heed(process.argv.slice(2));
