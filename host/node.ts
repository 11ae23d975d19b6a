/** heed/node: what the library needs of Node, Deno or Bun. */
export { nodeFiles } from "./cli/files";
