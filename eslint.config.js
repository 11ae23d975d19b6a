import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const noNode = "Library code runs in browsers and workers too: take what you need through an interface, as host/io/files.ts does.";
const oneWay = "Imports point one way: docs/architecture.md lists what each folder may import.";
const folders = ["core", "graph", "nn", "models", "train", "decode", "profile", "data", "io", "platform", "cli"];
/** Which other folders of host/ each folder may import; files directly in host/ that are not entry points are open to all. */
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
/** A rule of its own for each folder, since a later no-restricted-imports replaces an earlier one. */
const directions = Object.entries(mayImport).map(([folder, allowed]) => {
  const forbidden = folders.filter((other) => other !== folder && !allowed.includes(other));
  const upward = { regex: `^(\\.\\./)+((${forbidden.join("|")})/|(index|node|web)$)`, message: oneWay };
  const kernels = { regex: "/assembly/(?!(layouts|opcodes)$)", message: "Of the core the host imports constants only: assembly/layouts and assembly/opcodes." };
  return {
    files: [`host/${folder}/**/*.ts`],
    rules: { "no-restricted-imports": ["error", { patterns: [upward, kernels, ...(hasNode.includes(folder) ? [] : [node])] }] },
  };
});
/** The entry points, and what all folders share. */
const roots = [
  { files: ["host/*.ts"], rules: { "no-restricted-imports": ["error", { patterns: [{ regex: "^\\./cli/", message: oneWay }] }] } },
  {
    files: ["host/*.ts"],
    ignores: ["host/index.ts", "host/node.ts", "host/web.ts"],
    rules: { "no-restricted-imports": ["error", { patterns: [{ regex: `^\\./(${folders.join("|")})/`, message: oneWay }, node] }] },
  },
];
const nodeGlobals = {
  AbortController: "readonly", Buffer: "readonly", URL: "readonly", WebAssembly: "readonly",
  console: "readonly", performance: "readonly", process: "readonly", setTimeout: "readonly",
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
      "@typescript-eslint/no-non-null-assertion": "off", // noUncheckedIndexedAccess makes every a[i] in a loop need one
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
      "no-restricted-syntax": ["error", { selector: "ImportExpression[source.value=/^node:/]", message: noNode }],
    },
  },
  ...directions,
  ...roots,
  { files: ["**/*.js", "**/*.mjs"], languageOptions: { globals: nodeGlobals }, rules: { "no-undef": "error", "no-unused-vars": "error" } },
);
