/**
 * Encode messages as frames in a stream of bytes, and decode them. A _frame_ marks where a message
 * begins and ends.
 *
 * | function | a frame of `taco cat` | used by |
 * |---|---|---|
 * | {@linkcode lengthField} | `08 00 00 00` `taco cat` | most binary protocols; has all options of Netty's decoder |
 * | {@linkcode varint} | `08` `taco cat` | protobuf delimited, libp2p |
 * | {@linkcode netstring} | `8:` `taco cat` `,` | SCGI, qmail, Twisted |
 * | {@linkcode contentLength} | `Content-Length: 8\r\n\r\n` `taco cat` | LSP, DAP |
 * | {@linkcode delimiter} | `taco cat` `\n` | JSON lines, MCP; `\0`: Chrome's debugging pipe |
 *
 * {@linkcode FrameEncoderStream} and {@linkcode FrameDecoderStream} apply a framing to web
 * streams. This module uses no Deno API: it runs wherever web streams do (tested in Node 24 and
 * Bun 1.4).
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

import { lengthField } from "./framing/binary.ts";
import { FrameDecoder } from "./framing/decoder.ts";
import { FrameEncoder } from "./framing/encoder.ts";
import type { FramingOptions } from "./framing/types.ts";

export { lengthField, varint } from "./framing/binary.ts";
export {
  FrameSyntaxError,
  FrameTooLargeError,
  TruncatedFrameError,
} from "./framing/errors.ts";
export { contentLength, delimiter, netstring } from "./framing/text.ts";
export type {
  DelimiterOptions,
  FrameHeader,
  Framing,
  FramingOptions,
  LengthFieldOptions,
  VarintOptions,
} from "./framing/types.ts";

/**
 * Encode each chunk as a frame: one message in, one frame out.
 *
 * The stream fails with {@linkcode FrameTooLargeError} if a message is over `maxFrameLength` or
 * over what the header can express, with `RangeError` if it is too short for the framing, and
 * with `TypeError` if a chunk is not a `Uint8Array`.
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
  /** Takes the messages. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Construct a new instance.
   *
   * @param options The framing, and the maximum length of a message.
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
 * Decode the messages in a stream of bytes. Any split of the bytes into chunks gives the same
 * messages.
 *
 * You can keep and transfer each message: it has its own `ArrayBuffer` of the same length.
 *
 * After all messages before the error have been read, the stream fails with
 * {@linkcode FrameTooLargeError} if a message is over `maxFrameLength`, with
 * {@linkcode FrameSyntaxError} if bytes are not a frame, with {@linkcode TruncatedFrameError}
 * if the stream ends inside a frame, and with `TypeError` if a chunk is not a `Uint8Array`.
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
  /** Takes the bytes. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Construct a new instance.
   *
   * @param options The framing, and the maximum length of a message.
   * @throws {RangeError} If `maxFrameLength` is not an integer of 0 or more.
   */
  constructor(options: FramingOptions = {}) {
    const decoder = new FrameDecoder(options.framing ?? lengthField(), options);
    let source: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
    let sink: WritableStreamDefaultController;
    /** Resolves when the queue is empty and a read waits. */
    let wanted = Promise.withResolvers<void>();

    async function decode(): Promise<void> {
      try {
        for (let message; (message = decoder.next()) !== undefined;) {
          source.enqueue(message);
          wanted = Promise.withResolvers();
        }
      } catch (reason) {
        if (source.desiredSize !== 0) await wanted.promise;
        source.error(reason);
        throw reason;
      }
    }

    // A TransformStream drops its queue when it fails; here, messages before an error can still
    // be read. So a chunk is decoded when a read waits, and the next read gets an error.
    this.readable = new ReadableStream({
      start: (controller) => void (source = controller),
      pull: () => wanted.resolve(),
      cancel(reason) {
        sink.error(reason);
        wanted.promise.catch(() => {});
        wanted.reject(reason);
      },
    }, { highWaterMark: 0 });
    this.writable = new WritableStream({
      start: (controller) => void (sink = controller),
      async write(chunk) {
        try {
          decoder.push(assertBytes(chunk, "decode chunk"));
        } catch (reason) {
          source.error(reason);
          throw reason;
        }
        await wanted.promise;
        await decode();
      },
      async close() {
        decoder.end();
        await decode();
        source.close();
      },
      abort: (reason) => source.error(reason),
    });
  }
}

/** Check a chunk that is written to a stream. */
function assertBytes(chunk: unknown, action: string): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`Cannot ${action}: it is not a Uint8Array`);
}
