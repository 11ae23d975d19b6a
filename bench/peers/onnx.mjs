/** Writes ONNX models (onnx.proto, opset 20); supports only the parts of the format that the benchmarks need. */

const FLOAT = 1;
const INT64 = 7;

const varint = (value) => {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
};
const int = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
const text = (field, value) => bytes(field, Buffer.from(value));
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));
const float = (field, value) => {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), buffer]);
};

/**
 * An operator. Integer attributes are written as integers: pass `{ float: 1 }` for a float with an integer value.
 * @param {string} op  the operator's type, prefixed with "com.microsoft." for ORT's own operators
 * @param {string[]} inputs  names of the inputs; "" for an absent one
 */
export function node(op, inputs, outputs, attributes = {}) {
  const domain = op.startsWith("com.microsoft.") ? "com.microsoft" : "";
  const attribute = ([name, value]) => {
    if (typeof value === "string") return message(5, text(1, name), text(4, value), int(20, 3));
    if (Array.isArray(value)) return message(5, text(1, name), ...value.map((i) => int(8, i)), int(20, 7));
    if (Number.isInteger(value)) return message(5, text(1, name), int(3, value), int(20, 2));
    return message(5, text(1, name), float(2, value.float ?? value), int(20, 1));
  };
  return message(
    1,
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, domain ? op.slice(domain.length + 1) : op),
    ...Object.entries(attributes).map(attribute),
    text(7, domain),
  );
}

const raw = ({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength);
const valueInfo = (field, [name, shape]) => message(field, text(1, name), message(2, message(1, int(1, FLOAT), message(2, ...shape.map((n) => message(1, int(1, n)))))));
const initializer = ([name, { shape, data }]) => message(5, ...shape.map((n) => int(1, n)), int(2, data instanceof BigInt64Array ? INT64 : FLOAT), text(8, name), bytes(9, raw(data)));

/**
 * A model with f32 inputs and one output.
 * @param {Buffer[]} nodes  in execution order
 * @param {Record<string, number[]>} inputs  shapes by name
 * @param {Record<string, { shape: number[], data: Float32Array | BigInt64Array }>} constants
 * @param {Record<string, number[]>} outputs
 * @returns {Uint8Array} the .onnx file
 */
export function model(nodes, inputs, outputs, constants = {}) {
  const graph = message(
    7,
    ...nodes,
    text(2, "bench"),
    ...Object.entries(constants).map(initializer),
    ...Object.entries(inputs).map((entry) => valueInfo(11, entry)),
    ...Object.entries(outputs).map((entry) => valueInfo(12, entry)),
  );
  return Buffer.concat([int(1, 9), message(8, text(1, ""), int(2, 20)), message(8, text(1, "com.microsoft"), int(2, 1)), graph]);
}
