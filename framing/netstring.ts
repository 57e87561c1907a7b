import { FrameSyntaxError, quote } from "./errors.ts";
import type { Framing } from "./types.ts";

const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const COMMA = 0x2c;

/** Decimal digits of `Number.MAX_SAFE_INTEGER`. */
const MAX_DIGITS = 16;

/** Write a whole number in ASCII at `start`, and return how many bytes it took. */
export function encodeDecimal(
  value: number,
  bytes: Uint8Array,
  start: number,
): number {
  const digits = String(value);
  for (let i = 0; i < digits.length; i++) {
    bytes[start + i] = digits.charCodeAt(i);
  }
  return digits.length;
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
 * Decoding throws {@linkcode FrameSyntaxError} if there is anything but digits
 * before the colon, a leading zero, more than 16 digits, or no comma after the
 * message, and {@linkcode FrameTooLargeError} if the length is over
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
      const length = encodeDecimal(message.length, bytes, start);
      bytes[start + length] = COLON;
      return length + 1;
    },
    encodeTrailer(_message, bytes, start) {
      bytes[start] = COMMA;
    },
    decodeHeader(bytes, start, end) {
      const fail = (why: string, at: number, offset = at) => {
        const arrived = quote(bytes.subarray(start, start + at + 1));
        return new FrameSyntaxError(
          `Cannot decode netstring: ${why}, its header reads ${arrived}`,
          { offset },
        );
      };
      let messageLength = 0;
      for (let i = 0; start + i < end; i++) {
        const byte = bytes[start + i]!;
        if (byte === COLON && i > 0) {
          return { messageOffset: i + 1, messageLength };
        }
        if (byte < ZERO || byte > NINE) {
          throw fail(
            `a digit${i > 0 ? " or colon" : ""} was wanted at its byte ${i}`,
            i,
          );
        }
        if (i > 0 && bytes[start] === ZERO) {
          throw fail("its length begins with a zero", i, 0);
        }
        if (i === MAX_DIGITS) {
          throw fail(`its length has more than ${MAX_DIGITS} digits`, i);
        }
        messageLength = messageLength * 10 + (byte - ZERO);
      }
      return undefined;
    },
    checkTrailer(_message, bytes, start, { messageOffset, messageLength }) {
      if (bytes[start] === COMMA) return;
      throw new FrameSyntaxError(
        `Cannot decode netstring: no comma stands after its message but ${
          quote(bytes.subarray(start, start + 1))
        }`,
        { offset: messageOffset + messageLength },
      );
    },
  };
}
