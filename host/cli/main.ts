import { heed } from "./program";

process.exitCode = await heed(process.argv.slice(2));
