/**
 * Send and receive messages over any pair of byte streams: a socket, a child's
 * stdio, a WebTransport stream.
 *
 * A {@linkcode Channel} puts each message in a frame (see `./framing`) and makes
 * bytes of it by a {@linkcode Serialization}: {@linkcode bytes},
 * {@linkcode text}, {@linkcode json}, {@linkcode structured} or one of your own.
 *
 * @example
 * ```ts
 * import { Channel, text } from "@socketpair/socketpair/channel";
 * import { socketPair } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = await socketPair();
 * await using a = new Channel(left, { serialization: text() });
 * await using b = new Channel(right, { serialization: text() });
 *
 * await a.send("taco cat");
 * assertEquals(await b.receive(), "taco cat");
 * ```
 *
 * @module
 */

import {
  FrameDecoder,
  FrameEncoder,
  type FramingOptions,
  ViewTooShortError,
} from "./framing.ts";

/** Default of {@linkcode ChannelOptions.highWaterMark}: 256 KiB. */
const DEFAULT_HIGH_WATER_MARK = 256 * 1024;

/** Measured on raw bytes: 64 KiB reads give about 5 GB/s, 256 KiB about 10. */
const READ_BUFFER_LENGTH = 256 * 1024;

/** A batch that nothing waits before is full at this many bytes: the peer reads meanwhile. */
const BATCH_TARGET = 64 * 1024;

/**
 * What a batch has room for. Longer messages, and what comes while batches wait, are
 * copied into it too: memory that is used again is warm. Fresh memory for a message of
 * 64 KiB costs 14 us, copying it 2.
 */
const BATCH_LENGTH = 257 * 1024;

/** Batches kept for reuse once they are written. */
const MAX_FREE_BATCHES = 4;

/**
 * Turns of the microtask queue without a further message after which what is queued
 * is written. A loop of `await channel.send()` sends one a turn, a web stream one in
 * a few: so both fill whole batches, and a lone message waits well under 1 us.
 */
const IDLE_TURNS = 4;

const RESOLVED = Promise.resolve();

/** How a message becomes bytes, and bytes a message. */
export interface Serialization<T> {
  /**
   * Make bytes of a message. Whatever it throws rejects the `send()`, and nothing
   * is written.
   *
   * @param message The message.
   * @returns The bytes. Nothing may write to them until they are sent.
   */
  serialize(message: T): Uint8Array;
  /**
   * Make a message of bytes. Whatever it throws rejects the `receive()`.
   *
   * @param bytes The bytes, in an `ArrayBuffer` of their own, to keep.
   * @returns The message.
   */
  deserialize(bytes: Uint8Array): T;
}

/** What a decoder puts where the bytes are wrong; a text may also hold it. */
const REPLACEMENT = "\ufffd";

/** Bytes that a message may have to be serialized into {@linkcode scratch}. */
const SCRATCH_LENGTH = 64 * 1024;

/** Where the bytes of a message are until they are in a batch. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/**
 * What a channel uses in place of a serialization of ours, found by its `serialize`: that
 * one makes bytes which last until the next call, and `deserialize` keeps nothing of its
 * bytes. A message then costs neither side an `ArrayBuffer`, which takes 1 us: a text of 64
 * bytes is sent twice as fast, and received 2.7 times.
 */
const SPARING = new WeakMap<object, Serialization<unknown>>();

function sparing<T>(
  serialization: Serialization<T>,
  serialize: (message: T) => Uint8Array,
): Serialization<T> {
  const { deserialize } = serialization;
  const spared: Serialization<T> = { serialize, deserialize };
  SPARING.set(
    serialization.serialize,
    spared as Serialization<unknown>,
  );
  return serialization;
}

function sparingOf<T>(
  { serialize, deserialize }: Serialization<T>,
): Serialization<T> | undefined {
  const spared = SPARING.get(serialize);
  // Somebody may have put another one there.
  return spared?.deserialize === deserialize
    ? spared as Serialization<T>
    : undefined;
}

/**
 * Send `Uint8Array`s as they are.
 *
 * Sending throws `TypeError` for anything else.
 *
 * @example
 * ```ts
 * import { bytes } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const message = new Uint8Array([1, 2, 3]);
 * assertEquals(bytes().deserialize(bytes().serialize(message)), message);
 * ```
 *
 * @returns The serialization, the default one of a {@linkcode Channel}.
 */
export function bytes(): Serialization<Uint8Array> {
  return {
    serialize(message) {
      if (!(message instanceof Uint8Array)) {
        throw new TypeError("Cannot send message: it is not a Uint8Array");
      }
      return message;
    },
    deserialize: (bytes) => bytes,
  };
}

/**
 * Send strings as UTF-8 ({@link https://www.rfc-editor.org/rfc/rfc3629 | RFC 3629}).
 * A byte-order mark is a character like any other.
 *
 * Sending throws `TypeError` for what is no string, and for a string with a lone
 * surrogate, which UTF-8 cannot express. Receiving throws `TypeError` for bytes that
 * are not UTF-8.
 *
 * @example
 * ```ts
 * import { text } from "@socketpair/socketpair/channel";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(text().serialize("\u00e9"), new Uint8Array([0xc3, 0xa9]));
 * assertThrows(() => text().deserialize(new Uint8Array([0xff])), TypeError);
 * ```
 *
 * @returns The serialization.
 */
export function text(): Serialization<string> {
  const encoder = new TextEncoder();
  // Deno decodes 3 to 9 times as fast where it may replace what is wrong: the strict one
  // tells whether it has.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  function check(message: string) {
    if (typeof message !== "string") {
      throw new TypeError("Cannot send message: it is not a string");
    }
    if (!message.isWellFormed()) {
      throw new TypeError("Cannot send message: it holds a lone surrogate");
    }
  }

  return sparing({
    serialize(message) {
      check(message);
      return encoder.encode(message);
    },
    deserialize(bytes) {
      try {
        const message = decoder.decode(bytes);
        return message.includes(REPLACEMENT) ? strict.decode(bytes) : message;
      } catch (cause) {
        throw new TypeError("Cannot receive message: it is not UTF-8", {
          cause,
        });
      }
    },
  }, (message) => {
    check(message);
    if (message.length > SCRATCH_LENGTH) return encoder.encode(message);
    scratch ??= new Uint8Array(SCRATCH_LENGTH);
    const { read, written } = encoder.encodeInto(message, scratch);
    return read === message.length
      ? scratch.subarray(0, written)
      : encoder.encode(message);
  });
}

/**
 * Send what JSON can express ({@link https://www.rfc-editor.org/rfc/rfc8259 | RFC 8259}),
 * as UTF-8. The type is the caller's claim: what the peer sent is not checked
 * against it.
 *
 * Sending throws `TypeError` for what has no JSON form: `undefined`, a function, a
 * symbol, a `bigint`, a cycle. Receiving throws `SyntaxError` for what is not JSON
 * and `TypeError` for what is not UTF-8.
 *
 * @example
 * ```ts
 * import { json } from "@socketpair/socketpair/channel";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const { serialize, deserialize } = json<{ id: number }>();
 * assertEquals(deserialize(serialize({ id: 7 })), { id: 7 });
 * assertThrows(() => json().serialize(undefined), TypeError);
 * ```
 *
 * @typeParam T What is sent and received.
 * @returns The serialization.
 */
export function json<T>(): Serialization<T> {
  const strings = text();
  const sparingStrings = sparingOf(strings) ?? strings;

  function stringify(message: T): string {
    let string: string | undefined;
    try {
      string = JSON.stringify(message);
    } catch (cause) {
      throw new TypeError(
        `Cannot send message: it has no JSON form: ${messageOf(cause)}`,
        { cause },
      );
    }
    if (string === undefined) {
      throw new TypeError(
        `Cannot send message: ${typeof message} has no JSON form`,
      );
    }
    return string;
  }

  return sparing({
    serialize: (message) => strings.serialize(stringify(message)),
    deserialize(bytes) {
      const string = strings.deserialize(bytes);
      try {
        return JSON.parse(string);
      } catch (cause) {
        throw new SyntaxError(
          `Cannot receive message: it is not JSON: ${messageOf(cause)}`,
          { cause },
        );
      }
    },
  }, (message) => sparingStrings.serialize(stringify(message)));
}

/**
 * Send whatever the
 * {@link https://html.spec.whatwg.org/multipage/structured-data.html | structured clone algorithm}
 * can clone: `Map`, `Set`, `Date`, `BigInt`, errors, typed arrays, cycles, `undefined`.
 * The bytes are V8's own format (`node:v8`), which Node understands too. Use it between
 * processes of the same user's making: the type is the caller's claim, and V8 does not
 * promise to withstand bytes that were made to harm.
 *
 * Sending and receiving throw `DOMException` with the name `DataCloneError` for what
 * cannot be cloned, such as a function, and for bytes that are no clone. What `node:v8`
 * does not know arrives as a plain object without properties: a `Blob`, a `URL`, a stream.
 * A typed array is cloned with its whole buffer, as everywhere: of a small `Buffer` of
 * `node:buffer`, which shares one with others, send a copy.
 *
 * @example
 * ```ts
 * import { structured } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const { serialize, deserialize } = structured<Map<string, bigint>>();
 * const message = new Map([["id", 7n]]);
 * assertEquals(deserialize(serialize(message)), message);
 * ```
 *
 * @typeParam T What is sent and received.
 * @returns The serialization.
 */
export function structured<T>(): Serialization<T> {
  // Imported, it would cost every child 7 ms.
  const { Deserializer, Serializer } = process.getBuiltinModule("node:v8");
  return {
    serialize(message) {
      // Not v8.serialize(): what that makes of two typed arrays shares, once it is
      // read, one buffer, so that transferring one would detach the other.
      const serializer = new Serializer();
      try {
        serializer.writeHeader();
        serializer.writeValue(message);
        return serializer.releaseBuffer();
      } catch (cause) {
        throw dataCloneError("Cannot send message", cause);
      }
    },
    deserialize(bytes) {
      try {
        const deserializer = new Deserializer(bytes);
        deserializer.readHeader();
        return deserializer.readValue();
      } catch (cause) {
        throw dataCloneError("Cannot receive message", cause);
      }
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function dataCloneError(doing: string, cause: unknown): DOMException {
  const error = new DOMException(
    `${doing}: ${messageOf(cause)}`,
    "DataCloneError",
  );
  return Object.assign(error, { cause });
}

/** A stream of bytes in each direction. */
export interface DuplexStream {
  /** What the peer sends. A byte stream is read into memory of the channel's own. */
  readable: ReadableStream<Uint8Array>;
  /** What goes to the peer. Closing it tells the peer that no more follows. */
  writable: WritableStream<Uint8Array>;
}

/** The part of `Deno.Conn` that a channel uses. */
export interface Connection {
  /** Read into a buffer: how many bytes, or `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Write some bytes or all: how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Tell the peer that no more follows. */
  closeWrite(): Promise<void>;
  /** Close both directions. */
  close(): void;
  /** Waiting keeps the process alive. */
  ref(): void;
  /** Waiting does not keep the process alive. */
  unref(): void;
}

/** Options for {@linkcode Channel}. */
export interface ChannelOptions<T> extends FramingOptions {
  /**
   * How a message becomes bytes, and bytes a message.
   *
   * @default {bytes()}
   */
  serialization?: Serialization<T>;
  /**
   * Bytes (with headers) that may be queued before `send()` waits: an integer of 0 or
   * more. With 0 each `send()` waits until its message has been handed to the operating
   * system.
   *
   * Two sides that both await `send()` of more than this, and of what the system
   * itself buffers, while neither receives, wait for ever: receive meanwhile.
   *
   * @default {262_144}
   */
  highWaterMark?: number;
}

/** First in, first out; removing at the front does not move the rest. */
class Queue<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T) {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    // Setting the length would give back the memory that the next push() needs.
    if (this.#items.length === 1) {
      this.#head = 0; // what was behind it may have been removed
      return this.#items.pop();
    }
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    if (this.#head < this.#items.length) this.#head++;
    if (this.#head === this.#items.length) {
      this.#items.length = this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  remove(item: T) {
    const at = this.#items.indexOf(item, this.#head);
    if (at !== -1) this.#items.splice(at, 1);
  }
}

/** Bytes to be written. */
interface Sealed {
  bytes: Uint8Array;
  /** The batch that they are of, to be used again. */
  batch: Uint8Array<ArrayBuffer> | undefined;
}

/** Someone who waits until `#written` is `target` or more. */
interface Sender extends PromiseWithResolvers<void> {
  target: number;
}

/** Someone who waits for a message. */
interface Receiver {
  into: Uint8Array | undefined;
  promise: Promise<unknown>;
  onMessage(bytes: Uint8Array): unknown;
  onEnd(): unknown;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** A failure, boxed: a reason may be `undefined`. */
interface Failure {
  readonly reason: unknown;
}

function isConnection(
  stream: DuplexStream | Connection,
): stream is Connection {
  return "read" in stream && typeof stream.read === "function" &&
    "closeWrite" in stream && typeof stream.closeWrite === "function";
}

/** How bytes come and go. */
interface Transport<R = unknown> {
  read(): Promise<R>;
  /** Give the decoder what was read; `false` at the end. */
  take(read: R): boolean;
  /** Write some bytes or all, and return how many. */
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  /** End reading. */
  cancel(reason: unknown): void;
  /** End both. */
  abort(reason: unknown): void;
}

/**
 * A `Deno.Conn` is read and written without web streams: its own each close both
 * directions, and others cost too much where messages are short. 60,000 round trips of 64
 * bytes took both sides 2.4 s of user time through streams made of `read()` and `write()`,
 * 1.8 so, and 1.6 by hand without frames.
 */
function connectionTransport(
  connection: Connection,
  decoder: FrameDecoder,
): Transport<number | null> {
  return {
    read: () => connection.read(decoder.readTarget(READ_BUFFER_LENGTH)),
    take(length) {
      if (length === null) return false;
      decoder.advance(length);
      return true;
    },
    write: (bytes) => connection.write(bytes),
    async closeWrite() {
      try {
        await connection.closeWrite();
      } catch (error) {
        // The peer has left: it needs no telling, and nothing is lost by it.
        if (!(error instanceof Error && error.name === "NotConnected")) {
          throw error;
        }
      }
    },
    // It cannot end one direction of the peer's: close() drops what comes.
    cancel() {},
    abort() {
      try {
        connection.close();
      } catch {
        // Somebody else has closed it.
      }
    },
  };
}

function streamTransport(
  { readable, writable }: DuplexStream,
  decoder: FrameDecoder,
): Transport<ReadableStreamReadResult<Uint8Array>> {
  if (readable.locked || writable.locked) {
    throw new TypeError("Cannot make channel: the stream is locked");
  }
  const writer = writable.getWriter();
  handled(writer.closed);
  const reader = readerOf(readable);
  handled(reader.closed);
  return {
    read: () =>
      reader instanceof ReadableStreamBYOBReader
        ? reader.read(decoder.readTarget(READ_BUFFER_LENGTH))
        : reader.read(),
    take({ value, done }) {
      if (done) return false;
      if (reader instanceof ReadableStreamBYOBReader) {
        decoder.commit(value);
      } else if (value instanceof Uint8Array) {
        decoder.push(value);
      } else {
        throw new TypeError(
          "Cannot receive message: a chunk is not a Uint8Array",
        );
      }
      return true;
    },
    async write(bytes) {
      // The stream may transfer it.
      const { length } = bytes;
      await writer.write(bytes);
      return length;
    },
    closeWrite: () => writer.close(),
    cancel(reason) {
      handled(reader.cancel(reason));
    },
    abort(reason) {
      handled(reader.cancel(reason));
      handled(writer.abort(reason));
    },
  };
}

/** Reject a promise that may not be awaited. */
function refuse(
  { promise, reject }: Pick<Receiver, "promise" | "reject">,
  reason: unknown,
) {
  handled(promise);
  reject(reason);
}

/** What nobody awaits must not count as unhandled. */
function handled<P extends Promise<unknown>>(promise: P): P {
  promise.catch(() => {});
  return promise;
}

function rejected(reason: unknown): Promise<never> {
  return handled(Promise.reject(reason));
}

function identity(bytes: Uint8Array): Uint8Array {
  return bytes;
}

function toNull(): null {
  return null;
}

function toDone<R>(): IteratorResult<R> {
  return { value: undefined, done: true };
}

/**
 * A two-way channel of messages over a pair of byte streams.
 *
 * Over a `Deno.Conn` the channel owns the connection: it reads, writes and closes it,
 * and nothing else may. The connection closes when both directions have ended, or on
 * {@linkcode Channel.close} or {@linkcode Channel.abort}.
 *
 * No promise of a channel is ever an unhandled rejection: a failure that nobody awaits
 * comes again from the next call, and from {@linkcode Channel.closed}.
 *
 * @example
 * ```ts
 * import { Channel, json } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * // Two streams in memory; over a socket: new Channel(await Deno.connect(...))
 * const there = new TransformStream<Uint8Array, Uint8Array>();
 * const back = new TransformStream<Uint8Array, Uint8Array>();
 * const options = { serialization: json<{ id: number }>() };
 * await using a = new Channel({ readable: back.readable, writable: there.writable }, options);
 * await using b = new Channel({ readable: there.readable, writable: back.writable }, options);
 *
 * await a.send({ id: 1 });
 * await a.send({ id: 2 });
 * a.closeWrite();
 *
 * assertEquals(await Array.fromAsync(b), [{ id: 1 }, { id: 2 }]);
 * b.closeWrite();
 * assertEquals(await a.receive(), null);
 * ```
 *
 * @typeParam T What is sent and received.
 */
export class Channel<T = Uint8Array>
  implements AsyncIterable<T>, AsyncDisposable {
  readonly #serialization: Serialization<T>;
  /** Whether `deserialize()` may keep its bytes. */
  readonly #keepsBytes: boolean;
  readonly #encoder: FrameEncoder;
  readonly #decoder: FrameDecoder;
  readonly #highWaterMark: number;

  readonly #connection: Connection | undefined;
  readonly #transport: Transport;

  // Sending. Positions count bytes, with headers, since the channel began.
  #batch: Uint8Array<ArrayBuffer> | undefined;
  #batched = 0;
  #sealed = new Queue<Sealed>();
  #freeBatches: Uint8Array<ArrayBuffer>[] = [];
  #queued = 0;
  #written = 0;
  #senders = new Queue<Sender>();
  #flushes = new Queue<Sender>();
  #pumping = false;
  #sendable = true;
  #writeFailure: Failure | undefined;
  #closeWritePromise: Promise<void> | undefined;
  #writeEnded = false;

  // Receiving.
  #receivers = new Queue<Receiver>();
  #reading = false;
  /** The stream has no more bytes. */
  #streamEnded = false;
  /** Nobody will receive any more. */
  #readEnded = false;
  #discarding = false;
  readonly #toMessage = (bytes: Uint8Array): T =>
    this.#serialization.deserialize(bytes);

  // Both.
  #failure: Failure | undefined;
  #closePromise: Promise<void> | undefined;
  #released = false;
  readonly #closed = Promise.withResolvers<void>();
  #watched = false;
  #readable: ReadableStream<T> | undefined;
  #writable: WritableStream<T> | undefined;

  /**
   * Construct a new instance.
   *
   * @param stream A `Deno.Conn`, or any pair of byte streams, not locked.
   * @param options Framing, serialization and limits.
   * @throws {RangeError} If `maxFrameLength` or `highWaterMark` is not an integer of 0
   * or more.
   * @throws {TypeError} If one of the streams is locked.
   */
  constructor(
    stream: DuplexStream | Connection,
    options: ChannelOptions<T> = {},
  ) {
    // Without the option T is Uint8Array: it can only be inferred from there.
    const serialization = options.serialization ??
      bytes() as Serialization<unknown> as Serialization<T>;
    const spared = sparingOf(serialization);
    this.#serialization = spared ?? serialization;
    this.#keepsBytes = spared === undefined;
    this.#encoder = new FrameEncoder(options);
    this.#decoder = new FrameDecoder(options);
    this.#highWaterMark = options.highWaterMark ?? DEFAULT_HIGH_WATER_MARK;
    if (!Number.isSafeInteger(this.#highWaterMark) || this.#highWaterMark < 0) {
      throw new RangeError(
        `Cannot use highWaterMark: ${this.#highWaterMark} is not an integer of 0 or more`,
      );
    }
    if (isConnection(stream)) {
      this.#connection = stream;
      this.#transport = connectionTransport(stream, this.#decoder);
    } else this.#transport = streamTransport(stream, this.#decoder);
    handled(this.#closed.promise);
  }

  /**
   * Send a message. Messages arrive in the order of the calls; the message is made
   * bytes of at the call.
   *
   * @param message The message.
   * @returns A promise that resolves once fewer than `highWaterMark` bytes are queued
   * before and with this message; then its bytes may be written to again.
   * @throws {TypeError} If {@linkcode Channel.closeWrite} or
   * {@linkcode Channel.close} was called, or as the serialization does. Nothing was
   * sent, and the channel goes on.
   * @throws {FrameTooLargeError} If the message is over `maxFrameLength` or over what the
   * framing can express. Nothing was sent, and the channel goes on.
   * @throws {RangeError} If the message is too short for the framing. Nothing was sent,
   * and the channel goes on.
   * @throws {Error} If the channel has failed: what the system said
   * (`Deno.errors.BrokenPipe`, `Deno.errors.ConnectionReset`), or the reason of
   * {@linkcode Channel.abort}.
   */
  send(message: T): Promise<void> {
    if (!this.#sendable) return rejected(this.#whyNotSendable());
    let target;
    try {
      const bytes = this.#serialization.serialize(message);
      // It may have ended the channel.
      if (!this.#sendable) throw this.#whyNotSendable();
      target = this.#enqueue(bytes);
    } catch (error) {
      return rejected(error);
    }
    if (!this.#pumping) void this.#pump();
    return this.#until(target, this.#senders);
  }

  /**
   * Receive the next message. Calls may overlap; they are answered in the order of the
   * calls.
   *
   * @param options A signal that ends the wait. No message is lost by it: the next call
   * gets it.
   * @returns The message, or `null` once the peer has closed its side between frames, or
   * {@linkcode Channel.close} was called.
   * @throws {TruncatedFrameError} If the peer closed its side inside a frame.
   * @throws {FrameTooLargeError} If a message is over `maxFrameLength`. The channel has
   * failed.
   * @throws {FrameSyntaxError} If the bytes are no frame. The channel has failed.
   * @throws {Error} As the serialization does, and then only this message is lost; what
   * the system said; the signal's reason; or the reason of {@linkcode Channel.abort}.
   */
  receive(options?: { signal?: AbortSignal }): Promise<T | null> {
    return this.#request<T | null>(this.#toMessage, toNull, options?.signal);
  }

  /**
   * Receive the bytes of the next message into memory of one's own, without any
   * allocation: `ReadableStreamBYOBReader.read(view)` for messages. The serialization is
   * not asked.
   *
   * @param view Where to. Its buffer is transferred: use the returned view from then on.
   * @returns A view of the same memory, as long as the message, or `null` at the end as
   * of {@linkcode Channel.receive}.
   * @throws {FrameTooLargeError} If the message is longer than `view`: a `RangeError`
   * that carries the message's `length`. The message stays for the next call.
   * @throws {TypeError} If the view's buffer cannot be transferred.
   * @throws {Error} As {@linkcode Channel.receive}.
   */
  receiveInto(view: Uint8Array): Promise<Uint8Array | null> {
    let into;
    try {
      const { buffer, byteOffset, byteLength } = view;
      if (!(buffer instanceof ArrayBuffer)) {
        throw new TypeError(
          "Cannot receive message: the view is of shared memory",
        );
      }
      into = new Uint8Array(buffer.transfer(), byteOffset, byteLength);
    } catch (error) {
      return rejected(error);
    }
    return this.#request<Uint8Array | null>(identity, toNull, undefined, into);
  }

  /**
   * Wait until everything queued has been handed to the operating system.
   *
   * @returns A promise that resolves then.
   * @throws {Error} If the channel has failed: what the system said, or the reason of
   * {@linkcode Channel.abort}.
   */
  flush(): Promise<void> {
    const failure = this.#failure ?? this.#writeFailure;
    if (failure) return rejected(failure.reason);
    return this.#until(this.#queued, this.#flushes);
  }

  /**
   * Tell the peer that no more messages follow. Receiving goes on.
   *
   * @returns A promise that resolves once all that was sent, and the end, have been
   * handed to the operating system. Each call returns the same one.
   * @throws {Error} If the channel has failed: what the system said, or the reason of
   * {@linkcode Channel.abort}.
   */
  closeWrite(): Promise<void> {
    if (this.#failure) return rejected(this.#failure.reason);
    this.#sendable = false;
    return this.#closeWritePromise ??= handled(this.#endWriting());
  }

  /**
   * Close the channel: end sending as {@linkcode Channel.closeWrite} does, end receiving,
   * and close the streams. Pending and later `receive()` resolve to `null`, and what still
   * arrives is dropped.
   *
   * To know that the peer has read everything, call {@linkcode Channel.closeWrite} and
   * then {@linkcode Channel.receive} until `null`, before this.
   *
   * @returns A promise that resolves once everything sent has been handed to the
   * operating system and the streams are closed. Each call returns the same one.
   * @throws {Error} If the channel has failed, then or before: what the system said, or
   * the reason of {@linkcode Channel.abort}.
   */
  close(): Promise<void> {
    return this.#closePromise ??= handled(this.#close());
  }

  /**
   * Close the channel at once. What is queued is dropped, and everything pending and
   * later rejects with `reason`. A channel that has closed or failed stays so.
   *
   * @param reason What to reject with; by default a `DOMException` with the name
   * `AbortError`.
   */
  abort(
    reason: unknown = new DOMException("The channel was aborted", "AbortError"),
  ): void {
    if (!this.#released) this.#fail(reason);
  }

  /**
   * Settles when the channel has: resolves once both directions have ended without
   * failure, and rejects with the first failure. From the first use of this property on,
   * the channel also looks for the peer's end while nobody receives, until bytes
   * arrive.
   */
  get closed(): Promise<void> {
    if (!this.#watched) {
      this.#watched = true;
      this.#startReading();
    }
    return this.#closed.promise;
  }

  /**
   * The messages as a web stream. It takes a message only for a pending read, so it may be
   * mixed with {@linkcode Channel.receive} and iteration. Cancelling it ends receiving.
   */
  get readable(): ReadableStream<T> {
    let cancelled = false;
    return this.#readable ??= new ReadableStream<T>({
      pull: (controller) =>
        this.#request(
          (bytes) => controller.enqueue(this.#toMessage(bytes)),
          () => {
            if (!cancelled) controller.close();
          },
        ),
      cancel: (reason) => {
        cancelled = true;
        this.#cancelReceiving(reason);
      },
    }, { highWaterMark: 0 });
  }

  /**
   * A web stream that sends the messages written to it. Closing it is
   * {@linkcode Channel.closeWrite}, aborting it {@linkcode Channel.abort}.
   */
  get writable(): WritableStream<T> {
    return this.#writable ??= new WritableStream<T>({
      // abort() of a sink would wait for what it is to end.
      start: ({ signal }) =>
        signal.addEventListener("abort", () => this.abort(signal.reason)),
      write: (message) => this.send(message),
      close: () => this.closeWrite(),
    });
  }

  /**
   * Let waiting for a message keep the process alive, as it does unless
   * {@linkcode Channel.unref} was called. No effect over streams that cannot tell.
   */
  ref(): void {
    this.#connection?.ref();
  }

  /**
   * Let waiting for a message not keep the process alive. No effect over streams that
   * cannot tell.
   */
  unref(): void {
    this.#connection?.unref();
  }

  /**
   * Iterate over the messages until the peer has closed its side. Leaving the loop early
   * leaves the channel open.
   *
   * @returns The iterator. It throws as {@linkcode Channel.receive} does.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    const toResult = (bytes: Uint8Array): IteratorResult<T> => ({
      value: this.#toMessage(bytes),
      done: false,
    });
    let done = false;
    return {
      next: () =>
        done
          ? Promise.resolve(toDone<T>())
          : this.#request<IteratorResult<T>>(toResult, () => {
            done = true;
            return toDone();
          }),
      return: () => {
        done = true;
        return Promise.resolve(toDone());
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Close the channel at the end of an `await using` block.
   *
   * @returns What {@linkcode Channel.close} returns.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // Sending: messages are framed into the batch; full batches are sealed; the pump
  // writes what is sealed, then the batch.

  /** Queue a frame and return the position that its sender waits for. */
  #enqueue(message: Uint8Array): number {
    const space = message.length + this.#encoder.maxOverhead;
    if (space <= BATCH_LENGTH) {
      const limit = this.#sealed.length > 0 ? BATCH_LENGTH : BATCH_TARGET;
      if (this.#batched + space > limit) this.#seal();
      const start = this.#batched;
      this.#batch ??= this.#freeBatches.pop() ?? new Uint8Array(BATCH_LENGTH);
      this.#batched = this.#encoder.encodeInto(message, this.#batch, start);
      this.#queued += this.#batched - start;
    } else {
      // Two writes cost less than copying, but the sender must wait for them: only one
      // that would wait anyway. Streams other than ours may keep what is written to them,
      // and what is in scratch memory is gone by then.
      const isByReference = this.#connection !== undefined &&
        message.length > SCRATCH_LENGTH &&
        this.#queued + space - this.#written >= this.#highWaterMark;
      const parts = isByReference
        ? this.#encoder.encodeParts(message)
        : [this.#encoder.encode(message)];
      this.#seal();
      for (const bytes of parts) {
        if (bytes.length > 0) this.#sealed.push({ bytes, batch: undefined });
        this.#queued += bytes.length;
      }
      if (isByReference) return this.#queued;
    }
    return Math.min(this.#queued, this.#queued - this.#highWaterMark + 1);
  }

  #seal() {
    const batch = this.#batch;
    if (batch === undefined || this.#batched === 0) return;
    if (this.#connection) {
      const bytes = batch.subarray(0, this.#batched);
      this.#sealed.push({ bytes, batch });
      this.#batch = undefined;
    } else {
      const bytes = batch.slice(0, this.#batched);
      this.#sealed.push({ bytes, batch: undefined });
    }
    this.#batched = 0;
  }

  async #pump() {
    this.#pumping = true;
    try {
      do {
        let queued = -1;
        while (this.#sealed.length === 0 && this.#queued > queued) {
          queued = this.#queued;
          for (let turn = 0; turn < IDLE_TURNS; turn++) await RESOLVED;
        }
        if (this.#released) break;
        if (this.#sealed.length === 0) this.#seal();
        const sealed = this.#sealed.shift();
        if (sealed === undefined) break;
        let { bytes } = sealed;
        const end = this.#written + bytes.length;
        while (true) {
          const written = await this.#transport.write(bytes);
          this.#written += written;
          if (this.#written === end) break;
          bytes = bytes.subarray(written);
        }
        if (sealed.batch && this.#freeBatches.length < MAX_FREE_BATCHES) {
          this.#freeBatches.push(sealed.batch);
        }
        this.#wake(this.#senders);
        this.#wake(this.#flushes);
      } while (this.#written < this.#queued);
      this.#pumping = false;
    } catch (error) {
      this.#failWriting(error);
    }
  }

  #until(target: number, waiting: Queue<Sender>): Promise<void> {
    if (target <= this.#written) return RESOLVED;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.push({ target, promise, resolve, reject });
    return promise;
  }

  #wake(waiting: Queue<Sender>) {
    for (
      let sender = waiting.peek();
      sender !== undefined && sender.target <= this.#written;
      sender = waiting.peek()
    ) waiting.shift()?.resolve();
  }

  async #endWriting() {
    await this.flush();
    try {
      // abort() would wait for a close that is under way.
      await Promise.race([
        this.#transport.closeWrite(),
        this.#closed.promise,
      ]);
    } catch (error) {
      this.#failWriting(error);
      throw error;
    }
    this.#writeEnded = true;
    this.#settle();
  }

  #whyNotSendable(): unknown {
    if (this.#failure) return this.#failure.reason;
    if (this.#closeWritePromise) {
      return new TypeError(
        "Cannot send message: the channel is closed for sending",
      );
    }
    return this.#writeFailure?.reason;
  }

  // Receiving: a message is decoded when it is asked for, and bytes are read while
  // somebody waits, so that what nobody asks for stays with the peer.

  #request<R>(
    onMessage: (bytes: Uint8Array) => R,
    onEnd: () => R,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): Promise<R> {
    if (signal?.aborted) return rejected(signal.reason);
    if (this.#failure) return rejected(this.#failure.reason);
    if (this.#discarding) return Promise.resolve(onEnd());
    // While somebody waits, or a read is under way, there is no whole message, and the memory is
    // with it.
    if (!this.#reading && this.#receivers.length === 0) {
      let bytes;
      try {
        bytes = this.#next(into);
      } catch (error) {
        return rejected(error);
      }
      if (bytes !== undefined) {
        if (this.#watched) this.#startReading();
        try {
          return Promise.resolve(onMessage(bytes));
        } catch (error) {
          return rejected(error);
        }
      }
    }
    if (this.#readEnded) {
      return this.#writeFailure
        ? rejected(this.#writeFailure.reason)
        : Promise.resolve(onEnd());
    }
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    const receiver: Receiver = {
      into,
      promise,
      onMessage,
      onEnd,
      resolve,
      reject,
    };
    this.#receivers.push(receiver);
    if (signal) {
      const onAbort = () => {
        this.#receivers.remove(receiver);
        reject(signal.reason);
      };
      const forget = () => signal.removeEventListener("abort", onAbort);
      signal.addEventListener("abort", onAbort);
      promise.then(forget, forget);
    }
    this.#startReading();
    return promise;
  }

  /** Decode the next message. What is wrong with the bytes fails the channel. */
  #next(into: Uint8Array | undefined): Uint8Array | undefined {
    try {
      return this.#decoder.next(into, this.#keepsBytes);
    } catch (error) {
      if (!(error instanceof ViewTooShortError)) this.#fail(error);
      throw error;
    }
  }

  #startReading() {
    if (!this.#reading) void this.#readWhileWanted();
  }

  async #readWhileWanted() {
    this.#reading = true;
    try {
      while (
        !this.#streamEnded && !this.#released &&
        (this.#receivers.length > 0 || this.#discarding ||
          (this.#watched && this.#decoder.isIdle))
      ) {
        const read = await this.#transport.read();
        if (this.#transport.take(read)) this.#deliver();
        else this.#endOfStream();
      }
      this.#reading = false;
    } catch (error) {
      this.#failReading(error);
    }
  }

  #deliver() {
    if (this.#discarding) return this.#decoder.clear();
    for (
      let receiver = this.#receivers.peek();
      receiver !== undefined;
      receiver = this.#receivers.peek()
    ) {
      let bytes;
      try {
        bytes = this.#next(receiver.into);
      } catch (error) {
        // It has been rejected with the others, if the channel has failed.
        if (!this.#failure) {
          this.#receivers.shift();
          refuse(receiver, error);
        }
        continue;
      }
      if (bytes === undefined) return;
      this.#receivers.shift();
      try {
        receiver.resolve(receiver.onMessage(bytes));
      } catch (error) {
        refuse(receiver, error);
      }
    }
  }

  #endOfStream() {
    if (this.#released) return;
    if (!this.#discarding) this.#decoder.end();
    this.#streamEnded = this.#readEnded = true;
    const failure = this.#writeFailure;
    for (let receiver; (receiver = this.#receivers.shift()) !== undefined;) {
      if (failure) refuse(receiver, failure.reason);
      else receiver.resolve(receiver.onEnd());
    }
    this.#settle();
  }

  #endReceivers() {
    this.#discarding = true;
    this.#decoder.clear();
    for (let receiver; (receiver = this.#receivers.shift()) !== undefined;) {
      receiver.resolve(receiver.onEnd());
    }
  }

  #cancelReceiving(reason: unknown) {
    this.#endReceivers();
    this.#readEnded = true;
    if (!this.#connection) this.#streamEnded = true;
    this.#transport.cancel(reason);
    this.#settle();
  }

  // Ending.

  async #close() {
    this.#endReceivers();
    // A peer that is busy sending must get to reading what is still queued.
    if (this.#written < this.#queued) this.#startReading();
    try {
      await this.closeWrite();
      this.#closed.resolve();
    } finally {
      this.#release();
    }
  }

  /** Both directions have ended: nothing is left to wait for. */
  #settle() {
    if (!this.#readEnded || !this.#writeEnded) return;
    this.#release();
    this.#closed.resolve();
  }

  #release(reason: unknown = new Error("The peer has closed the channel")) {
    if (this.#released) return;
    this.#released = true;
    this.#transport.abort(reason);
  }

  #fail(reason: unknown) {
    this.#failure = { reason };
    this.#endSending(reason);
    for (let receiver; (receiver = this.#receivers.shift()) !== undefined;) {
      refuse(receiver, reason);
    }
    this.#release(reason);
  }

  /** Sending has failed, receiving goes on: the peer may have said why. */
  #failWriting(reason: unknown) {
    if (this.#failure || this.#writeFailure) return;
    this.#writeFailure = { reason };
    this.#endSending(reason);
    this.#writeEnded = true;
    this.#settle();
  }

  #failReading(reason: unknown) {
    this.#reading = false;
    if (this.#released || this.#failure) return;
    // Whoever closes does not care what does not come any more.
    if (this.#discarding) {
      this.#streamEnded = this.#readEnded = true;
      this.#settle();
    } else {
      this.#fail(this.#writeFailure ? this.#writeFailure.reason : reason);
    }
  }

  #endSending(reason: unknown) {
    this.#sendable = false;
    for (const waiting of [this.#senders, this.#flushes]) {
      for (let sender; (sender = waiting.shift()) !== undefined;) {
        refuse(sender, reason);
      }
    }
    this.#closed.reject(reason);
  }
}

function readerOf(
  readable: ReadableStream<Uint8Array>,
): ReadableStreamBYOBReader | ReadableStreamDefaultReader<Uint8Array> {
  try {
    return readable.getReader({ mode: "byob" });
  } catch {
    // Not a byte stream.
    return readable.getReader();
  }
}
