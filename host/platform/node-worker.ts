/** The script of Node's workers (see `core/workers.ts`). */
import { parentPort, workerData } from "node:worker_threads";
import { startAgain } from "./node-workers";
import { runTask, type Task } from "../core/workers";

await runTask(workerData as Task, startAgain(import.meta.url), (message) => parentPort!.postMessage(message));
