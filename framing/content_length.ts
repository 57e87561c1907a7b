import { FrameSyntaxError, quote } from "./errors.ts";
import { encodeDecimal } from "./netstring.ts";
import type { Framing } from "./types.ts";

const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const COLON = 0x3a;

/** The most bytes of a header block that {@linkcode contentLength} reads. */
const MAX_HEADER_BLOCK_LENGTH = 4096;

const CONTENT_LENGTH = Uint8Array.from(
  "Content-Length: ",
  (character) => character.charCodeAt(0),
);

const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\r\n]*)$/;

/** Latin-1: every byte is one character, so that offsets are those of bytes. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}

function syntaxError(message: string, line: string, offset: number) {
  const bytes = Uint8Array.from(line, (character) => character.charCodeAt(0));
  return new FrameSyntaxError(
    `Cannot decode header block: ${message}: ${quote(bytes)}`,
    { offset },
  );
}

const NO_HEADER = "a line is not of the form `name: value`";

/** What no text has: of the control characters all but those that lay it out or color it. */
function isBinary(byte: number): boolean {
  return (byte < 0x20 && !(byte >= 0x09 && byte <= 0x0d) && byte !== 0x1b) ||
    byte === 0x7f;
}

/**
 * Throw if a line is binary data, which may never end it.
 *
 * @param at Where the line begins.
 * @param from From where on it has not been looked at.
 */
function checkText(
  bytes: Uint8Array,
  { start, at, from = at }: { start: number; at: number; from?: number },
) {
  for (let i = Math.max(at, from); i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === LINE_FEED) return;
    if (!isBinary(byte)) continue;
    // The value of a header may hold it.
    if (bytes.subarray(at, i).includes(COLON)) return;
    throw syntaxError(NO_HEADER, textOf(bytes, at, i + 1), at - start);
  }
}

/** The value of a line if it is a `Content-Length`. */
function contentLengthOf(
  [line, name = "", value = ""]: RegExpExecArray,
  offset: number,
): number | undefined {
  if (name.toLowerCase() !== "content-length") return undefined;
  const digits = /^[ \t]*([0-9]+)[ \t]*$/.exec(value)?.[1];
  if (digits === undefined) {
    throw syntaxError(
      "its Content-Length is not made of digits",
      line,
      offset,
    );
  }
  return Number(digits);
}

/**
 * Frame messages by a header block with a `Content-Length`, as the Language Server
 * Protocol and the Debug Adapter Protocol do.
 *
 * ```text
 * frame (29 bytes)                                    message (8 bytes)
 * +---------------------------------+------------+     +------------+
 * | "Content-Length: 8\r\n" "\r\n"  | "taco cat" | <-> | "taco cat" |
 * +---------------------------------+------------+     +------------+
 * ```
 *
 * Any order of headers and any letter case is understood, and headers other than
 * `Content-Length` (`Content-Type`) are ignored. Decoding throws
 * {@linkcode FrameSyntaxError} as soon as a line is not a header (a program that logs to
 * its standard output: the error shows the line) or begins with binary data, if there is
 * not exactly one `Content-Length` of plain digits, or if the block, with the empty line
 * that ends it, is over 4096 bytes; and {@linkcode FrameTooLargeError} if the length is over
 * `Number.MAX_SAFE_INTEGER`.
 *
 * Defined by the
 * {@link https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#baseProtocol | Language Server Protocol}.
 *
 * @example
 * ```ts
 * import { contentLength, FrameEncoderStream } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from(["taco cat"])
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeThrough(new FrameEncoderStream({ framing: contentLength() }))
 *   .pipeThrough(new TextDecoderStream());
 *
 * assertEquals(await Array.fromAsync(frames), ["Content-Length: 8\r\n\r\ntaco cat"]);
 * ```
 *
 * @returns The framing.
 */
export function contentLength(): Framing {
  return {
    maxHeaderLength: MAX_HEADER_BLOCK_LENGTH,
    encodeHeader(message, bytes, start) {
      bytes.set(CONTENT_LENGTH, start);
      let at = start + CONTENT_LENGTH.length;
      at += encodeDecimal(message.length, bytes, at);
      for (let i = 0; i < 2; i++) {
        bytes[at++] = CARRIAGE_RETURN;
        bytes[at++] = LINE_FEED;
      }
      return at - start;
    },
    decodeHeader(bytes, start, end, scanned = 0) {
      const limit = Math.min(end, start + MAX_HEADER_BLOCK_LENGTH);
      const arrived = bytes.subarray(0, limit);
      let messageLength: number | undefined;
      let at = start;
      // Lines are parsed once more only when another one is complete.
      if (arrived.indexOf(LINE_FEED, start + scanned) === -1) {
        at = Math.max(start, arrived.lastIndexOf(LINE_FEED) + 1);
        checkText(arrived, { start, at, from: start + scanned });
        return undefined;
      }
      for (;;) {
        const lineFeed = arrived.indexOf(LINE_FEED, at);
        if (lineFeed === -1) {
          checkText(arrived, { start, at });
          return undefined;
        }
        const offset = at - start;
        if (bytes[lineFeed - 1] !== CARRIAGE_RETURN || lineFeed === at) {
          checkText(arrived, { start, at });
          const line = textOf(bytes, at, lineFeed);
          throw syntaxError("a line does not end in \\r\\n", line, offset);
        }
        const line = textOf(bytes, at, lineFeed - 1);
        if (line === "" && offset > 0) {
          const messageOffset = lineFeed + 1 - start;
          if (messageLength !== undefined) {
            return { messageOffset, messageLength };
          }
          const block = textOf(bytes, start, at - 2);
          throw syntaxError("it has no Content-Length", block, 0);
        }
        const match = HEADER.exec(line);
        if (match === null) {
          checkText(arrived, { start, at });
          throw syntaxError(NO_HEADER, line, offset);
        }
        at = lineFeed + 1;
        const value = contentLengthOf(match, offset);
        if (value === undefined) continue;
        if (messageLength !== undefined) {
          throw syntaxError(
            "it has more than one Content-Length",
            line,
            offset,
          );
        }
        messageLength = value;
      }
    },
  };
}
