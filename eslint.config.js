import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const noNode = "Library code runs in browsers and workers too: take what you need through an interface, as host/io/files.ts does.";
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
    ignores: ["host/cli/**", "host/node.ts", "host/node-worker.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", { name: "process", message: noNode }, { name: "Buffer", message: noNode }],
      "no-restricted-imports": ["error", { patterns: [{ group: ["node:*"], message: noNode }, { group: ["**/cli/*"], message: "Imports point one way: cli uses the library." }] }],
      "no-restricted-syntax": ["error", { selector: "ImportExpression[source.value=/^node:/]", message: noNode }],
    },
  },
  { files: ["**/*.js", "**/*.mjs"], languageOptions: { globals: nodeGlobals }, rules: { "no-undef": "error", "no-unused-vars": "error" } },
);
