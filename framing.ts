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
 * After all messages before the error have been read, the stream fails with
 * {@linkcode FrameTooLargeError} at a message over `maxFrameLength`, with
 * {@linkcode FrameSyntaxError} at bytes that are no frame, with {@linkcode TruncatedFrameError}
 * if it ends inside a frame, and with `TypeError` at a chunk that is no `Uint8Array`.
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

/** Check what is written to a stream. */
function assertBytes(chunk: unknown, action: string): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`Cannot ${action}: it is not a Uint8Array`);
}

/**
 * The two sides of a `FrameDecoderStream`. A `TransformStream` drops what it has queued when it
 * fails; here messages that were decoded before an error are read first. So messages are decoded
 * when they are read, and an error waits until the queue is empty.
 */
function decoderStreams(decoder: FrameDecoder): {
  readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  writable: WritableStream<Uint8Array>;
} {
  let source: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  let sink: WritableStreamDefaultController;
  /** The last write, or the close: it ends once its bytes have been decoded. */
  let written: PromiseWithResolvers<void> | undefined;
  /** A read that waits for bytes. */
  let awaited: PromiseWithResolvers<void> | undefined;
  let isClosing = false;
  let failure: { reason: unknown } | undefined;

  /** Fail, but only once nothing is queued. */
  function fail(reason: unknown) {
    failure = { reason };
    if (source.desiredSize !== 0) return;
    source.error(reason);
    sink.error(reason);
    written?.reject(reason);
  }

  /** Queue the messages that have arrived; `false` if there was none. */
  function decode(): boolean {
    let isQueued = false;
    try {
      for (let message; (message = decoder.next()) !== undefined;) {
        source.enqueue(message);
        isQueued = true;
      }
      if (isClosing) source.close();
    } catch (reason) {
      fail(reason);
      if (isClosing) return isQueued; // the close waits to fail, too
    }
    written?.resolve();
    return isQueued;
  }

  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => void (source = controller),
    /** Called while the queue is empty and a read waits. */
    async pull() {
      while (!failure) {
        if (decode()) return;
        awaited = Promise.withResolvers();
        await awaited.promise;
      }
      fail(failure.reason);
    },
    cancel(reason) {
      sink.error(reason);
      written?.reject(reason);
    },
  }, { highWaterMark: 0 });

  const writable = new WritableStream<Uint8Array>({
    start: (controller) => void (sink = controller),
    write(chunk) {
      try {
        if (!failure) decoder.push(assertBytes(chunk, "decode chunk"));
      } catch (reason) {
        fail(reason);
        throw reason;
      }
      written = Promise.withResolvers();
      awaited?.resolve();
      return written.promise;
    },
    close() {
      written = Promise.withResolvers();
      isClosing = true;
      decoder.end();
      // That needs no reader.
      if (failure) fail(failure.reason);
      else decode();
      return written.promise;
    },
    abort(reason) {
      source.error(reason);
    },
  });
  return { readable, writable };
}
