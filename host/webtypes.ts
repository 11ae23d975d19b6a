// Structural versions of the web types that heed's public types need. The published .d.ts files name no global of lib "dom" or of
// Node, so they compile in a project that has neither. If a project has them, AbortSignal, WebAssembly.Memory and URL are assignable.

/** An `AbortSignal`. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  throwIfAborted(): void;
}

/** A `WebAssembly.Module`, which has no properties of its own. */
export type WasmModule = object;

/** A `WebAssembly.Memory`. */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
  grow(pages: number): number;
}

/** A `URL`. */
export interface UrlLike {
  readonly href: string;
  readonly protocol: string;
}

/** Bytes in an `ArrayBuffer` or a view of one. */
export type ByteSource = ArrayBuffer | ArrayBufferView;
