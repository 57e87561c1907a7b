/** Formats that begin with the length of the message as a binary number. */

import { checkInteger, FrameTooLargeError, headerError } from "./errors.ts";
import type { Framing, LengthFieldOptions, VarintOptions } from "./types.ts";

/** The maximum of `lengthFieldOffset` and `initialBytesToStrip`. */
const MAX_LENGTH_FIELD_OFFSET = 65_536;

const MAX_FIELD_LENGTH = 8;

/** The value of a length field while it is read or written, shared by all framings. */
const field = new DataView(new ArrayBuffer(MAX_FIELD_LENGTH));
const fieldBytes = new Uint8Array(field.buffer);

const NATIVE_IS_LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Frame messages by a length field of fixed size, with the options of Netty's
 * `LengthFieldBasedFrameDecoder`. The default is a native-endian unsigned 32-bit length and then
 * the message. `[n].pack("I")` in Ruby and `struct.pack("=I", n)` in Python write that length.
 *
 * Encoding is the exact inverse of decoding: the frame of a message is
 * `initialBytesToStrip` zero bytes followed by the message, with the length field
 * then written in place.
 *
 * `lengthField({ endianness: "big" })`, used by Tokio's `LengthDelimitedCodec`, Erlang's
 * `{packet, 4}` and (below 2 GiB) Python's `multiprocessing.connection`:
 *
 * ```text
 * frame (12 bytes)                   message (8 bytes)
 * +-------------+------------+       +------------+
 * | 00 00 00 08 | "taco cat" |  <->  | "taco cat" |
 * +-------------+------------+       +------------+
 * ```
 *
 * `lengthField({ lengthFieldLength: 2, endianness: "big", lengthAdjustment: -2 })`, a length that
 * counts itself:
 *
 * ```text
 * frame (10 bytes)                   message (8 bytes)
 * +-------+------------+             +------------+
 * | 00 0a | "taco cat" |        <->  | "taco cat" |
 * +-------+------------+             +------------+
 * ```
 *
 * `lengthField({ endianness: "big", lengthFieldOffset: 1, lengthAdjustment: -4,
 * initialBytesToStrip: 0 })`, used by PostgreSQL: a type, then a length that counts itself. The
 * message is the whole frame; sending overwrites the four bytes after its type:
 *
 * ```text
 * frame (13 bytes)                      message (13 bytes)
 * +-----+-------------+------------+    +-----+-------------+------------+
 * | "Q" | 00 00 00 0c | "taco cat" | <->| "Q" | 00 00 00 0c | "taco cat" |
 * +-----+-------------+------------+    +-----+-------------+------------+
 * ```
 *
 * Encoding throws {@linkcode FrameTooLargeError} if the field cannot hold the length, and
 * `RangeError` if the message is shorter than the header bytes that it includes
 * (`initialBytesToStrip` below the header's size). Decoding throws {@linkcode FrameSyntaxError} if
 * the length is below zero, and {@linkcode FrameTooLargeError} if it is over
 * `Number.MAX_SAFE_INTEGER`.
 *
 * Defined by
 * {@link https://netty.io/4.1/api/io/netty/handler/codec/LengthFieldBasedFrameDecoder.html | Netty}.
 *
 * @example Two bytes, big-endian
 * ```ts
 * import { FrameEncoderStream, lengthField } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const framing = lengthField({ lengthFieldLength: 2, endianness: "big" });
 * const frames = ReadableStream.from([new Uint8Array([7, 8, 9])])
 *   .pipeThrough(new FrameEncoderStream({ framing }));
 *
 * assertEquals(await Array.fromAsync(frames), [new Uint8Array([0, 3, 7, 8, 9])]);
 * ```
 *
 * @param options The position and the meaning of the length field.
 * @returns The framing.
 * @throws {RangeError} If a number is out of its range.
 * @throws {TypeError} If `endianness` is not one of the three values.
 */
export function lengthField(options: LengthFieldOptions = {}): Framing {
  const {
    endianness = "native",
    lengthFieldLength: size = 4,
    lengthFieldOffset: position = 0,
    lengthAdjustment: adjustment = 0,
  } = options;
  if (!["native", "big", "little"].includes(endianness)) {
    throw new TypeError(
      `Cannot use endianness: "${endianness}" is not "native", "big" or "little"`,
    );
  }
  checkInteger("lengthFieldLength", size, 1, 8);
  checkInteger("lengthFieldOffset", position, 0, MAX_LENGTH_FIELD_OFFSET);
  checkInteger("lengthAdjustment", adjustment, Number.MIN_SAFE_INTEGER);
  const headerLength = position + size;
  const { initialBytesToStrip: strip = headerLength } = options;
  if (options.initialBytesToStrip !== undefined) {
    checkInteger("initialBytesToStrip", strip, 0, MAX_LENGTH_FIELD_OFFSET);
  }
  const little = endianness === "little" ||
    (endianness === "native" && NATIVE_IS_LITTLE);
  const before = Math.max(headerLength, strip);
  const messageBytesInHeader = Math.max(headerLength - strip, 0);
  // The difference between the value of the length field and the length of the message.
  const overhead = strip - headerLength - adjustment;
  const maxValue = Math.min(2 ** (8 * size) - 1, Number.MAX_SAFE_INTEGER);

  // A shorter field is the end of an 8-byte big-endian one, or the start of a little-endian one.
  const [skip, high, low] = little
    ? [0, 4, 0]
    : [MAX_FIELD_LENGTH - size, 0, 4];

  function write(bytes: Uint8Array, at: number, value: number) {
    field.setUint32(high, value / 2 ** 32, little);
    field.setUint32(low, value, little);
    for (let i = 0; i < size; i++) bytes[at + i] = fieldBytes[skip + i]!;
  }

  function read(bytes: Uint8Array, at: number): number {
    field.setUint32(high, 0);
    field.setUint32(low, 0);
    for (let i = 0; i < size; i++) fieldBytes[skip + i] = bytes[at + i]!;
    return field.getUint32(high, little) * 2 ** 32 +
      field.getUint32(low, little);
  }

  return {
    maxHeaderLength: before,
    messageBytesInHeader,
    encodeHeader(message, bytes, start) {
      const value = message.length + overhead;
      if (value > maxValue) {
        const maxFrameLength = Math.max(maxValue - overhead, 0);
        throw new FrameTooLargeError(
          `Cannot send message of ${message.length} bytes: a ${size}-byte length field holds at most ${maxFrameLength}`,
          { length: message.length, maxFrameLength },
        );
      }
      if (value < 0 || message.length < messageBytesInHeader) {
        throw new RangeError(
          `Cannot send message of ${message.length} bytes: this framing needs at least ${
            Math.max(messageBytesInHeader, -overhead)
          }`,
        );
      }
      if (before > size) bytes.fill(0, start, start + before);
      for (let i = 0; i < messageBytesInHeader; i++) {
        bytes[start + strip + i] = message[i]!;
      }
      write(bytes, start + position, value);
      return before;
    },
    decodeHeader(bytes, start, end) {
      if (end - start < headerLength) return undefined;
      const value = read(bytes, start + position);
      // Above this, the sum below would not be exact.
      if (value > maxValue) {
        return { messageOffset: strip, messageLength: value };
      }
      const messageLength = value - overhead;
      if (messageLength < 0 || value + adjustment < 0) {
        throw headerError(
          `frame: its length field of ${value} makes a message of ${messageLength} bytes`,
          bytes.subarray(start, start + headerLength),
          position,
        );
      }
      return { messageOffset: strip, messageLength };
    },
  };
}

/**
 * Frame messages by an unsigned LEB128 length, like protobuf's delimited messages and libp2p.
 *
 * ```text
 * frame (9 bytes)               message (8 bytes)
 * +----+------------+           +------------+
 * | 08 | "taco cat" |      <->  | "taco cat" |
 * +----+------------+           +------------+
 *
 * frame (302 bytes)             message (300 bytes)
 * +-------+---------- ... +     +---------- ... +
 * | ac 02 | 300 bytes     | <-> | 300 bytes     |
 * +-------+---------- ... +     +---------- ... +
 * ```
 *
 * Decoding throws {@linkcode FrameSyntaxError} if the length takes more than 10
 * bytes, more than 64 bits, or (unless `allowOverlong` is set) more bytes than it
 * needs, and {@linkcode FrameTooLargeError} if it is over `Number.MAX_SAFE_INTEGER`.
 *
 * Defined by {@link https://github.com/multiformats/unsigned-varint | multiformats} and
 * {@link https://protobuf.dev/programming-guides/encoding/#varints | protobuf}.
 *
 * @example
 * ```ts
 * import { FrameEncoderStream, varint } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from([new Uint8Array(300)])
 *   .pipeThrough(new FrameEncoderStream({ framing: varint() }));
 * const [frame] = await Array.fromAsync(frames);
 *
 * assertEquals(frame?.subarray(0, 2), new Uint8Array([0xac, 0x02]));
 * assertEquals(frame?.length, 302);
 * ```
 *
 * @param options Whether to accept a length that takes more bytes than it needs.
 * @returns The framing.
 */
export function varint(options: VarintOptions = {}): Framing {
  const { allowOverlong = false } = options;
  return {
    maxHeaderLength: 10,
    encodeHeader(message, bytes, start) {
      let value = message.length;
      let at = start;
      while (value >= 128) {
        bytes[at++] = value % 128 + 128;
        value = Math.floor(value / 128);
      }
      bytes[at++] = value;
      return at - start;
    },
    decodeHeader(bytes, start, end) {
      let value = 0;
      for (let i = 0; start + i < end; i++) {
        const byte = bytes[start + i]!;
        // The tenth byte holds the last of 64 bits.
        const isTooLong = i === 9 && byte > 1;
        value += (byte & 127) * 2 ** (7 * i);
        if (byte > 127 && !isTooLong) continue;
        if (isTooLong || (byte === 0 && i > 0 && !allowOverlong)) {
          const problem = isTooLong
            ? "is over 64 bits"
            : `takes ${i + 1} bytes where fewer suffice`;
          const header = bytes.subarray(start, start + i + 1);
          throw headerError(`frame: its varint length ${problem}`, header, i);
        }
        return { messageOffset: i + 1, messageLength: value };
      }
      return undefined;
    },
  };
}
