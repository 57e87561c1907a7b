// @std/streams as npm has it, with the types that its JavaScript lacks: see CONTRIBUTING.md
import * as streams from "deno-std/streams/mod.js";

/** Divide a stream into chunks delimited by a given byte sequence. */
export const DelimiterStream: new (
  delimiter: Uint8Array,
  options?: { disposition?: "suffix" | "prefix" | "discard" },
) => TransformStream<Uint8Array, Uint8Array> = streams.DelimiterStream;

/** Divide a stream of text into lines. */
export const TextLineStream: new (
  options?: { allowCR?: boolean },
) => TransformStream<string, string> = streams.TextLineStream;
