import type { FrameDecoder } from "../framing/decoder.ts";
import { ViewTooShortError } from "../framing/errors.ts";
import {
  type Failure,
  Queue,
  rejectedPromise,
  rejectHandled,
} from "./waiting.ts";
import type { Transport } from "./transports.ts";

/** A caller who waits for a message. */
interface Receiver {
  readonly into: Uint8Array<ArrayBuffer> | undefined;
  readonly promise: Promise<unknown>;
  onMessage(bytes: Uint8Array<ArrayBuffer>): unknown;
  onEnd(): unknown;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

interface ReceivingOptions {
  /** Whether messages are lent until the next request. */
  readonly lends: boolean;
  onEnd(): void;
  onFailure(reason: unknown): void;
  /** What is said in place of the end. */
  endFailure(): Failure | undefined;
}

/**
 * The receiving half of a channel: a message is decoded when it is asked for, and bytes are
 * read while somebody waits, so that what nobody asks for stays with the peer.
 *
 * It is open; discarding, once nobody will receive any more and what comes is dropped; and ended,
 * when the peer has closed its side.
 */
export class Receiving {
  readonly #transport: Transport;
  readonly #decoder: FrameDecoder;
  readonly #options: ReceivingOptions;

  /** How often a message was asked for. */
  requests = 0;
  #state: "open" | "discarding" | "ended" = "open";
  #failure: Failure | undefined;
  #isReading = false;
  /** Whether the peer's end is looked for while nobody receives. */
  isWatching = false;
  readonly #receivers = new Queue<Receiver>();
  readonly #readTarget = () => this.#decoder.readTarget();

  constructor(
    transport: Transport,
    decoder: FrameDecoder,
    options: ReceivingOptions,
  ) {
    this.#transport = transport;
    this.#decoder = decoder;
    this.#options = options;
  }

  /** Whether nobody will receive any more. */
  get isEnded(): boolean {
    return this.#state !== "open";
  }

  /**
   * Wait for the next message or the end.
   *
   * @param onMessage What to make of the message.
   * @param onEnd What to make of the end.
   * @param into Memory of the caller's for the message.
   */
  request<R>(
    onMessage: (bytes: Uint8Array<ArrayBuffer>) => R,
    onEnd: () => R,
    signal?: AbortSignal,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<R> {
    this.requests++;
    if (signal?.aborted) return rejectedPromise(signal.reason);
    if (this.#failure) return rejectedPromise(this.#failure.reason);
    if (this.#state === "discarding") return Promise.resolve(onEnd());
    // Calls that overlap may not have looked at what they were lent.
    if (this.#receivers.length === 0) this.#decoder.turn();
    // While somebody waits, or a read is under way, there is no whole message, and the memory is
    // with it.
    if (!this.#isReading && this.#receivers.length === 0) {
      try {
        const bytes = this.#next(into);
        if (bytes !== undefined) {
          if (this.isWatching) this.#startReading();
          return Promise.resolve(onMessage(bytes));
        }
      } catch (error) {
        return rejectedPromise(error);
      }
    }
    if (this.#state === "ended") {
      const failure = this.#options.endFailure();
      return failure
        ? rejectedPromise(failure.reason)
        : Promise.resolve(onEnd());
    }
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    const receiver = { into, promise, onMessage, onEnd, resolve, reject };
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

  /** Look for the peer's end while nobody receives, until bytes arrive. */
  watch() {
    if (this.isWatching) return;
    this.isWatching = true;
    this.#startReading();
  }

  /** End receiving: what still comes is dropped. */
  discard() {
    if (this.#state === "open") this.#state = "discarding";
    this.#decoder.clear();
    for (let receiver; (receiver = this.#receivers.shift()) !== undefined;) {
      receiver.resolve(receiver.onEnd());
    }
  }

  /** End receiving, and tell the stream so. */
  cancel(reason: unknown) {
    this.discard();
    if (this.#transport.cancel(reason)) this.#state = "ended";
    this.#options.onEnd();
  }

  /** Read and drop what comes, so that a peer who is busy sending gets to reading. */
  drain() {
    this.#startReading();
  }

  /** The channel has failed, or is closed. */
  abort(reason: unknown) {
    this.#failure = { reason };
    for (let receiver; (receiver = this.#receivers.shift()) !== undefined;) {
      rejectHandled(receiver, reason);
    }
  }

  /** Decode the next message. What is wrong with the bytes fails the channel. */
  #next(
    into: Uint8Array<ArrayBuffer> | undefined,
  ): Uint8Array<ArrayBuffer> | undefined {
    try {
      return this.#decoder.next(into, !this.#options.lends);
    } catch (error) {
      if (!(error instanceof ViewTooShortError)) this.#options.onFailure(error);
      throw error;
    }
  }

  get #wantsBytes(): boolean {
    if (this.#state === "ended" || this.#failure) return false;
    return this.#receivers.length > 0 || this.#state === "discarding" ||
      (this.isWatching && this.#decoder.isIdle);
  }

  #startReading() {
    if (!this.#isReading) void this.#readWhileWanted();
  }

  async #readWhileWanted() {
    this.#isReading = true;
    try {
      while (this.#wantsBytes) {
        const read = await this.#transport.read(this.#readTarget);
        if (read === null) return await this.#endReading();
        if (typeof read === "number") this.#decoder.advance(read);
        else this.#decoder.push(read);
        this.#deliver();
      }
      this.#isReading = false;
    } catch (error) {
      await this.#endReading({ reason: error });
    }
  }

  /** The stream has ended or failed; a peer may know better. */
  async #endReading(error?: Failure) {
    this.#decoder.endRead();
    const { peer } = this.#transport;
    const failure = peer ? await peer.endReading(error) : error;
    this.#isReading = false;
    if (failure) this.#fail(failure.reason);
    else this.#endOfStream();
  }

  #deliver() {
    if (this.#state === "discarding") return this.#decoder.clear();
    for (
      let receiver = this.#receivers.peek();
      receiver !== undefined;
      receiver = this.#receivers.peek()
    ) {
      try {
        const bytes = this.#next(receiver.into);
        if (bytes === undefined) return;
        this.#receivers.shift();
        receiver.resolve(receiver.onMessage(bytes));
      } catch (error) {
        // If the channel has failed, all have been rejected.
        if (this.#receivers.peek() === receiver) this.#receivers.shift();
        rejectHandled(receiver, error);
      }
    }
  }

  #endOfStream() {
    if (this.#failure) return;
    if (this.#state === "open") {
      this.#decoder.end();
      this.#deliver();
      if (this.#failure) return;
    }
    this.#state = "ended";
    const failure = this.#options.endFailure();
    for (let receiver; (receiver = this.#receivers.shift()) !== undefined;) {
      if (failure) rejectHandled(receiver, failure.reason);
      else receiver.resolve(receiver.onEnd());
    }
    this.#options.onEnd();
  }

  #fail(reason: unknown) {
    if (this.#failure) return;
    // After close() nobody cares what does not come any more.
    if (this.#state === "discarding") {
      this.#state = "ended";
      this.#options.onEnd();
    } else {
      this.#options.onFailure(this.#options.endFailure()?.reason ?? reason);
    }
  }
}
