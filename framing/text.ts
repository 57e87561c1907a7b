/** Formats with text around the message: its length in decimal digits, or a delimiter. */

import { FrameSyntaxError, headerError, quote } from "./errors.ts";
import type { DelimiterOptions, Framing } from "./types.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** Decimal digits of `Number.MAX_SAFE_INTEGER`. */
const MAX_DIGITS = 16;

/** The header of a netstring, or the start of one. */
const NETSTRING = /^(0(?![0-9])|[1-9][0-9]{0,15})(:?)/;

/** Latin-1: every byte is one character. */
function toText(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Write ASCII text at `start`, and return its length. */
function encodeAscii(text: string, bytes: Uint8Array, start: number): number {
  for (let i = 0; i < text.length; i++) bytes[start + i] = text.charCodeAt(i);
  return text.length;
}

/**
 * Frame messages as netstrings: the length in decimal digits, a colon, the
 * message, a comma.
 *
 * ```text
 * frame (11 bytes)                message (8 bytes)
 * +------+------------+-----+     +------------+
 * | "8:" | "taco cat" | "," | <-> | "taco cat" |
 * +------+------------+-----+     +------------+
 * ```
 *
 * Decoding throws {@linkcode FrameSyntaxError} if the length is not made of digits, has a
 * leading zero or more than 16 digits, or if no comma follows the message; and {@linkcode FrameTooLargeError} if the length is over
 * `Number.MAX_SAFE_INTEGER`.
 *
 * Defined by {@link https://cr.yp.to/proto/netstrings.txt | D. J. Bernstein}.
 *
 * @example
 * ```ts
 * import { FrameEncoderStream, netstring } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from(["taco cat"])
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeThrough(new FrameEncoderStream({ framing: netstring() }))
 *   .pipeThrough(new TextDecoderStream());
 *
 * assertEquals(await Array.fromAsync(frames), ["8:taco cat,"]);
 * ```
 *
 * @returns The framing.
 */
export function netstring(): Framing {
  return {
    maxHeaderLength: MAX_DIGITS + 1,
    trailerLength: 1,
    encodeHeader(message, bytes, start) {
      const length = encodeAscii(String(message.length), bytes, start);
      bytes[start + length] = COLON;
      return length + 1;
    },
    encodeTrailer(_message, bytes, start) {
      bytes[start] = COMMA;
    },
    decodeHeader(bytes, start, end) {
      const limit = Math.min(end, start + MAX_DIGITS + 1);
      const header = bytes.subarray(start, limit);
      const [text = "", length, colon] = NETSTRING.exec(toText(header)) ?? [];
      const { length: at } = text;
      if (colon) return { messageOffset: at, messageLength: Number(length) };
      if (at === header.length && at <= MAX_DIGITS) return undefined;
      throw headerError(
        "netstring: a length of 1 to 16 digits and a colon are expected",
        header.subarray(0, at + 1),
        at,
      );
    },
    checkTrailer(_message, bytes, start, { messageOffset, messageLength }) {
      if (bytes[start] === COMMA) return;
      throw new FrameSyntaxError(
        `Cannot decode netstring: the byte after its message is ${
          quote(bytes.subarray(start, start + 1))
        }, not a comma`,
        { offset: messageOffset + messageLength },
      );
    },
  };
}

/** The most bytes of a header block that {@linkcode contentLength} reads. */
const MAX_HEADER_BLOCK_LENGTH = 4096;

const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\r\n]*)$/;
const DIGITS = /^[ \t]*[0-9]+[ \t]*$/;
/** Control characters, except layout and color, before a colon: no text has them. */
// deno-lint-ignore no-control-regex -- it finds them
const BINARY = /^[^:]*?[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]/;

function syntaxError(problem: string, line: Uint8Array, offset: number) {
  const hint = problem.startsWith("a line") ? HINT : "";
  return new FrameSyntaxError(
    `Cannot decode header block: ${problem}: ${quote(line)}${hint}`,
    { offset },
  );
}

const NO_HEADER = "a line is not of the form `name: value`";
const HINT =
  ". Does the program log to its standard output, or use another framing?";

/** Throw if a line is binary data, in which a line feed may never come. */
function checkText(line: Uint8Array, offset: number) {
  const [binary] = BINARY.exec(toText(line)) ?? [];
  if (binary === undefined) return;
  throw syntaxError(NO_HEADER, line.subarray(0, binary.length), offset);
}

/**
 * Frame messages by a header block with a `Content-Length`, like the Language Server Protocol
 * and the Debug Adapter Protocol.
 *
 * ```text
 * frame (29 bytes)                                    message (8 bytes)
 * +---------------------------------+------------+     +------------+
 * | "Content-Length: 8\r\n" "\r\n"  | "taco cat" | <-> | "taco cat" |
 * +---------------------------------+------------+     +------------+
 * ```
 *
 * Headers can be in any order and any letter case. Headers other than `Content-Length`
 * (such as `Content-Type`) are ignored.
 *
 * Decoding throws {@linkcode FrameSyntaxError} as soon as a line is not a header, for example
 * because a program logs to its standard output: the error shows the line. It also throws if a
 * line begins with binary data, if there is not exactly one `Content-Length` of plain digits, or
 * if the block, with the empty line at its end, is over 4096 bytes. It throws
 * {@linkcode FrameTooLargeError} if the length is over `Number.MAX_SAFE_INTEGER`.
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
  const name = new TextEncoder().encode("Content-Length: ");
  return {
    maxHeaderLength: MAX_HEADER_BLOCK_LENGTH,
    encodeHeader(message, bytes, start) {
      bytes.set(name, start);
      const rest = `${message.length}\r\n\r\n`;
      return name.length + encodeAscii(rest, bytes, start + name.length);
    },
    decodeHeader(bytes, start, end, scanned = 0) {
      const limit = Math.min(end, start + MAX_HEADER_BLOCK_LENGTH);
      const arrived = bytes.subarray(0, limit);
      let messageLength: number | undefined;
      let at = start;
      // Parse the lines again only when another one is complete.
      if (arrived.indexOf(LINE_FEED, start + scanned) === -1) {
        at = Math.max(start, arrived.lastIndexOf(LINE_FEED) + 1);
      }
      for (;;) {
        const offset = at - start;
        const lineFeed = arrived.indexOf(LINE_FEED, at);
        if (lineFeed === -1) {
          checkText(arrived.subarray(at), offset);
          return undefined;
        }
        const isEnded = lineFeed > at &&
          arrived[lineFeed - 1] === CARRIAGE_RETURN;
        const line = arrived.subarray(at, isEnded ? lineFeed - 1 : lineFeed);
        if (isEnded && line.length === 0 && offset > 0) {
          if (messageLength === undefined) {
            const block = arrived.subarray(start, at - 2);
            throw syntaxError("it has no Content-Length", block, 0);
          }
          return { messageOffset: lineFeed + 1 - start, messageLength };
        }
        const header = isEnded && HEADER.exec(toText(line));
        if (!header) {
          checkText(line, offset);
          const wrong = isEnded ? NO_HEADER : "a line does not end in \\r\\n";
          throw syntaxError(wrong, line, offset);
        }
        at = lineFeed + 1;
        const [, name = "", value = ""] = header;
        if (name.toLowerCase() !== "content-length") continue;
        const wrong = !DIGITS.test(value)
          ? "its Content-Length is not made of digits"
          : messageLength !== undefined
          ? "it has more than one Content-Length"
          : undefined;
        if (wrong) throw syntaxError(wrong, line, offset);
        messageLength = Number(value);
      }
    },
  };
}

/** The maximum length of a delimiter in bytes. */
const MAX_DELIMITER_LENGTH = 64;

/**
 * Frame messages by a delimiter after each one. JSON lines and the Model Context Protocol use a
 * line feed, Chrome's debugging pipe a zero byte.
 *
 * ```text
 * frame (9 bytes)            message (8 bytes)
 * +------------+------+      +------------+
 * | "taco cat" | "\n" | <->  | "taco cat" |
 * +------------+------+      +------------+
 * ```
 *
 * A carriage return before a line feed stays part of the message; JSON ignores it.
 *
 * Sending throws `RangeError` if the message contains the delimiter, or ends with its beginning
 * so that the delimiter would be found too early. Nothing is written.
 *
 * Decoding throws {@linkcode FrameTooLargeError} as soon as `maxFrameLength` bytes and the length
 * of a delimiter have arrived without a delimiter. Its cost is linear in the number of bytes,
 * however small the chunks are.
 *
 * Defined by {@link https://jsonlines.org | JSON Lines} and
 * {@link https://modelcontextprotocol.io/specification/2025-06-18/basic/transports#stdio | MCP}.
 *
 * @example
 * ```ts
 * import { delimiter, FrameDecoderStream } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const messages = ReadableStream.from(["taco\nc", "at\n"])
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeThrough(new FrameDecoderStream({ framing: delimiter() }));
 *
 * assertEquals(
 *   (await Array.fromAsync(messages)).map((message) => new TextDecoder().decode(message)),
 *   ["taco", "cat"],
 * );
 * ```
 *
 * @param options The delimiter, and how to treat bytes without one.
 * @returns The framing.
 * @throws {RangeError} If the delimiter is not 1 to 64 bytes long.
 * @throws {TypeError} If `delimiter` is neither a string nor a `Uint8Array`, or `unterminated`
 * is neither `"error"` nor `"message"`.
 */
export function delimiter(options: DelimiterOptions = {}): Framing {
  const { unterminated = "error" } = options;
  if (unterminated !== "error" && unterminated !== "message") {
    throw new TypeError(
      `Cannot use unterminated: "${unterminated}" is neither "error" nor "message"`,
    );
  }
  const sequence = bytesOf(options.delimiter ?? "\n");
  const { length } = sequence;

  /** Where the delimiter begins at or after `from`, or -1. */
  function find(bytes: Uint8Array, from: number): number {
    for (let at = from; (at = bytes.indexOf(sequence[0]!, at)) !== -1; at++) {
      if (at + length > bytes.length) return -1;
      let same = 1;
      while (same < length && bytes[at + same] === sequence[same]) same++;
      if (same === length) return at;
    }
    return -1;
  }

  return {
    maxHeaderLength: 0,
    trailerLength: length,
    scansMessage: true,
    encodeHeader(message) {
      // The delimiter must be found where the message ends, and not before.
      let at = find(message, 0);
      if (at === -1 && length > 1) {
        const begin = Math.max(0, message.length - length + 1);
        const tail = message.subarray(begin);
        at = begin + find(Uint8Array.of(...tail, ...sequence), 0);
      }
      if (at === -1 || at === message.length) return 0;
      throw new RangeError(
        `Cannot send message of ${message.length} bytes: it contains the delimiter at byte ${at}`,
      );
    },
    encodeTrailer(_message, bytes, start) {
      bytes.set(sequence, start);
    },
    decodeHeader(bytes, start, end, scanned = 0) {
      const from = start + Math.max(0, scanned - length + 1);
      const at = find(bytes.subarray(0, end), from);
      return at === -1
        ? undefined
        : { messageOffset: 0, messageLength: at - start };
    },
    decodeEnd(_bytes, start, end) {
      if (unterminated === "error") return undefined;
      return { messageOffset: 0, messageLength: end - start };
    },
  };
}

function bytesOf(delimiter: string | Uint8Array): Uint8Array {
  if (typeof delimiter !== "string" && !(delimiter instanceof Uint8Array)) {
    throw new TypeError(
      "Cannot use delimiter: it is neither a string nor a Uint8Array",
    );
  }
  const bytes = typeof delimiter === "string"
    ? new TextEncoder().encode(delimiter)
    : delimiter.slice();
  if (bytes.length === 0 || bytes.length > MAX_DELIMITER_LENGTH) {
    throw new RangeError(
      `Cannot use delimiter of ${bytes.length} bytes: it must have 1 to ${MAX_DELIMITER_LENGTH}`,
    );
  }
  return bytes;
}
