// @std/bytes as npm has it, with the types that its JavaScript lacks: see CONTRIBUTING.md
import * as bytes from "deno-std/bytes/mod.js";

export const concat: (
  buffers: readonly Uint8Array[],
) => Uint8Array<ArrayBuffer> = bytes.concat;
export const equals: (a: Uint8Array, b: Uint8Array) => boolean = bytes.equals;
