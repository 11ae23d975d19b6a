import { HeedError, inFile } from "../errors";
import { excerpt, quoteList } from "../quote";
import { checkTensors, type Shapes } from "./checktensors";
import { arrayTypes, convert, type Dtype, isFloat, type StoredTensor } from "./dtype";
import type { OpenFile } from "./files";
import { LENGTH_BYTES, readHeader, readHeaderLength, type TensorInfo } from "./header";

/** Elements per chunk: 4 MiB of f32. */
const CHUNK = 2 ** 20;

/** Receives consecutive elements of a tensor, starting at row-major index `from`. `values` is overwritten after the call. */
export type FloatSink = (values: Float32Array, from: number) => void;

/**
 * A .safetensors file that is read one tensor at a time: first the header, then the elements of any tensor in chunks.
 * It uses a few megabytes of memory, however large the file is.
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
    /** The file's name in error messages. */
    readonly name: string,
    /** Tensors by name, in file order. */
    readonly tensors: ReadonlyMap<string, TensorInfo>,
    readonly metadata: ReadonlyMap<string, string>,
  ) {}

  /**
   * Reads the header. The file stays open until `close`; it is closed immediately if the header is invalid.
   *
   * @throws HeedError: `format` for a file that `readSafetensors` would reject, `file` if it cannot be read
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
   * Checks that the file contains exactly these tensors, as floating-point numbers unless `dtypes` says otherwise.
   * @throws HeedError (`checkpoint`) listing every tensor that does not match
   */
  check(expected: Shapes, dtypes: ReadonlyMap<string, Dtype> = new Map()): void {
    inFile(this.name, () => {
      checkTensors(expected, new Map(Array.from(this.tensors, ([name, { shape }]) => [name, shape])));
      const messages: string[] = [];
      for (const [name, { dtype }] of this.tensors) {
        const wanted = dtypes.get(name);
        if (wanted === undefined ? isFloat(dtype) : dtype === wanted) continue;
        messages.push(`tensor ${excerpt(name)}: expected ${wanted ?? "floating-point numbers"}, got ${dtype}`);
      }
      if (messages.length > 0) throw new HeedError("checkpoint", quoteList(messages, "\n  "));
    });
  }

  /**
   * Reads `count` consecutive elements of a tensor as they are stored, starting at row-major index `from`.
   * @throws HeedError: `file` if the file cannot be read, `checkpoint` if the tensor is missing
   */
  async readElements(name: string, from: number, count: number): Promise<StoredTensor["data"]> {
    const info = this.tensors.get(name);
    if (info === undefined) return this.refuse(`expected a tensor ${excerpt(name)}, found ${this.listNames()}`);
    const type = arrayTypes[info.dtype];
    const data = new type(count);
    const begin = info.begin + from * type.BYTES_PER_ELEMENT;
    await inFile(this.name, () => this.file.read(new Uint8Array(data.buffer), begin));
    return data;
  }

  /**
   * Reads an F64, F32, F16 or BF16 tensor as f32, in chunks.
   *
   * @param write  called for each chunk in order
   * @throws HeedError: `file` if the file cannot be read, `checkpoint` if the tensor is missing or is not floating-point
   */
  async readFloat32(name: string, write: FloatSink): Promise<void> {
    const info = this.tensors.get(name);
    if (info === undefined) return this.refuse(`expected a tensor ${excerpt(name)}, found ${this.listNames()}`);
    const { dtype, begin, end } = info;
    if (!isFloat(dtype)) return this.refuse(`tensor ${excerpt(name)}: expected floating-point numbers, got ${dtype}`);
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

  private listNames(): string {
    return quoteList(Array.from(this.tensors.keys(), (name) => excerpt(name)));
  }

  private refuse(message: string): never {
    throw new HeedError("checkpoint", `${this.name}: ${message}`, { file: this.name });
  }
}
