import type * as FileSystem from "node:fs/promises";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { nodeFiles } from "../../host/platform/node-files";

// A file system that only records what is asked of it, in order.
const { calls, state } = vi.hoisted(() => ({ calls: [] as string[], state: { size: 0, created: undefined as string | undefined } }));

vi.mock("node:fs/promises", async (importActual) => {
  const record = (call: string): void => void calls.push(call);
  return {
    ...(await importActual<typeof FileSystem>()),
    open: async (path: string) => ({
      writeFile: async () => record(`write ${path}`),
      sync: async () => record(`sync ${path}`),
      stat: async () => ({ size: state.size }),
      close: async () => record(`close ${path}`),
    }),
    rename: async (from: string, to: string) => record(`rename ${from} ${to}`),
    rm: async (path: string) => record(`remove ${path}`),
    mkdir: async (path: string) => (record(`mkdir ${path}`), state.created),
  };
});

beforeEach(() => void (calls.length = 0));

describe.skipIf(process.platform === "win32")("nodeFiles makes durable", () => {
  const changes = (): string[] => calls.filter((call) => !call.startsWith("close"));

  it("what it writes: the file, and then the folder", async () => {
    await nodeFiles.write("/a/b", Uint8Array.of(1));
    expect(changes()).toEqual(["write /a/b", "sync /a/b", "sync /a"]);
  });

  it("what it renames: the folder after the rename", async () => {
    await nodeFiles.rename("/a/b", "/a/c");
    expect(changes()).toEqual(["rename /a/b /a/c", "sync /a"]);
  });

  it("what it removes: the folder after the removal", async () => {
    await nodeFiles.remove("/a/b");
    expect(changes()).toEqual(["remove /a/b", "sync /a"]);
  });

  it("what it appends: the file, and its folder if the file may be new", async () => {
    await nodeFiles.append("/a/log", Uint8Array.of(1));
    state.size = 1;
    await nodeFiles.append("/a/log", Uint8Array.of(1));
    expect(changes()).toEqual(["write /a/log", "sync /a/log", "sync /a", "write /a/log", "sync /a/log"]);
  });

  it("every folder that it creates, and none that exists", async () => {
    state.created = "/a/b";
    await nodeFiles.makeDirectory("/a/b/c/d");
    expect(changes()).toEqual(["mkdir /a/b/c/d", "sync /a/b/c", "sync /a/b", "sync /a"]);
    calls.length = 0;
    state.created = undefined;
    await nodeFiles.makeDirectory("/a/b");
    expect(changes()).toEqual(["mkdir /a/b"]);
  });

  it("each change before it closes the file", async () => {
    await nodeFiles.write("/a/b", Uint8Array.of(1));
    expect(calls).toEqual(["write /a/b", "sync /a/b", "close /a/b", "sync /a", "close /a"]);
  });
});
