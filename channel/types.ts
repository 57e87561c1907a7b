/** The types of a channel's options, streams and serializations. */

import type { FramingOptions } from "../framing/types.ts";

/**
 * Converts messages to bytes and bytes to messages. `In` is the type of received messages, `Out`
 * of sent ones.
 *
 * @example A serialization that borrows
 * ```ts
 * import type { Serialization } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const memory = new Uint8Array(8);
 * const numbers: Serialization<number> = {
 *   borrows: true, // serialize() reuses its memory, deserialize() keeps no bytes
 *   serialize(message) {
 *     new DataView(memory.buffer).setFloat64(0, message);
 *     return memory;
 *   },
 *   deserialize(bytes) {
 *     return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
 *   },
 * };
 * assertEquals(numbers.deserialize(memory.fill(0)), 0);
 * ```
 */
export interface Serialization<In, Out = In> {
  /**
   * Convert a message to bytes. If it throws, `send()` rejects with the error, and nothing is
   * written.
   *
   * @param message The message.
   * @returns The bytes: anything else rejects `send()` with `TypeError`. They must not change
   * until they are sent; with `borrows`, until the next call.
   */
  serialize(message: Out): Uint8Array;
  /**
   * Convert bytes to a message. If it throws, `receive()` rejects with the error.
   *
   * @param bytes The bytes, in their own `ArrayBuffer`, which you can keep. With `borrows`, a
   * view that is valid until this method returns. If it returns the view itself, that is valid
   * until the next request of a message.
   * @returns The message.
   */
  deserialize(bytes: Uint8Array<ArrayBuffer>): In;
  /**
   * Whether `serialize()` may return memory that it reuses at its next call, and `deserialize()`
   * does not keep its bytes. Then neither side allocates an `ArrayBuffer` for a message: for 64
   * bytes, that saves half of the time or more.
   *
   * @default {false}
   */
  readonly borrows?: boolean | undefined;
}

/** Options for {@linkcode bytes}. */
export interface BytesOptions {
  /**
   * Receive views of a reused buffer. A view is valid until the next `receive()`, iterator step
   * or read; do not overlap calls. For receivers that parse, hash or forward messages and do not
   * keep them. `readable` copies the messages, because a stream requests them ahead.
   *
   * @default {false}
   */
  borrow?: boolean | undefined;
}

/**
 * Options for {@linkcode Channel}.
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 */
export interface ChannelOptions<S extends AnySerialization = undefined>
  extends FramingOptions {
  /**
   * Converts messages to bytes and bytes to messages.
   *
   * @default {bytes()}
   */
  serialization?: S;
  /**
   * How many bytes, including headers, can be queued before `send()` waits: an integer of 0 or
   * more. With 0, each `send()` waits until its message has been handed to the operating system.
   *
   * If both sides await a `send()` of more than this plus what the system buffers, and neither
   * receives, they wait indefinitely. Receive while you send.
   *
   * @default {262_144}
   */
  highWaterMark?: number | undefined;
}

/** Any serialization, or none. */
export type AnySerialization = Serialization<unknown, never> | undefined;

/** The type of the messages that a channel with this serialization receives; bytes without one. */
export type Received<S extends AnySerialization> = S extends
  Serialization<infer In, never> ? In : Uint8Array<ArrayBuffer>;

/** The type of the messages that a channel with this serialization sends; bytes without one. */
export type Sent<S extends AnySerialization> = S extends
  Serialization<unknown, infer Out> ? Out : Uint8Array;

/** A stream of bytes in each direction. */
export interface DuplexStream {
  /** The bytes from the peer. */
  readable: ReadableStream<Uint8Array>;
  /** The bytes to the peer. Closing it tells the peer that no more bytes follow. */
  writable: WritableStream<Uint8Array>;
}

/**
 * The part of `Deno.Conn` that a channel uses. Implement it to run a channel over another kind of
 * connection, or to count or limit its bytes.
 */
export interface Connection {
  /**
   * Read some bytes.
   *
   * @param buffer The memory to read into.
   * @returns How many bytes were read, 1 or more; `null` at the end.
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /**
   * Write some or all of the bytes.
   *
   * @param bytes The bytes. They do not change until the promise settles.
   * @returns How many bytes were written.
   */
  write(bytes: Uint8Array): Promise<number>;
  /**
   * Tell the peer that no more bytes follow. Reading continues.
   *
   * @returns A promise that resolves when that is done.
   */
  closeWrite(): Promise<void>;
  /** Close both directions. Pending calls reject. */
  close(): void;
  /** Keep the process alive while a read is pending. */
  ref(): void;
  /** Do not keep the process alive while a read is pending. */
  unref(): void;
}
