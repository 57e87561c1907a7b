/**
 * Send and receive messages over any pair of byte streams: a socket, a child's
 * stdio, a WebTransport stream.
 *
 * A {@linkcode Channel} serializes each message by a {@linkcode Serialization}
 * ({@linkcode bytes}, {@linkcode text}, {@linkcode json}, {@linkcode structured} or your own)
 * and puts it in a frame (see `./framing`).
 *
 * This module uses no Deno API: it also runs in Node and Bun (tested in Node 24 and Bun 1.4).
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

import { lengthField } from "./framing.ts";
import { FrameDecoder } from "./framing/decoder.ts";
import { FrameEncoder } from "./framing/encoder.ts";
import { MessageReader } from "./channel/message_reader.ts";
import { highWaterMarkOf, MessageWriter } from "./channel/message_writer.ts";
import { serializationOf } from "./channel/serializations.ts";
import {
  connectionTransport,
  isConnection,
  streamTransport,
  type Transport,
} from "./channel/transports.ts";
import type {
  ChannelOptions,
  Connection,
  DuplexStream,
  Serialization,
} from "./channel/types.ts";
import {
  type Failure,
  markHandled,
  rejectedPromise,
} from "./channel/waiters.ts";

export type { FrameHeader, Framing, FramingOptions } from "./framing.ts";
export {
  InvalidMessageError,
  type StandardSchemaV1,
} from "./channel/schema.ts";
export {
  bytes,
  json,
  type JsonSchemas,
  text,
} from "./channel/serializations.ts";
export { structured } from "./channel/structured.ts";
export type * from "./channel/types.ts";

/** How long after the end of a peer `closed` waits for messages to be received, in ms. */
const UNRECEIVED_WAIT = 1_000;

const identity = (bytes: Uint8Array<ArrayBuffer>) => bytes;
const toNull = () => null;

function toDone<R>(): IteratorResult<R> {
  return { value: undefined, done: true };
}

/**
 * A two-way channel of messages over a pair of byte streams.
 *
 * The channel owns its connection or streams: no other code may read, write or close them. A
 * connection closes when both directions have ended, or on {@linkcode Channel.close} or
 * {@linkcode Channel.abort}.
 *
 * No promise of a channel causes an unhandled rejection. If nothing awaits a failure, the next
 * call and {@linkcode Channel.closed} report it again.
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
 * @typeParam In The type of received messages.
 * @typeParam Out The type of sent messages.
 */
export class Channel<In = Uint8Array<ArrayBuffer>, Out = In>
  implements AsyncIterable<In>, AsyncDisposable {
  readonly #connection?: Connection;
  readonly #transport: Transport;
  readonly #writer: MessageWriter<Out>;
  readonly #reader: MessageReader;
  readonly #toMessage: (bytes: Uint8Array<ArrayBuffer>) => In;
  readonly #borrows: boolean;

  readonly #closed = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #isReleased = false;
  #hasPeerExited = false;
  #peerFailure: Failure | undefined;
  #unreceivedTimer: ReturnType<typeof setTimeout> | undefined;
  #unsentTimer: ReturnType<typeof setTimeout> | undefined;
  #readable: ReadableStream<In> | undefined;
  #writable: WritableStream<Out> | undefined;

  /**
   * Construct a new instance.
   *
   * @param stream A `Deno.Conn`, or any pair of byte streams that are not locked.
   * @param options Framing, serialization and limits.
   * @throws {RangeError} If `maxFrameLength` or `highWaterMark` is not an integer of 0
   * or more.
   * @throws {TypeError} If one of the streams is locked, or the serialization is a function that
   * was not called.
   */
  constructor(
    stream: Uint8Array<ArrayBuffer> extends In ? DuplexStream | Connection
      // The compiler quotes this in its error.
      : "name a serialization in the options: without one, messages are bytes",
    options?: ChannelOptions,
  );
  /**
   * Construct a new instance with a serialization.
   *
   * @param stream A `Deno.Conn`, or any pair of byte streams that are not locked.
   * @param options Framing, serialization and limits.
   */
  constructor(
    stream: DuplexStream | Connection,
    options: ChannelOptions<Serialization<In, Out>> & {
      serialization: Serialization<In, Out>;
    },
  );
  constructor(
    stream: DuplexStream | Connection,
    options: ChannelOptions<Serialization<In, Out> | undefined> = {},
  ) {
    const highWaterMark = highWaterMarkOf(options);
    // Without a serialization, the overloads ensure that In and Out are bytes.
    const serialization = serializationOf(options) as Serialization<In, Out>;
    const framing = options.framing ?? lengthField();
    const encoder = new FrameEncoder(framing, options);
    const decoder = new FrameDecoder(framing, options);
    if (isConnection(stream)) this.#connection = stream;
    this.#transport = isConnection(stream)
      ? connectionTransport(stream)
      : streamTransport(stream);
    const borrows = serialization.borrows ?? false;
    this.#toMessage = (bytes) => {
      const message = serialization.deserialize(bytes);
      if (borrows && Object.is(message, bytes)) decoder.lend();
      return message;
    };
    this.#borrows = borrows;
    const failChannel = (reason: unknown) => this.#fail(reason);
    this.#writer = new MessageWriter(this.#transport, {
      serialization,
      encoder,
      highWaterMark,
      onEnd: (failure) => {
        if (failure) this.#closed.reject(failure.reason);
        this.#settle();
      },
      failChannel,
    });
    this.#reader = new MessageReader(this.#transport, decoder, {
      borrows,
      onEnd: () => this.#settle(),
      failChannel,
      failureAtEnd: () =>
        this.#closing
          ? undefined
          : this.#writer.sendFailure ?? this.#peerFailure,
    });
    markHandled(this.#closed.promise);
    void this.#transport.peer?.exited.then((failure) => {
      this.#hasPeerExited = true;
      this.#peerFailure = failure;
      this.#settle();
      this.#settleUnreceived();
      this.#settleUnsent();
    });
  }

  /**
   * Send a message. Messages arrive in call order. The message is serialized synchronously,
   * before `send()` returns.
   *
   * Do not transfer or shrink the buffer of a message before the promise resolves: the channel
   * may then fail with `TypeError`.
   *
   * @param message The message.
   * @returns A promise that resolves when fewer than `highWaterMark` bytes are queued. The
   * message's buffer can then be reused.
   * @throws {TypeError} If {@linkcode Channel.closeWrite} or {@linkcode Channel.close} was
   * called, or if the serialization throws it. Nothing is sent, and the channel stays open.
   * @throws {FrameTooLargeError} If the message is over `maxFrameLength`, or over what the
   * framing can express. Nothing is sent, and the channel stays open.
   * @throws {RangeError} If the message is too short for the framing. Nothing is sent, and the
   * channel stays open.
   * @throws {Error} If the channel has failed: the system's error
   * (`Deno.errors.BrokenPipe`, `Deno.errors.ConnectionReset`), or the reason of
   * {@linkcode Channel.abort}.
   */
  send(message: Out): Promise<void>;
  /** Send bytes in any kind of buffer. */
  send(
    this: Channel<In, Uint8Array<ArrayBuffer>>,
    message: Uint8Array,
  ): Promise<void>;
  send(message: Out | Uint8Array): Promise<void> {
    // The second overload's Out is Uint8Array<ArrayBuffer>; its buffer may also be shared.
    return this.#writer.send(message as Out);
  }

  /**
   * Receive the next message. Calls may overlap; they are answered in call order.
   *
   * A message of `json()` or `structured()` can itself be `null`, which looks like the end here.
   * To tell them apart, iterate over the channel.
   *
   * @param options A signal that ends the wait. It loses no message: the next call gets it.
   * @returns The message, or `null` if the peer has closed its side between two frames or
   * {@linkcode Channel.close} was called.
   * @throws {TruncatedFrameError} If the peer closed its side inside a frame.
   * @throws {FrameTooLargeError} If a message is over `maxFrameLength`. The channel fails.
   * @throws {FrameSyntaxError} If the bytes are not a frame. The channel fails.
   * @throws {Error} If the serialization throws; only this message is lost. If the channel has
   * failed: the system's error, or the reason of {@linkcode Channel.abort}. If the signal
   * aborts: its reason.
   */
  receive(
    options?: { signal?: AbortSignal | undefined },
  ): Promise<In | null> {
    const { signal } = options ?? {};
    return this.#reader.request<In | null>(this.#toMessage, toNull, signal);
  }

  /**
   * Receive the next message into a buffer you provide, without allocating: the equivalent of
   * `ReadableStreamBYOBReader.read(view)` for messages. Bypasses the serialization.
   *
   * @param view The memory for the message. Its buffer is transferred: use the returned view
   * from then on.
   * @returns A view of the same memory, as long as the message, or `null` at the end, like
   * {@linkcode Channel.receive}.
   * @throws {FrameTooLargeError} If the message is longer than `view`: a `RangeError` with the
   * message's `length`. The next call gets the message.
   * @throws {TypeError} If the view's buffer cannot be transferred.
   * @throws {Error} Like {@linkcode Channel.receive}.
   */
  receiveInto(view: Uint8Array): Promise<Uint8Array<ArrayBuffer> | null> {
    let into;
    try {
      const { buffer, byteOffset, byteLength } = view;
      if (!(buffer instanceof ArrayBuffer)) {
        throw new TypeError(
          "Cannot receive message: the view has a shared buffer",
        );
      }
      into = new Uint8Array(buffer.transfer(), byteOffset, byteLength);
    } catch (error) {
      return rejectedPromise(error);
    }
    return this.#reader.request<Uint8Array<ArrayBuffer> | null>(
      identity,
      toNull,
      undefined,
      into,
    );
  }

  /**
   * Wait until everything queued has been handed to the operating system.
   *
   * @returns A promise that resolves then.
   * @throws {Error} If the channel has failed: the system's error, or the reason of
   * {@linkcode Channel.abort}.
   */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  /**
   * Tell the peer that no more messages follow. Receiving continues.
   *
   * @returns A promise that resolves when everything sent, and the end, have been handed to the
   * operating system. Each call returns the same promise.
   * @throws {Error} If the channel has failed: the system's error, or the reason of
   * {@linkcode Channel.abort}.
   */
  closeWrite(): Promise<void> {
    return this.#writer.close();
  }

  /**
   * Close the channel: end sending like {@linkcode Channel.closeWrite}, end receiving, and close
   * the streams. Pending and later `receive()` calls resolve to `null`. Messages that still
   * arrive are discarded.
   *
   * To confirm that the peer has read everything, first call {@linkcode Channel.closeWrite} and
   * then {@linkcode Channel.receive} until it resolves to `null`.
   *
   * @returns A promise that resolves when everything sent has been handed to the operating
   * system and the streams are closed. Each call returns the same promise.
   * @throws {Error} If the channel has failed: the system's error, or the reason of
   * {@linkcode Channel.abort}.
   */
  close(): Promise<void> {
    return this.#closing ??= markHandled(this.#close());
  }

  /**
   * Close the channel immediately. Drops everything queued; pending and later calls reject with
   * `reason`. Has no effect on a channel that has closed or failed.
   *
   * @param reason The reason of the rejections; by default a `DOMException` with the name
   * `AbortError`.
   */
  abort(
    reason: unknown = new DOMException("The channel was aborted", "AbortError"),
  ): void {
    if (!this.#isReleased) this.#fail(reason);
  }

  /**
   * Settles when the channel has: resolves once both directions have ended without failure,
   * and rejects with the first failure. From the first use of this property on, the channel
   * also looks for the peer's end while nobody receives, until bytes arrive. To a child that
   * has exited it settles also if what arrived is never received: 1 s after the exit, or
   * after the last `receive()`; if `detached`, only where nobody else holds its end.
   */
  get closed(): Promise<void> {
    this.#reader.watch();
    this.#settleUnreceived();
    return this.#closed.promise;
  }

  /**
   * The messages as a web stream. It takes a message only for a pending read, so it can be mixed
   * with {@linkcode Channel.receive} and iteration. If a read is given up (by `releaseLock()`, or
   * by a pipe that ends), the message stays for the next call.
   *
   * Cancelling the stream ends receiving. A message that cannot be deserialized ends only the
   * stream: `receive()` continues after it.
   *
   * Messages of `bytes({ borrow: true })` are copied, because a stream requests messages ahead.
   */
  get readable(): ReadableStream<In> {
    let isCancelled = false;
    return this.#readable ??= new ReadableStream<In>({
      pull: (controller) =>
        this.#reader.request<void>(
          (bytes) => {
            const message = this.#toMessage(bytes);
            // A stream requests the next message before this one has been used.
            const isLent = this.#borrows && Object.is(message, bytes);
            controller.enqueue(
              isLent ? this.#toMessage(bytes.slice()) : message,
            );
          },
          () => {
            if (!isCancelled) controller.close();
          },
          undefined,
          undefined,
          () => this.#readable?.locked === true,
        ),
      cancel: (reason) => {
        isCancelled = true;
        this.#reader.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }

  /**
   * A web stream that sends the messages written to it. Closing it is
   * {@linkcode Channel.closeWrite}, aborting it {@linkcode Channel.abort}.
   */
  get writable(): WritableStream<Out> {
    return this.#writable ??= new WritableStream<Out>({
      // The sink's abort() would wait for a pending write, which is what has to be cancelled.
      start: ({ signal }) =>
        signal.addEventListener("abort", () => this.abort(signal.reason)),
      write: (message) => this.send(message),
      close: () => this.closeWrite(),
    });
  }

  /**
   * Keep the process alive while a call waits for a message. This is the default. Has no effect
   * over streams, which do not support it.
   */
  ref(): void {
    this.#connection?.ref();
  }

  /**
   * Do not keep the process alive while a call waits for a message. Has no effect over streams,
   * which do not support it.
   */
  unref(): void {
    this.#connection?.unref();
  }

  /**
   * Iterate over the messages until the peer has closed its side. The channel stays open if you
   * leave the loop early.
   *
   * A message that cannot be deserialized ends a `for await` loop, like any error. The channel
   * stays open: another loop gets the messages after it.
   *
   * @example Continue after messages that cannot be deserialized
   * ```ts
   * import { Channel, json } from "@socketpair/socketpair/channel";
   * import { socketPair } from "@socketpair/socketpair/pair";
   * import { assertEquals } from "@std/assert";
   *
   * const [left, right] = await socketPair();
   * await using peer = new Channel(left);
   * await using channel = new Channel(right, { serialization: json() });
   * for (const message of ["1", "nonsense", "2"]) await peer.send(new TextEncoder().encode(message));
   * await peer.closeWrite();
   *
   * const received: unknown[] = [];
   * let failed = false; // the channel has failed, not only one message
   * channel.closed.catch(() => failed = true);
   * for (let done = false; !done;) {
   *   try {
   *     for await (const message of channel) received.push(message);
   *     done = true;
   *   } catch (error) {
   *     if (failed) throw error;
   *     received.push("bad message");
   *   }
   * }
   * assertEquals(received, [1, "bad message", 2]);
   * ```
   *
   * @returns The iterator. It throws like {@linkcode Channel.receive}.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    let isDone = false;
    const toResult = (bytes: Uint8Array<ArrayBuffer>): IteratorResult<In> => ({
      value: this.#toMessage(bytes),
      done: false,
    });
    const onEnd = (): IteratorResult<In> => {
      isDone = true;
      return toDone();
    };
    return {
      next: () =>
        isDone
          ? Promise.resolve(toDone())
          : this.#reader.request(toResult, onEnd),
      return: () => {
        isDone = true;
        return Promise.resolve(toDone());
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Close the channel at the end of an `await using` block. Does not throw if the channel failed,
   * so that it cannot hide the error that ended the block; see {@linkcode Channel.closed} and
   * {@linkcode Channel.close}.
   *
   * @returns A promise that resolves when the channel is closed.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    // Another call, or `closed`, reports a failure.
    await this.close().catch(() => {});
  }

  async #close() {
    // A peer that is busy sending has to continue before it reads what is still queued.
    this.#reader.discard(this.#writer.isBusy);
    try {
      await this.#writer.close();
      this.#closed.resolve();
    } finally {
      this.#release();
    }
  }

  /** Close if both directions have ended. */
  #settle() {
    if (this.#reader.isOpen) return;
    if (this.#peerFailure && !this.#closing) {
      return this.abort(this.#peerFailure.reason);
    }
    const hasSendingEnded = this.#writer.isEnded ||
      (this.#hasPeerExited && !this.#writer.isBusy && !this.#closing);
    if (!hasSendingEnded) return;
    this.#release();
    this.#closed.resolve();
  }

  /** What a peer that has gone had sent can still be received, but `closed` waits no longer. */
  #settleUnreceived() {
    const { isWatching, requests } = this.#reader;
    const isOpen = !this.#isReleased && !this.#closing;
    if (!isWatching || !isOpen || !this.#hasPeerExited) return;
    this.#unreceivedTimer ??= setTimeout(() => {
      this.#unreceivedTimer = undefined;
      if (this.#closing) return;
      if (this.#reader.requests > requests) this.#settleUnreceived();
      else if (this.#peerFailure) this.#closed.reject(this.#peerFailure.reason);
      else this.#closed.resolve();
    }, UNRECEIVED_WAIT);
  }

  /** After the exit of the peer, a write that still waits is for another process. */
  #settleUnsent() {
    if (this.#isReleased || !this.#writer.isBusy) return;
    this.#unsentTimer = setTimeout(async () => {
      const failure = await this.#transport.peer?.endWriting();
      if (failure && !this.#isReleased) this.#writer.failSending(failure);
    }, UNRECEIVED_WAIT);
  }

  #release(reason?: unknown) {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearTimeout(this.#unreceivedTimer);
    clearTimeout(this.#unsentTimer);
    this.#transport.abort(reason);
  }

  #fail(reason: unknown) {
    this.#closed.reject(reason);
    this.#writer.abort(reason);
    this.#reader.abort(reason);
    this.#release(reason);
  }
}
