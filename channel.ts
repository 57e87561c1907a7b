/**
 * Send and receive messages over any pair of byte streams: a socket, a child's
 * stdio, a WebTransport stream.
 *
 * A {@linkcode Channel} puts each message in a frame (see `./framing`) and serializes
 * it by a {@linkcode Serialization}: {@linkcode bytes},
 * {@linkcode text}, {@linkcode json}, {@linkcode structured} or one of your own.
 *
 * This module uses nothing of Deno: it also runs in Node and Bun (tested in Node 24 and Bun 1.4).
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
import { Receiving } from "./channel/receiving.ts";
import { highWaterMarkOf, Sending } from "./channel/sending.ts";
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
} from "./channel/waiting.ts";

export type { FrameHeader, Framing, FramingOptions } from "./framing.ts";
export { bytes, json, structured, text } from "./channel/serializations.ts";
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
 * @typeParam In What is received.
 * @typeParam Out What is sent.
 */
export class Channel<In = Uint8Array<ArrayBuffer>, Out = In>
  implements AsyncIterable<In>, AsyncDisposable {
  readonly #connection: Connection | undefined;
  readonly #transport: Transport;
  readonly #sending: Sending<Out>;
  readonly #receiving: Receiving;
  readonly #toMessage: (bytes: Uint8Array<ArrayBuffer>) => In;
  readonly #lends: boolean;

  readonly #closed = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #isReleased = false;
  #isPeerGone = false;
  #peerFailure: Failure | undefined;
  #unreceivedTimer: ReturnType<typeof setTimeout> | undefined;
  #unsentTimer: ReturnType<typeof setTimeout> | undefined;
  #readable: ReadableStream<In> | undefined;
  #writable: WritableStream<Out> | undefined;

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
    stream: Uint8Array<ArrayBuffer> extends In ? DuplexStream | Connection
      : never,
    options?: ChannelOptions,
  );
  /**
   * Construct a new instance with a serialization.
   *
   * @param stream A `Deno.Conn`, or any pair of byte streams, not locked.
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
    this.#connection = isConnection(stream) ? stream : undefined;
    this.#transport = isConnection(stream)
      ? connectionTransport(stream)
      : streamTransport(stream);
    this.#toMessage = (bytes) => serialization.deserialize(bytes);
    this.#lends = serialization.borrows ?? false;
    this.#sending = new Sending(this.#transport, {
      serialization,
      encoder,
      highWaterMark,
      onEnd: (failure) => {
        if (failure) this.#closed.reject(failure.reason);
        this.#settle();
      },
    });
    this.#receiving = new Receiving(this.#transport, decoder, {
      lends: this.#lends,
      onEnd: () => this.#settle(),
      onFailure: (reason) => this.#fail(reason),
      endFailure: () =>
        this.#closing ? undefined : this.#sending.failure ?? this.#peerFailure,
    });
    markHandled(this.#closed.promise);
    void this.#transport.peer?.gone.then((failure) => {
      this.#isPeerGone = true;
      this.#peerFailure = failure;
      this.#settle();
      this.#settleUnreceived();
      this.#settleUnsent();
    });
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
  send(message: Out): Promise<void>;
  /** Send bytes, whatever kind of buffer they are in. */
  send(
    this: Channel<In, Uint8Array<ArrayBuffer>>,
    message: Uint8Array,
  ): Promise<void>;
  send(message: Out | Uint8Array): Promise<void> {
    // Bytes are bytes, whatever kind of buffer they are in.
    return this.#sending.send(message as Out);
  }

  /**
   * Receive the next message. Calls may overlap; they are answered in the order of the
   * calls.
   *
   * A message of `json()` or `structured()` can itself be `null`, which this cannot tell from the
   * end: iterate over the channel instead, where `null` is a message like any other.
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
  receive(
    options?: { signal?: AbortSignal | undefined },
  ): Promise<In | null> {
    return this.#receiving.request<In | null>(
      this.#toMessage,
      toNull,
      options?.signal,
    );
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
  receiveInto(view: Uint8Array): Promise<Uint8Array<ArrayBuffer> | null> {
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
      return rejectedPromise(error);
    }
    return this.#receiving.request<Uint8Array<ArrayBuffer> | null>(
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
   * @throws {Error} If the channel has failed: what the system said, or the reason of
   * {@linkcode Channel.abort}.
   */
  flush(): Promise<void> {
    return this.#sending.flush();
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
    return this.#sending.close();
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
    return this.#closing ??= markHandled(this.#close());
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
    this.#receiving.watch();
    this.#settleUnreceived();
    return this.#closed.promise;
  }

  /**
   * The messages as a web stream. It takes a message only for a pending read, so it may be
   * mixed with {@linkcode Channel.receive} and iteration. Cancelling it ends receiving. A message
   * that cannot be deserialized ends this stream alone: `receive()` goes on after it.
   *
   * What `bytes({ borrow: true })` would lend is copied: a stream asks for a message ahead.
   */
  get readable(): ReadableStream<In> {
    let isCancelled = false;
    return this.#readable ??= new ReadableStream<In>({
      pull: (controller) =>
        this.#receiving.request(
          (bytes) => {
            const message = this.#toMessage(bytes);
            // A stream asks for the next message before this one has been looked at.
            const isLent = this.#lends && Object.is(message, bytes);
            controller.enqueue(
              isLent ? this.#toMessage(bytes.slice()) : message,
            );
          },
          () => {
            if (!isCancelled) controller.close();
          },
        ),
      cancel: (reason) => {
        isCancelled = true;
        this.#receiving.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }

  /**
   * A web stream that sends the messages written to it. Closing it is
   * {@linkcode Channel.closeWrite}, aborting it {@linkcode Channel.abort}.
   */
  get writable(): WritableStream<Out> {
    return this.#writable ??= new WritableStream<Out>({
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
   * A message that cannot be deserialized ends a `for await` loop, as any error does, though the
   * channel goes on: another loop gets the messages after it.
   *
   * @example Survive messages that cannot be deserialized
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
   * let failed = false; // the channel has failed, not one message
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
   * @returns The iterator. It throws as {@linkcode Channel.receive} does.
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
          : this.#receiving.request(toResult, onEnd),
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
   * Close the channel at the end of an `await using` block. A failure of the channel is not
   * thrown here, where it would hide the error that ends the block: it is in
   * {@linkcode Channel.closed}, and in what {@linkcode Channel.close} returns.
   *
   * @returns A promise that resolves when the channel is closed.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch {
      // It has been said, or is in closed.
    }
  }

  async #close() {
    this.#receiving.discard();
    // A peer that is busy sending must get to reading what is still queued.
    if (this.#sending.isBusy) this.#receiving.drain();
    try {
      await this.#sending.close();
      this.#closed.resolve();
    } finally {
      this.#release();
    }
  }

  /** Both directions have ended: nothing is left to wait for. */
  #settle() {
    if (!this.#receiving.isEnded) return;
    if (this.#peerFailure && !this.#closing) {
      return this.abort(this.#peerFailure.reason);
    }
    const hasSendingEnded = this.#sending.isEnded ||
      (this.#isPeerGone && !this.#sending.isBusy && !this.#closing);
    if (!hasSendingEnded) return;
    this.#release();
    this.#closed.resolve();
  }

  /** What a peer that has gone had sent can still be received, but `closed` waits no longer. */
  #settleUnreceived() {
    const { isWatching, requests } = this.#receiving;
    if (!isWatching || this.#isReleased || this.#closing) return;
    if (!this.#isPeerGone) return;
    this.#unreceivedTimer ??= setTimeout(() => {
      this.#unreceivedTimer = undefined;
      if (this.#closing) return;
      if (this.#receiving.requests > requests) this.#settleUnreceived();
      else if (this.#peerFailure) this.#closed.reject(this.#peerFailure.reason);
      else this.#closed.resolve();
    }, UNRECEIVED_WAIT);
  }

  /** After the exit of the peer, a write that still waits is for another process. */
  #settleUnsent() {
    if (this.#isReleased || !this.#sending.isBusy) return;
    this.#unsentTimer = setTimeout(async () => {
      const failure = await this.#transport.peer?.endWriting();
      if (failure && !this.#isReleased) this.#sending.fail(failure);
    }, UNRECEIVED_WAIT);
  }

  #release(reason: unknown = new Error("The peer has closed the channel")) {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearTimeout(this.#unreceivedTimer);
    clearTimeout(this.#unsentTimer);
    this.#transport.abort(reason);
  }

  #fail(reason: unknown) {
    this.#closed.reject(reason);
    this.#sending.abort(reason);
    this.#receiving.abort(reason);
    this.#release(reason);
  }
}
