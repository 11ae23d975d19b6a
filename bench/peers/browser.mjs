/** The same model in headless Chromium: heed and wllama (llama.cpp as wasm) take turns in a page, which bench/llama/page.mjs measures. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const wllama = new URL("bench/peers/node_modules/@wllama/wllama/esm/index.js", root);
const browsers = [process.env.HEED_CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].filter(Boolean);
/** As in any page without special rights, apart from the sandbox, which root and containers lack; and nothing talks to Google. */
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** @returns {Promise<Page | null>} null if wllama or a browser is not installed, or does not start */
export async function openPage() {
  const executablePath = browsers.find(existsSync);
  const puppeteer = await import("puppeteer-core").then(({ default: puppeteer }) => puppeteer, ifMissing);
  if (!puppeteer || !existsSync(wllama)) return missing("wllama");
  if (!executablePath) return missing("Chromium");
  const browser = await puppeteer.launch({ executablePath, args: flags, headless: true, protocolTimeout: 3_600_000 }).catch((error) => {
    console.log(`  (${executablePath} does not start: ${error.message.split("\n")[0]})`);
  });
  if (!browser) return null;
  console.log(`  (${await browser.version()})`);
  const server = await serve();
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.log(`  (page: ${error.message})`));
  await page.goto(`http://localhost:${server.address().port}/`);
  return {
    /** The file that the page finds at /model.gguf. */
    serveModel: (path) => (server.model = path),
    /** Calls a function that the page.mjs exports. */
    call: (name, argument) => page.evaluate(async (name, argument) => (await import("/bench/llama/page.mjs"))[name](argument), name, argument),
    async close() {
      await browser.close();
      server.close();
    },
  };
}

const missing = (what) => {
  console.log(`  (${what} is not installed)`);
  return null;
};

function ifMissing(error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  return null;
}

const mimeTypes = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** Serves this checkout's package, benchmarks and peers to this machine, and an empty page. */
async function serve() {
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const path = pathname === "/model.gguf" ? server.model : fileURLToPath(new URL(`.${pathname}`, root));
    if (pathname === "/") return response.setHeader("Content-Type", "text/html").end("<!doctype html><title>heed bench</title>");
    if (!/^\/(dist\/|bench\/|model\.gguf$)/.test(pathname) || !existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end();
    response.setHeader("Content-Type", mimeTypes[extname(path)] ?? "application/octet-stream");
    response.setHeader("Content-Length", statSync(path).size);
    createReadStream(path).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  return server;
}
