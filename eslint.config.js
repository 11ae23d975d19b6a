import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const noNode = "Library code also runs in browsers and workers: access the platform through an interface, as host/io/files.ts does.";
const oneWay = "Imports point one way: see docs/architecture.md for what each folder may import.";
const folders = ["core", "graph", "nn", "models", "train", "decode", "profile", "data", "io", "platform", "cli"];
/** The folders of host/ that each folder may import. Every folder may also import files directly in host/, except entry points. */
const mayImport = {
  core: [],
  graph: ["core"],
  nn: ["graph", "core"],
  models: ["nn", "graph", "core"],
  train: ["models", "nn", "graph", "core"],
  decode: ["models", "nn", "graph", "core"],
  profile: ["graph", "core"],
  data: [],
  io: ["data", "train", "models", "nn", "graph", "core"],
  platform: ["io", "core"],
};
const hasNode = ["platform"];
const node = { group: ["node:*"], message: noNode };
/** One complete rule per folder, since a later no-restricted-imports replaces an earlier one. */
const directions = Object.entries(mayImport).map(([folder, allowed]) => {
  const forbidden = folders.filter((other) => other !== folder && !allowed.includes(other));
  const upward = { regex: `^(\\.\\./)+((${forbidden.join("|")})/|(index|node|web)$)`, message: oneWay };
  const kernels = { regex: "/assembly/(?!(layouts|opcodes)$)", message: "The host may import only constants from the core: assembly/layouts and assembly/opcodes." };
  return {
    files: [`host/${folder}/**/*.ts`],
    rules: { "no-restricted-imports": ["error", { patterns: [upward, kernels, ...(hasNode.includes(folder) ? [] : [node])] }] },
  };
});
/** The entry points, and the files that all folders share. */
const roots = [
  { files: ["host/*.ts"], rules: { "no-restricted-imports": ["error", { patterns: [{ regex: "^\\./cli/", message: oneWay }] }] } },
  {
    files: ["host/*.ts"],
    ignores: ["host/index.ts", "host/node.ts", "host/web.ts"],
    rules: { "no-restricted-imports": ["error", { patterns: [{ regex: `^\\./(${folders.join("|")})/`, message: oneWay }, node] }] },
  },
];
/** Each element becomes an argument, and an engine's stack has room for about 100,000 of them. */
const noSpread = {
  selector: "CallExpression[callee.property.name=/^(push|unshift|splice|max|min|hypot|of|concat|fromCharCode|fromCodePoint)$/] > SpreadElement",
  message: "An array of data may be too long for a function's arguments: use a loop, or maxOf.",
};
const nodeGlobals = {
  AbortController: "readonly", Buffer: "readonly", URL: "readonly", WebAssembly: "readonly",
  console: "readonly", clearTimeout: "readonly", performance: "readonly", process: "readonly", setTimeout: "readonly",
};

export default defineConfig(
  globalIgnores(["dist/", "build/", "runs/", "assembly/", "test/assembly/"]),
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-non-null-assertion": "off", // noUncheckedIndexedAccess requires one for every a[i] in a loop
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", destructuredArrayIgnorePattern: "^_", varsIgnorePattern: "^_$", ignoreRestSiblings: true }],
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ["host/**/*.ts"],
    ignores: ["host/cli/**", "host/platform/**", "host/node.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", { name: "process", message: noNode }, { name: "Buffer", message: noNode }],
      "no-restricted-syntax": ["error", noSpread, { selector: "ImportExpression[source.value=/^node:/]", message: noNode }],
    },
  },
  { files: ["host/cli/**/*.ts", "host/platform/**/*.ts", "host/node.ts"], rules: { "no-restricted-syntax": ["error", noSpread] } },
  ...directions,
  ...roots,
  { files: ["**/*.js", "**/*.mjs"], languageOptions: { globals: nodeGlobals }, rules: { "no-undef": "error", "no-unused-vars": "error" } },
);
