/** Opens a built checkout of heed, this one or an older one: its package, its constants, and the operands of its instructions. */
import { existsSync, readFileSync } from "node:fs";
import ts from "typescript";
import { readKernels } from "../generate.mjs";

/**
 * @param {URL} root  the folder of the checkout, with a trailing slash
 * @returns {Promise<{ root: URL, library: object, createRuntime: Function, constants: object, signatures: Map<string, Operand[]> }>}
 *   `library` holds the exports of the package; `signatures` the operands of each instruction, by the name of its opcode
 * @typedef {{ name: string, type: string }} Operand
 */
export async function openCheckout(root) {
  const [library, { createRuntime }, constants] = await Promise.all([import(new URL("dist/index.js", root)), import(new URL("dist/node.js", root)), readConstants(root)]);
  const signatures = new Map(readKernels(root).map(({ name, operands }) => [name[0].toUpperCase() + name.slice(1), operands]));
  return { root, library, createRuntime, constants, signatures };
}

/** The core's const enums, which disappear when compiled, as objects. Older checkouts keep them all in one file. */
async function readConstants(root) {
  const files = ["opcodes", "layouts"].map((name) => new URL(`assembly/${name}.ts`, root)).filter(existsSync);
  const { outputText } = ts.transpileModule(files.map((file) => readFileSync(file, "utf8")).join("\n"), {
    compilerOptions: { module: ts.ModuleKind.ESNext, preserveConstEnums: true },
  });
  return import(`data:text/javascript,${encodeURIComponent(outputText)}`);
}

/**
 * Encodes an instruction as words.
 * @param {string} name  the name of its opcode
 * @param {Record<string, number | boolean | null>} operands  all operands by name: addresses (null if absent), counts, flags, scalars
 * @throws TypeError if an operand is missing, unknown or not a number
 */
export function encode({ constants, signatures }, name, operands) {
  const signature = signatures.get(name);
  if (!signature) throw new TypeError(`there is no instruction ${name}`);
  const unknown = Object.keys(operands).filter((key) => !signature.some((operand) => operand.name === key));
  const missing = signature.filter((operand) => !isOperand(operands[operand.name])).map((operand) => operand.name);
  if (unknown.length + missing.length > 0) throw new TypeError(`${name}: unknown operands [${unknown}], missing or not numbers [${missing}]`);
  return [constants.Op[name], 2 + signature.length, ...signature.map((operand) => (isScalar(operand) ? bitsOf(operands[operand.name]) : Number(operands[operand.name])))];
}

const isOperand = (value) => value === null || typeof value === "boolean" || Number.isFinite(value);
const isScalar = ({ type }) => type === "Scalar" || type === "f32"; // the latter in signatures older than assembly/operands.ts
const bitsOf = (value) => new Uint32Array(Float32Array.of(value).buffer)[0];
