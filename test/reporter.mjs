import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";

const FILE = process.env.HEED_TEST_COUNTS ?? "build/tests.json";

/**
 * A reporter of vitest's that keeps the counts so far, and the test files that have not ended, in a file. The file outlives a run that
 * hangs and is killed.
 */
export default class {
  counts = { passed: 0, failed: 0, skipped: 0 };
  running = new Set();
  /** Files that have not started. */
  waiting = new Set();

  onInit() {
    mkdirSync(dirname(FILE), { recursive: true });
    this.save();
  }

  onTestRunStart(files) {
    for (const { moduleId } of files) this.waiting.add(moduleId);
    this.save();
  }

  onTestModuleQueued({ moduleId }) {
    this.waiting.delete(moduleId);
    this.running.add(moduleId);
    this.save();
  }

  onTestModuleEnd(module) {
    this.running.delete(module.moduleId);
    const results = [...module.children.allTests()].map((test) => test.result().state);
    for (const state of results) this.counts[state in this.counts ? state : "failed"]++;
    if (module.state() === "failed" && !results.includes("failed")) this.counts.failed++; // the file itself: it does not load, or a hook
    this.save();
  }

  save() {
    const names = (files) => Array.from(files, (file) => relative("", file));
    writeFileSync(FILE, JSON.stringify({ ...this.counts, running: names(this.running), waiting: names(this.waiting) }));
  }
}
