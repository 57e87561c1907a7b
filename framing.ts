/**
 * Divide a stream of bytes into messages, and back: each message travels in a
 * _frame_, which says how long it is.
 *
 * | function | a frame of `taco cat` | spoken by |
 * |---|---|---|
 * | {@linkcode lengthField} | `08 00 00 00` `taco cat` | nearly everything; every option of Netty's decoder |
 * | {@linkcode varint} | `08` `taco cat` | protobuf delimited, libp2p |
 * | {@linkcode netstring} | `8:` `taco cat` `,` | SCGI, qmail, Twisted |
 * | {@linkcode contentLength} | `Content-Length: 8\r\n\r\n` `taco cat` | LSP, DAP |
 * | {@linkcode delimiter} | `taco cat` `\n` | JSON lines, MCP; `\0`: Chrome's debugging pipe |
 *
 * {@linkcode FrameEncoderStream} and {@linkcode FrameDecoderStream} apply one to
 * web streams. This module uses nothing of Deno: it runs wherever web streams do (tested in
 * Node 24 and Bun 1.4).
 *
 * @example
 * ```ts
 * import { FrameDecoderStream, FrameEncoderStream } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const messages = ["taco cat", "", "tac ocat"];
 * const decoded = ReadableStream.from(messages)
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeThrough(new FrameEncoderStream())
 *   .pipeThrough(new FrameDecoderStream())
 *   .pipeThrough(new TextDecoderStream());
 *
 * assertEquals((await Array.fromAsync(decoded)).join("|"), "taco cat|tac ocat");
 * ```
 *
 * @module
 */

import { FrameDecoder } from "./framing/decoder.ts";
import { assertBytes, decoderStreams } from "./framing/streams.ts";
import { FrameEncoder } from "./framing/encoder.ts";
import {
  checkInteger,
  FrameSyntaxError,
  FrameTooLargeError,
  quote,
} from "./framing/errors.ts";
import type { Framing, FramingOptions } from "./framing/types.ts";

export { contentLength } from "./framing/content_length.ts";
export { delimiter, type DelimiterOptions } from "./framing/delimiter.ts";
export {
  FrameSyntaxError,
  FrameTooLargeError,
  TruncatedFrameError,
} from "./framing/errors.ts";
export { netstring } from "./framing/netstring.ts";
export type { FrameHeader, Framing, FramingOptions } from "./framing/types.ts";
export { varint, type VarintOptions } from "./framing/varint.ts";

/** The largest `lengthFieldOffset` and `initialBytesToStrip`. */
const MAX_LENGTH_FIELD_OFFSET = 65_536;

const NO_BYTES = new Uint8Array(0);

/** Options for {@linkcode lengthField}. */
export interface LengthFieldOptions {
  /**
   * Bytes of the length field: an integer from 1 to 8, unsigned.
   *
   * @default {4}
   */
  lengthFieldLength?: number | undefined;
  /**
   * Order of the length field's bytes. `"native"` is the order of the machine.
   *
   * @default {"native"}
   */
  endianness?: "native" | "big" | "little" | undefined;
  /**
   * Bytes before the length field: an integer from 0 to 65536.
   *
   * @default {0}
   */
  lengthFieldOffset?: number | undefined;
  /**
   * Added to the value of the length field to get the number of bytes that
   * follow it: a safe integer, negative where the field counts what is before
   * its own end too.
   *
   * @default {0}
   */
  lengthAdjustment?: number | undefined;
  /**
   * Bytes dropped from the front of a decoded frame: an integer from 0 to 65536.
   *
   * @default {lengthFieldOffset + lengthFieldLength}
   */
  initialBytesToStrip?: number | undefined;
}

/**
 * A DataView costs more to make than to use: this keeps the last one, and what it is of. All
 * framings share it, so that an idle channel does not hold what it read last.
 */
function lastViewOf(): (bytes: Uint8Array) => DataView {
  let view: DataView = new DataView(NO_BYTES.buffer);
  let viewed: Uint8Array = NO_BYTES;
  let viewedLength = 0;
  return (bytes) => {
    // The length of a view of a resizable buffer changes.
    if (bytes !== viewed || bytes.byteLength !== viewedLength) {
      const { buffer, byteOffset, byteLength } = bytes;
      view = new DataView(buffer, byteOffset, byteLength);
      viewed = bytes;
      viewedLength = byteLength;
    }
    return view;
  };
}

const readView = lastViewOf();
const writeView = lastViewOf();

const NATIVE_IS_LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Frame messages by a length field of fixed size, with the options and meanings
 * of Netty's `LengthFieldBasedFrameDecoder`. The default is a native-endian
 * unsigned 32-bit length and then the bytes: what `[n].pack("I")` writes in Ruby
 * and `struct.pack("=I", n)` in Python.
 *
 * Encoding is the exact inverse of decoding: the frame of a message is
 * `initialBytesToStrip` zero bytes followed by the message, with the length field
 * then written in place.
 *
 * `lengthField({ endianness: "big" })`, as Tokio's `LengthDelimitedCodec`, Erlang's
 * `{packet, 4}` and (below 2 GiB) Python's `multiprocessing.connection`:
 *
 * ```text
 * frame (12 bytes)                   message (8 bytes)
 * +-------------+------------+       +------------+
 * | 00 00 00 08 | "taco cat" |  <->  | "taco cat" |
 * +-------------+------------+       +------------+
 * ```
 *
 * `lengthField({ lengthFieldLength: 2, endianness: "big", lengthAdjustment: -2 })`, where
 * the length counts itself:
 *
 * ```text
 * frame (10 bytes)                   message (8 bytes)
 * +-------+------------+             +------------+
 * | 00 0a | "taco cat" |        <->  | "taco cat" |
 * +-------+------------+             +------------+
 * ```
 *
 * `lengthField({ endianness: "big", lengthFieldOffset: 1, lengthAdjustment: -4,
 * initialBytesToStrip: 0 })`, as PostgreSQL: a type, then a length that counts
 * itself; the message is the whole frame, and the four bytes after its type are
 * overwritten when it is sent:
 *
 * ```text
 * frame (13 bytes)                      message (13 bytes)
 * +-----+-------------+------------+    +-----+-------------+------------+
 * | "Q" | 00 00 00 0c | "taco cat" | <->| "Q" | 00 00 00 0c | "taco cat" |
 * +-----+-------------+------------+    +-----+-------------+------------+
 * ```
 *
 * Encoding throws {@linkcode FrameTooLargeError} if the field cannot hold the
 * length, and `RangeError` if the message is shorter than the header bytes that it
 * must carry (`initialBytesToStrip` below the header's size). Decoding throws
 * {@linkcode FrameSyntaxError} if the length comes out below zero, and
 * {@linkcode FrameTooLargeError} if it is over `Number.MAX_SAFE_INTEGER`.
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
 * @param options Where the length field is, and what it counts.
 * @returns The framing.
 * @throws {RangeError} If a number is out of its range.
 * @throws {TypeError} If `endianness` is none of the three.
 */
export function lengthField(options: LengthFieldOptions = {}): Framing {
  const { endianness = "native" } = options;
  if (!["native", "big", "little"].includes(endianness)) {
    throw new TypeError(
      `Cannot use endianness: "${endianness}" is not "native", "big" or "little"`,
    );
  }
  const little = endianness === "little" ||
    (endianness === "native" && NATIVE_IS_LITTLE);
  const size = checkInteger(
    "lengthFieldLength",
    options.lengthFieldLength ?? 4,
    1,
    8,
  );
  const position = checkInteger(
    "lengthFieldOffset",
    options.lengthFieldOffset ?? 0,
    0,
    MAX_LENGTH_FIELD_OFFSET,
  );
  const adjustment = checkInteger(
    "lengthAdjustment",
    options.lengthAdjustment ?? 0,
    Number.MIN_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER,
  );
  const headerLength = position + size;
  const strip = options.initialBytesToStrip === undefined
    ? headerLength
    : checkInteger(
      "initialBytesToStrip",
      options.initialBytesToStrip,
      0,
      MAX_LENGTH_FIELD_OFFSET,
    );
  const before = Math.max(headerLength, strip);
  const messageBytesInHeader = Math.max(headerLength - strip, 0);
  // What is added to a message's length to get the value of its length field.
  const overhead = strip - headerLength - adjustment;
  const maxValue = Math.min(2 ** (8 * size) - 1, Number.MAX_SAFE_INTEGER);

  function write(bytes: Uint8Array, at: number, value: number) {
    const view = writeView(bytes);
    switch (size) {
      case 1:
        return view.setUint8(at, value);
      case 2:
        return view.setUint16(at, value, little);
      case 4:
        return view.setUint32(at, value, little);
      case 8:
        return view.setBigUint64(at, BigInt(value), little);
    }
    for (let i = 0; i < size; i++) {
      view.setUint8(little ? at + i : at + size - 1 - i, value % 256);
      value = Math.floor(value / 256);
    }
  }

  function read(bytes: Uint8Array, at: number): number {
    const view = readView(bytes);
    switch (size) {
      case 1:
        return view.getUint8(at);
      case 2:
        return view.getUint16(at, little);
      case 4:
        return view.getUint32(at, little);
      case 8:
        return Number(view.getBigUint64(at, little));
    }
    let value = 0;
    for (let i = 0; i < size; i++) {
      value = value * 256 + view.getUint8(little ? at + size - 1 - i : at + i);
    }
    return value;
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
          `Cannot send message of ${message.length} bytes: in this framing it has at least ${
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
      // Beyond this the sum below could come out as a wrong number.
      if (value > maxValue) {
        return { messageOffset: strip, messageLength: value };
      }
      const messageLength = value - overhead;
      if (messageLength < 0 || value + adjustment < 0) {
        throw new FrameSyntaxError(
          `Cannot decode frame: its length field of ${value} makes a message of ${messageLength} bytes, its header reads ${
            quote(bytes.subarray(start, start + headerLength))
          }`,
          { offset: position },
        );
      }
      return { messageOffset: strip, messageLength };
    },
  };
}

/**
 * Make each chunk a frame: one message in, one frame out.
 *
 * The stream fails with {@linkcode FrameTooLargeError} at a message that is over
 * `maxFrameLength` or that the header cannot express, with `RangeError` at one that
 * is too short for the framing, and with `TypeError` at what is no `Uint8Array`.
 *
 * @example
 * ```ts
 * import { FrameEncoderStream, lengthField } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const framing = lengthField({ endianness: "big" });
 * const frames = ReadableStream.from([new Uint8Array([1, 2]), new Uint8Array()])
 *   .pipeThrough(new FrameEncoderStream({ framing }));
 *
 * assertEquals(await Array.fromAsync(frames), [
 *   new Uint8Array([0, 0, 0, 2, 1, 2]),
 *   new Uint8Array([0, 0, 0, 0]),
 * ]);
 * ```
 */
export class FrameEncoderStream
  implements TransformStream<Uint8Array, Uint8Array> {
  /** The frames. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Where the messages go. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Construct a new instance.
   *
   * @param options How a frame is laid out, and how long a message may be.
   * @throws {RangeError} If `maxFrameLength` is not an integer of 0 or more.
   */
  constructor(options: FramingOptions = {}) {
    const encoder = new FrameEncoder(options.framing ?? lengthField(), options);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
      transform(message, controller) {
        assertBytes(message, "encode message");
        controller.enqueue(encoder.encode(message));
      },
    });
    this.readable = readable;
    this.writable = writable;
  }
}

/**
 * Divide a stream of bytes into the messages of its frames. Any split of the bytes
 * into chunks gives the same messages.
 *
 * Each message is the receiver's to keep and to transfer: it has an `ArrayBuffer` of
 * its own, as long as itself.
 *
 * After all messages before the error have been read, the stream fails with {@linkcode FrameTooLargeError} at a message over
 * `maxFrameLength`, with {@linkcode FrameSyntaxError} at bytes that are no frame, with
 * {@linkcode TruncatedFrameError} if it ends inside a frame, and with `TypeError` at a
 * chunk that is no `Uint8Array`.
 *
 * @example
 * ```ts
 * import { FrameDecoderStream, lengthField } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const framing = lengthField({ endianness: "big" });
 * const messages = ReadableStream.from([
 *   new Uint8Array([0, 0]),
 *   new Uint8Array([0, 2, 1, 2, 0, 0, 0, 0]),
 * ]).pipeThrough(new FrameDecoderStream({ framing }));
 *
 * assertEquals(await Array.fromAsync(messages), [
 *   new Uint8Array([1, 2]),
 *   new Uint8Array(),
 * ]);
 * ```
 */
export class FrameDecoderStream
  implements TransformStream<Uint8Array, Uint8Array> {
  /** The messages. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Where the bytes go. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Construct a new instance.
   *
   * @param options How a frame is laid out, and how long a message may be.
   * @throws {RangeError} If `maxFrameLength` is not an integer of 0 or more.
   */
  constructor(options: FramingOptions = {}) {
    const decoder = new FrameDecoder(options.framing ?? lengthField(), options);
    const { readable, writable } = decoderStreams(decoder);
    this.readable = readable;
    this.writable = writable;
  }
}
