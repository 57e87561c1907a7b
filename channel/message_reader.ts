import type { FrameDecoder } from "../framing/decoder.ts";
import { ViewTooShortError } from "../framing/errors.ts";
import {
  type Failure,
  type Linked,
  List,
  rejectedPromise,
  rejectHandled,
} from "./waiters.ts";
import type { Transport } from "./transports.ts";

/** A caller that waits for a message. */
interface Receiver extends Linked<Receiver> {
  readonly into: Uint8Array<ArrayBuffer> | undefined;
  readonly promise: Promise<unknown>;
  onMessage(bytes: Uint8Array<ArrayBuffer>): unknown;
  onEnd(): unknown;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
  readonly isWanted: (() => boolean) | undefined;
  /** Stop listening to the caller's signal. */
  forgetSignal: (() => void) | undefined;
}

interface MessageReaderOptions {
  /** Whether messages are borrowed: valid until `onMessage` returns. */
  readonly borrows: boolean;
  onEnd(): void;
  failChannel(reason: unknown): void;
  /** The failure that replaces a normal end of the stream, if any. */
  failureAtEnd(): Failure | undefined;
}

/**
 * The receiving half of a channel. A message is decoded on request, and bytes are read only
 * while a request waits. That is the backpressure.
 *
 * The state is open; then discarding, when no more messages are wanted and what arrives is
 * dropped; then ended, when the peer has closed its side.
 */
export class MessageReader {
  readonly #transport: Transport;
  readonly #decoder: FrameDecoder;
  readonly #options: MessageReaderOptions;

  /** How many messages were requested. */
  requests = 0;
  /** Whether to watch for the peer's end while no request waits. */
  isWatching = false;
  #state: "open" | "discarding" | "ended" = "open";
  #channelFailure: Failure | undefined;
  #isReading = false;
  readonly #receivers = new List<Receiver>();
  /** The one of them that pulls for the web stream. */
  #pull: Receiver | undefined;
  readonly #readTarget = () => this.#decoder.readTarget();

  constructor(
    transport: Transport,
    decoder: FrameDecoder,
    options: MessageReaderOptions,
  ) {
    this.#transport = transport;
    this.#decoder = decoder;
    this.#options = options;
  }

  /** Whether messages can still be delivered. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /**
   * Wait for the next message or the end.
   *
   * @param onMessage Makes the result from the message.
   * @param onEnd Makes the result at the end.
   * @param signal Ends the wait.
   * @param into The caller's memory for the message.
   * @param isWanted For a web stream, which does not tell its source that a read was given up:
   * whether a read still waits.
   */
  request<R>(
    onMessage: (bytes: Uint8Array<ArrayBuffer>) => R,
    onEnd: () => R,
    signal?: AbortSignal,
    into?: Uint8Array<ArrayBuffer>,
    isWanted?: () => boolean,
  ): Promise<R> {
    this.requests++;
    if (signal?.aborted) return rejectedPromise(signal.reason);
    if (this.#channelFailure) {
      return rejectedPromise(this.#channelFailure.reason);
    }
    if (this.#state === "discarding") return Promise.resolve(onEnd());
    if (this.#pull) this.#dropUnwantedPull();
    if (!this.#receivers.first) {
      this.#decoder.releaseLent();
      // During a read there is no whole message, and the decoder's memory is in use.
      if (!this.#isReading) {
        try {
          const bytes = this.#next(into);
          if (bytes !== undefined) return Promise.resolve(onMessage(bytes));
        } catch (error) {
          return rejectedPromise(error);
        } finally {
          // Only now: the read must not use the memory of a message that is lent.
          if (this.isWatching) this.#startReading();
        }
      }
    }
    if (this.#state === "ended") {
      const failure = this.#options.failureAtEnd();
      return failure
        ? rejectedPromise(failure.reason)
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
      isWanted,
      forgetSignal: undefined,
    };
    this.#receivers.push(receiver);
    if (isWanted) this.#pull = receiver;
    if (signal) this.#listen(receiver, signal);
    this.#startReading();
    return promise;
  }

  /** The next read of the stream pulls again. */
  #dropUnwantedPull() {
    const pull = this.#pull;
    if (pull === undefined || pull.isWanted?.()) return;
    this.#remove(pull);
    pull.resolve(undefined);
  }

  #listen(receiver: Receiver, signal: AbortSignal) {
    const onAbort = () => {
      // Removing each of many listeners of one signal would take quadratic time.
      receiver.forgetSignal = undefined;
      this.#remove(receiver);
      receiver.reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort);
    receiver.forgetSignal = () => signal.removeEventListener("abort", onAbort);
  }

  #remove(receiver: Receiver) {
    this.#receivers.remove(receiver);
    if (receiver === this.#pull) this.#pull = undefined;
    receiver.forgetSignal?.();
  }

  /** Watch for the peer's end even while no request waits, until bytes arrive. */
  watch() {
    if (this.isWatching) return;
    this.isWatching = true;
    this.#startReading();
  }

  /** End receiving: drop what arrives, and read on if a peer that is busy sending has to read. */
  discard(isBusy = false) {
    if (this.#state === "open") this.#state = "discarding";
    this.#decoder.clear();
    this.#endAll(undefined);
    if (isBusy) this.#startReading();
  }

  /** End receiving, and cancel the stream. */
  cancel(reason: unknown) {
    this.discard();
    if (this.#transport.cancel(reason)) this.#state = "ended";
    this.#options.onEnd();
  }

  /** The channel has failed or closed. */
  abort(reason: unknown) {
    this.#channelFailure = { reason };
    this.#endAll(this.#channelFailure);
  }

  #endAll(failure: Failure | undefined) {
    for (let receiver; (receiver = this.#receivers.first) !== undefined;) {
      this.#remove(receiver);
      if (failure) rejectHandled(receiver, failure.reason);
      else receiver.resolve(receiver.onEnd());
    }
  }

  /** Decode the next message. Bytes that are no frame fail the channel. */
  #next(
    into: Uint8Array<ArrayBuffer> | undefined,
  ): Uint8Array<ArrayBuffer> | undefined {
    try {
      return this.#decoder.next(into, !this.#options.borrows);
    } catch (error) {
      if (!(error instanceof ViewTooShortError)) {
        this.#options.failChannel(error);
      }
      throw error;
    }
  }

  get #wantsBytes(): boolean {
    if (this.#state === "ended" || this.#channelFailure) return false;
    return this.#receivers.first !== undefined ||
      this.#state === "discarding" ||
      (this.isWatching && this.#decoder.isIdle);
  }

  #startReading() {
    if (!this.#isReading && this.#wantsBytes) this.#read();
  }

  // No async functions here, and no closures: this code runs for every message.

  #read() {
    this.#isReading = true;
    try {
      this.#transport.read(this.#readTarget)
        .then(this.#onRead, this.#onReadError);
    } catch (error) {
      this.#onReadError(error);
    }
  }

  readonly #onRead = (read: number | Uint8Array | null) => {
    try {
      if (read === null) return void this.#endReading();
      if (typeof read === "number") this.#decoder.advance(read);
      else this.#decoder.push(read);
      this.#deliver();
    } catch (error) {
      return this.#onReadError(error);
    }
    if (this.#wantsBytes) this.#read();
    else this.#isReading = false;
  };

  readonly #onReadError = (error: unknown) =>
    void this.#endReading({ reason: error });

  /** The stream has ended or failed; a peer may know more. */
  async #endReading(error?: Failure) {
    this.#decoder.endRead();
    const { peer } = this.#transport;
    const failure = peer ? await peer.endReading(error) : error;
    this.#isReading = false;
    if (this.#channelFailure) return;
    if (!failure) return this.#endOfStream();
    // After close(), read errors do not matter.
    if (this.#state === "discarding") {
      this.#state = "ended";
      this.#options.onEnd();
    } else {
      const { reason } = this.#options.failureAtEnd() ?? failure;
      this.#options.failChannel(reason);
    }
  }

  #deliver() {
    if (this.#state === "discarding") return this.#decoder.clear();
    if (this.#pull) this.#dropUnwantedPull();
    for (let receiver; (receiver = this.#receivers.first) !== undefined;) {
      try {
        const bytes = this.#next(receiver.into);
        if (bytes === undefined) return;
        this.#remove(receiver);
        receiver.resolve(receiver.onMessage(bytes));
      } catch (error) {
        // If the channel has failed, all receivers have been rejected.
        if (this.#receivers.first === receiver) this.#remove(receiver);
        rejectHandled(receiver, error);
      }
    }
  }

  #endOfStream() {
    if (this.#channelFailure) return;
    if (this.#state === "open") {
      this.#decoder.end();
      this.#deliver();
      if (this.#channelFailure) return;
    }
    this.#state = "ended";
    this.#endAll(this.#options.failureAtEnd());
    this.#options.onEnd();
  }
}
