import type { Framing } from "./types.ts";

/** The longest delimiter in bytes. */
const MAX_DELIMITER_LENGTH = 64;

/** Options for {@linkcode delimiter}. */
export interface DelimiterOptions {
  /**
   * What stands after each message: a string, which is sent as UTF-8, or bytes. 1 to 64
   * bytes.
   *
   * @default {"\n"}
   */
  delimiter?: string | Uint8Array | undefined;
  /**
   * What bytes at the end of the stream without a delimiter after them are: an error
   * ({@linkcode TruncatedFrameError}), or the last message.
   *
   * @default {"error"}
   */
  unterminated?: "error" | "message" | undefined;
}

/**
 * Frame messages by a delimiter after each, as JSON lines and the Model Context Protocol
 * do with a line feed, and Chrome's debugging pipe does with a zero byte.
 *
 * ```text
 * frame (9 bytes)            message (8 bytes)
 * +------------+------+      +------------+
 * | "taco cat" | "\n" | <->  | "taco cat" |
 * +------------+------+      +------------+
 * ```
 *
 * A carriage return before a line feed stays part of the message, which JSON does not
 * mind. Sending throws `RangeError` for a message that holds the delimiter, or that ends
 * with its beginning so that the delimiter would be found too early; nothing is written.
 * Decoding throws {@linkcode FrameTooLargeError} as soon as `maxFrameLength` bytes and a
 * delimiter's length have come without a delimiter. Its cost is linear in the bytes,
 * however small the chunks.
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
 * @param options The delimiter, and what bytes without one are.
 * @returns The framing.
 * @throws {RangeError} If the delimiter is not of 1 to 64 bytes.
 * @throws {TypeError} If `delimiter` is no string and no `Uint8Array`, or `unterminated`
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

  /** The delimiter must be found where the message ends, and not before. */
  function check(message: Uint8Array) {
    let at = find(message, 0);
    if (at === -1 && length > 1) {
      const tail = message.subarray(Math.max(0, message.length - length + 1));
      const end = new Uint8Array(tail.length + length);
      end.set(tail);
      end.set(sequence, tail.length);
      const found = find(end, 0);
      if (found < tail.length) at = message.length - tail.length + found;
    }
    if (at === -1) return;
    throw new RangeError(
      `Cannot send message of ${message.length} bytes: it holds the delimiter at byte ${at}`,
    );
  }

  return {
    maxHeaderLength: 0,
    trailerLength: length,
    scansMessage: true,
    encodeHeader(message) {
      check(message);
      return 0;
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
    ...(unterminated === "message" && {
      decodeEnd: (_bytes: Uint8Array, start: number, end: number) => ({
        messageOffset: 0,
        messageLength: end - start,
      }),
    }),
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
      `Cannot use delimiter of ${bytes.length} bytes: 1 to ${MAX_DELIMITER_LENGTH} are wanted`,
    );
  }
  return bytes;
}
