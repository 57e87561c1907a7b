import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes";
import {
  FrameDecoderStream,
  FrameEncoderStream,
  FrameSyntaxError,
  FrameTooLargeError,
  type FramingOptions,
  TruncatedFrameError,
} from "../../framing.ts";

/** Bytes written as the characters of Latin-1: `"\x00\x08taco cat"`. */
export function toBytes(string: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(string, (character) => character.charCodeAt(0));
}

export function toString(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

export async function encode(
  messages: Uint8Array[],
  options?: FramingOptions,
): Promise<Uint8Array> {
  const frames = ReadableStream.from(messages)
    .pipeThrough(new FrameEncoderStream(options));
  return concat(await Array.fromAsync(frames));
}

interface Decoded {
  messages: Uint8Array[];
  error?: unknown;
}

/** Decode until the end or the first error. */
export async function decode(
  chunks: Iterable<Uint8Array>,
  options?: FramingOptions,
): Promise<Decoded> {
  const messages: Uint8Array[] = [];
  const stream = ReadableStream.from(chunks)
    .pipeThrough(new FrameDecoderStream(options));
  try {
    for await (const message of stream) messages.push(message);
    return { messages };
  } catch (error) {
    return { messages, error };
  }
}

/** The messages as strings, and then the error, if there is one. */
export async function decodeStrings(
  chunks: Iterable<Uint8Array>,
  options?: FramingOptions,
): Promise<unknown[]> {
  const { messages, error } = await decode(chunks, options);
  const strings = messages.map(toString);
  return error === undefined ? strings : [...strings, describe(error)];
}

/** Copies of the bytes between the cuts. */
export function split(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  return [...cuts, bytes.length].map((end, i) =>
    bytes.slice(cuts[i - 1] ?? 0, end)
  );
}

export function byteByByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

/** The properties of an error, for comparisons. */
export function describe(error: unknown): unknown {
  if (error instanceof FrameSyntaxError) {
    return { name: error.name, offset: error.offset };
  }
  if (error instanceof FrameTooLargeError) {
    const { name, length, maxFrameLength } = error;
    return { name, length, maxFrameLength };
  }
  if (error instanceof TruncatedFrameError) {
    const { name, received, expected } = error;
    return { name, received, expected };
  }
  return error;
}

/** Decode in one chunk and byte by byte: both must end in the same error. */
export async function decodeError(
  bytes: Uint8Array,
  options: FramingOptions,
): Promise<unknown> {
  const { error: whole } = await decode([bytes], options);
  const { error } = await decode(byteByByte(bytes), options);
  assert(error instanceof Error, `${toString(bytes)} was decoded`);
  assert(whole instanceof Error);
  assertEquals(describe(whole), describe(error));
  assertEquals(whole.message, error.message);
  return describe(error);
}

export function syntaxError(offset: number) {
  return { name: "FrameSyntaxError", offset };
}

export function tooLarge(length: number, maxFrameLength: number) {
  return { name: "FrameTooLargeError", length, maxFrameLength };
}

export function truncated(received: number, expected?: number) {
  return { name: "TruncatedFrameError", received, expected };
}

export const MIB = 1024 * 1024;
export const DEFAULT_MAX_FRAME_LENGTH = 64 * MIB;
export const native = toString(new Uint8Array(Uint32Array.of(8, 0, 1).buffer));
