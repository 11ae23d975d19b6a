import { HeedError, inFile } from "../errors";
import { checkTensors, type Shapes } from "./checktensors";
import { arrayTypes, convert, isFloat } from "./dtype";
import type { OpenFile } from "./files";
import { LENGTH_BYTES, readHeader, readHeaderLength, type TensorInfo } from "./safetensors";

/** Elements converted at a time: 4 MiB of f32. */
const CHUNK = 2 ** 20;

/** Takes a tensor's elements from index `from` on, in row-major order. `values` is overwritten after the call. */
export type FloatSink = (values: Float32Array, from: number) => void;

/**
 * A .safetensors file read a tensor at a time: the header first, then any tensor's elements in chunks. However large the file,
 * it takes a few megabytes of memory.
 *
 * @example
 * const file = await TensorFile.open(await files.open("runs/dates/model.safetensors"), "runs/dates/model.safetensors");
 * let sum = 0;
 * await file.readFloat32("embedding.weight", (values) => values.forEach((value) => (sum += value)));
 * await file.close();
 */
export class TensorFile {
  private readonly chunk = new ArrayBuffer(4 * CHUNK);
  private readonly converted = new Float32Array(CHUNK);

  private constructor(
    private readonly file: OpenFile,
    /** What errors call the file. */
    readonly name: string,
    /** In the order of their bytes in the file. */
    readonly tensors: ReadonlyMap<string, TensorInfo>,
    readonly metadata: ReadonlyMap<string, string>,
  ) {}

  /**
   * Reads the header. The file is closed by `close`, or here when the header is not valid.
   *
   * @throws HeedError: `format` for a file that `readSafetensors` would refuse, `file` when it cannot be read
   */
  static async open(file: OpenFile, name: string): Promise<TensorFile> {
    try {
      return await inFile(name, async () => {
        const first = new Uint8Array(Math.min(LENGTH_BYTES, file.size));
        await file.read(first, 0);
        const header = new Uint8Array(readHeaderLength(first, file.size));
        await file.read(header, LENGTH_BYTES);
        const { tensors, metadata } = readHeader(header, file.size);
        return new TensorFile(file, name, tensors, metadata);
      });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Checks that the file holds these tensors, no more and no less, as floating-point numbers.
   * @throws HeedError (`checkpoint`) listing every tensor that does not fit
   */
  check(expected: Shapes): void {
    inFile(this.name, () => {
      checkTensors(expected, new Map(Array.from(this.tensors, ([name, { shape }]) => [name, shape])));
      const others = [...this.tensors].filter(([, { dtype }]) => !isFloat(dtype)).map(([name, { dtype }]) => `tensor ${name}: expected floating-point numbers, got ${dtype}`);
      if (others.length > 0) throw new HeedError("checkpoint", others.join("\n  "));
    });
  }

  /**
   * Reads a tensor of F64, F32, F16 or BF16 as f32, in chunks.
   *
   * @param write  called for each chunk in turn
   * @throws HeedError: `file` when the file cannot be read, `checkpoint` when the tensor is missing or is not floating-point
   */
  async readFloat32(name: string, write: FloatSink): Promise<void> {
    const { dtype, begin, end } = this.tensors.get(name) ?? this.refuse(`expected a tensor ${name}, found ${[...this.tensors.keys()].join(", ")}`);
    if (!isFloat(dtype)) return this.refuse(`tensor ${name}: expected floating-point numbers, got ${dtype}`);
    const type = arrayTypes[dtype];
    const size = type.BYTES_PER_ELEMENT;
    const perChunk = Math.min(CHUNK, this.chunk.byteLength / size);
    const elements = (end - begin) / size;
    for (let from = 0; from < elements; from += perChunk) {
      const data = new type(this.chunk, 0, Math.min(perChunk, elements - from));
      await inFile(this.name, () => this.file.read(new Uint8Array(this.chunk, 0, data.byteLength), begin + from * size));
      if (data instanceof Float32Array) write(data, from);
      else {
        const values = this.converted.subarray(0, data.length);
        convert(dtype, data, values);
        write(values, from);
      }
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private refuse(message: string): never {
    throw new HeedError("checkpoint", `${this.name}: ${message}`, { file: this.name });
  }
}
