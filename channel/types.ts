/** What a channel is made of and over, and its options: types only. */

import type { FramingOptions } from "../framing/types.ts";

/**
 * How a message becomes bytes, and bytes a message. `In` is what is received, `Out` what is
 * sent.
 *
 * @example A serialization that borrows
 * ```ts
 * import type { Serialization } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const memory = new Uint8Array(8);
 * const numbers: Serialization<number> = {
 *   borrows: true, // serialize() uses its memory again, deserialize() keeps nothing
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
   * Make bytes of a message. Whatever it throws rejects the `send()`, and nothing
   * is written.
   *
   * @param message The message.
   * @returns The bytes: anything else rejects the `send()` with `TypeError`. Nothing may write
   * to them until they are sent; with `borrows`, until the next call.
   */
  serialize(message: Out): Uint8Array;
  /**
   * Make a message of bytes. Whatever it throws rejects the `receive()`.
   *
   * @param bytes The bytes: in an `ArrayBuffer` of their own, to keep; with `borrows`, a
   * view that is good until this returns.
   * @returns The message.
   */
  deserialize(bytes: Uint8Array<ArrayBuffer>): In;
  /**
   * Whether `serialize()` may return memory that it uses again at its next call, and
   * `deserialize()` keeps nothing of its bytes once it has returned. Then a message costs
   * neither side an `ArrayBuffer`: of 64 bytes, that is half of its time or more.
   *
   * @default {false}
   */
  readonly borrows?: boolean | undefined;
}

/** Options for {@linkcode bytes}. */
export interface BytesOptions {
  /**
   * Whether what is received is a view of memory that is used again: it is good until the next
   * call of `receive()`, of the iterator or of a reader, so let calls not overlap. For a
   * receiver that parses, hashes or forwards, and keeps nothing. (`readable` copies it, as a
   * stream asks ahead.)
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
   * How a message becomes bytes, and bytes a message.
   *
   * @default {bytes()}
   */
  serialization?: S;
  /**
   * Bytes (with headers) that may be queued before `send()` waits: an integer of 0 or
   * more. With 0 each `send()` waits until its message has been handed to the operating
   * system.
   *
   * Two sides that both await `send()` of more than this, and of what the system
   * itself buffers, while neither receives, wait indefinitely: receive meanwhile.
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
  /** What the peer sends. */
  readable: ReadableStream<Uint8Array>;
  /** What goes to the peer. Closing it tells the peer that no more follows. */
  writable: WritableStream<Uint8Array>;
}

/**
 * The part of `Deno.Conn` that a channel uses. Implement it to give a channel a connection of
 * another kind, or one that counts or limits what passes.
 */
export interface Connection {
  /**
   * Read some bytes.
   *
   * @param buffer Where to.
   * @returns How many bytes were read, 1 or more; `null` at the end.
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /**
   * Write some bytes or all.
   *
   * @param bytes What to write. They stay as they are until the promise settles.
   * @returns How many bytes were written.
   */
  write(bytes: Uint8Array): Promise<number>;
  /**
   * Tell the peer that no more bytes follow. Reading goes on.
   *
   * @returns A promise that resolves once the system has been told.
   */
  closeWrite(): Promise<void>;
  /** Close both directions. What is pending rejects. */
  close(): void;
  /** Let a pending read keep the process alive. */
  ref(): void;
  /** Let a pending read not keep the process alive. */
  unref(): void;
}
