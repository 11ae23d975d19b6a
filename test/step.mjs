import { spawn } from "node:child_process";

const isWindows = process.platform === "win32";

/**
 * Runs a script of Node's and shows what it prints. If it prints nothing for `silence` seconds, it is killed with all its children: a
 * thread that waits for ever in `Atomics.wait` blocks its event loop, and no time-out of a test can end it.
 * @returns its exit status (null if it was killed), what it printed on stdout, and whether it hung
 */
export async function runScript(args, { silence, env = process.env, show = (text, stream) => stream.write(text) }) {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env, detached: !isWindows }); // a process group
  const kill = () => (isWindows ? child.kill() : process.kill(-child.pid, "SIGKILL"));
  let [output, hung, timer] = ["", false, undefined];
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      hung = true;
      kill();
    }, silence * 1000);
  };
  listen();
  for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
    from.setEncoding("utf8").on("data", (text) => {
      listen();
      if (from === child.stdout) output += text;
      show(text, to);
    });
  }
  // A group of its own does not receive the terminal's Ctrl-C.
  const interrupt = () => {
    kill();
    process.exit(130);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, interrupt);
  const status = await new Promise((resolve) => child.on("close", resolve));
  for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, interrupt);
  clearTimeout(timer);
  return { status, output, hung };
}
