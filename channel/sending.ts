import type { FrameEncoder } from "../framing/encoder.ts";
import { maxFrameLengthOf } from "../framing/errors.ts";
import { BLOCK_LENGTH, giveMemory, takeMemory } from "../framing/memory.ts";
import {
  type Failure,
  markHandled,
  Queue,
  rejectedPromise,
  rejectHandled,
} from "./waiting.ts";
import type { FramingOptions } from "../framing/types.ts";
import type { Transport } from "./transports.ts";
import type { Serialization } from "./types.ts";

/** A batch that nothing waits before is full at this many bytes: the peer reads meanwhile. */
const BATCH_TARGET = 64 * 1024;

/**
 * Turns of the microtask queue without a further message after which what is queued
 * is written. A loop of `await channel.send()` sends one a turn, a web stream one in
 * a few: so both fill whole batches, and a lone message waits well under 1 us.
 */
const IDLE_TURNS = 4;

const RESOLVED = Promise.resolve();

/** Default of `ChannelOptions.highWaterMark`: 256 KiB. */
const DEFAULT_HIGH_WATER_MARK = 256 * 1024;

/** Check an option of the channel. */
export function highWaterMarkOf(
  { highWaterMark = DEFAULT_HIGH_WATER_MARK }: {
    highWaterMark?: number | undefined;
  },
): number {
  if (Number.isSafeInteger(highWaterMark) && highWaterMark >= 0) {
    return highWaterMark;
  }
  throw new RangeError(
    `Cannot use highWaterMark: ${highWaterMark} is not an integer of 0 or more`,
  );
}

/** Check the limits of a channel that is to be made later. */
export function checkLimits(
  options: FramingOptions & { highWaterMark?: number | undefined },
): void {
  highWaterMarkOf(options);
  maxFrameLengthOf(options);
}

/** Bytes to be written. */
interface PendingWrite {
  readonly bytes: Uint8Array;
  /** The memory that they are in, to be used again. */
  readonly memory: Uint8Array<ArrayBuffer> | undefined;
}

/** A caller who waits until `#written` is `target` or more. */
interface Waiter extends PromiseWithResolvers<void> {
  readonly target: number;
}

interface SendingOptions<Out> {
  readonly serialization: Serialization<unknown, Out>;
  readonly encoder: FrameEncoder;
  readonly highWaterMark: number;
  onEnd(failure: Failure | undefined): void;
}

/**
 * The sending half of a channel: messages are framed into a batch, full batches wait to be
 * written, and the pump writes those and then the batch.
 *
 * It is open; ending, once no more messages may be sent; and ended, when the peer has been told
 * or a write has failed.
 */
export class Sending<Out> {
  /** Why sending failed, if it did. */
  failure: Failure | undefined;
  readonly #transport: Transport;
  readonly #options: SendingOptions<Out>;

  #state: "open" | "ending" | "ended" = "open";
  /** Why the whole channel failed, if it did. */
  #abortion: Failure | undefined;
  #closing: Promise<void> | undefined;
  #isPumping = false;

  // Positions count bytes, with headers, since the channel began.
  #queued = 0;
  #written = 0;
  #batch: Uint8Array<ArrayBuffer> | undefined;
  #batched = 0;
  readonly #pending = new Queue<PendingWrite>();
  readonly #senders = new Queue<Waiter>();
  readonly #flushes = new Queue<Waiter>();
  /** Ends the wait for the transport to close. */
  #endClosing = () => {};

  constructor(transport: Transport, options: SendingOptions<Out>) {
    this.#transport = transport;
    this.#options = options;
  }

  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** Whether something queued has not been written. */
  get isBusy(): boolean {
    return this.#written < this.#queued;
  }

  send(message: Out): Promise<void> {
    if (this.#state !== "open") return rejectedPromise(this.#whyNotOpen());
    let target;
    try {
      const bytes = this.#options.serialization.serialize(message);
      if (!(bytes instanceof Uint8Array)) {
        throw new TypeError(
          "Cannot send message: its serialization made no Uint8Array of it",
        );
      }
      // It may have ended the channel.
      if (this.#state !== "open") throw this.#whyNotOpen();
      // What is the message itself is the caller's until send() resolves, not borrowed.
      target = this.#enqueue(bytes, Object.is(bytes, message));
    } catch (error) {
      return rejectedPromise(error);
    }
    if (!this.#isPumping) void this.#pump();
    return this.#whenWritten(target, this.#senders);
  }

  flush(): Promise<void> {
    const failure = this.#abortion ?? this.failure;
    if (failure) return rejectedPromise(failure.reason);
    return this.#whenWritten(this.#queued, this.#flushes);
  }

  /** Tell the peer that no more messages follow, once all have been written. */
  close(): Promise<void> {
    if (this.#abortion) return rejectedPromise(this.#abortion.reason);
    if (this.#state === "open") this.#state = "ending";
    return this.#closing ??= markHandled(this.#close());
  }

  async #close() {
    await this.flush();
    try {
      // An abort would otherwise wait for the stream to close.
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#endClosing = resolve;
      await Promise.race([this.#transport.closeWrite(), promise]);
    } catch (error) {
      this.fail({ reason: error });
      throw error;
    }
    if (this.#abortion) throw this.#abortion.reason;
    this.#state = "ended";
    this.#options.onEnd(undefined);
  }

  /** The whole channel has failed: drop what is queued. */
  abort(reason: unknown) {
    this.#abortion = { reason };
    this.#endClosing();
    this.#end(this.#abortion);
  }

  /** Sending has failed, receiving goes on: the peer may have said why. */
  fail(failure: Failure) {
    if (this.#abortion || this.failure) return;
    this.#end(failure);
    this.#options.onEnd(this.failure);
  }

  #end(failure: Failure) {
    this.failure ??= failure;
    this.#state = "ended";
    for (const waiters of [this.#senders, this.#flushes]) {
      for (let waiter; (waiter = waiters.shift()) !== undefined;) {
        rejectHandled(waiter, failure.reason);
      }
    }
  }

  #whyNotOpen(): unknown {
    if (this.#abortion) return this.#abortion.reason;
    if (this.#closing === undefined && this.failure) return this.failure.reason;
    return new TypeError(
      "Cannot send message: the channel is closed for sending",
    );
  }

  /** Queue a frame and return the position that its sender waits for. */
  #enqueue(message: Uint8Array, isCallers: boolean): number {
    const space = message.length + this.#options.encoder.maxOverhead;
    if (space <= BLOCK_LENGTH) {
      const limit = this.#pending.length > 0 ? BLOCK_LENGTH : BATCH_TARGET;
      if (this.#batched + space > limit) this.#sealBatch();
      const start = this.#batched;
      const batch = this.#reserve(start + space);
      this.#batched = this.#options.encoder.encodeInto(message, batch, start);
      this.#queued += this.#batched - start;
    } else if (this.#canReference(space, isCallers)) {
      const parts = this.#options.encoder.encodeParts(message);
      this.#sealBatch();
      for (const bytes of parts) {
        if (bytes.length > 0) this.#pending.push({ bytes, memory: undefined });
        this.#queued += bytes.length;
      }
      return this.#queued;
    } else {
      const memory = this.#transport.reusesMemory
        ? takeMemory(space)
        : new Uint8Array(space);
      const length = this.#options.encoder.encodeInto(message, memory, 0);
      this.#sealBatch();
      this.#pending.push({ bytes: memory.subarray(0, length), memory });
      this.#queued += length;
    }
    return Math.min(
      this.#queued,
      this.#queued - this.#options.highWaterMark + 1,
    );
  }

  /**
   * Two writes cost less than copying (1 to 4 MiB: 1.5 to 1.7 times), but the sender must wait for
   * them: only one that would wait anyway. Streams other than ours may keep what is written to
   * them, and what is borrowed is used again.
   */
  #canReference(space: number, isCallers: boolean): boolean {
    return this.#transport.reusesMemory &&
      (isCallers || !this.#options.serialization.borrows) &&
      this.#queued + space - this.#written >= this.#options.highWaterMark;
  }

  /**
   * See to it that the batch has room up to there. It begins with little: 10,000 channels that
   * send at once took 1.5 GiB where each had a block.
   */
  #reserve(end: number): Uint8Array<ArrayBuffer> {
    const batch = this.#batch;
    if (batch !== undefined && end <= batch.length) return batch;
    const memory = takeMemory(end);
    if (batch !== undefined) {
      memory.set(batch.subarray(0, this.#batched));
      giveMemory(batch);
    }
    return this.#batch = memory;
  }

  /** Let the batch be written as it is. */
  #sealBatch() {
    const memory = this.#batch;
    if (memory === undefined || this.#batched === 0) return;
    if (this.#transport.reusesMemory) {
      this.#pending.push({ bytes: memory.subarray(0, this.#batched), memory });
    } else {
      const bytes = memory.slice(0, this.#batched);
      this.#pending.push({ bytes, memory: undefined });
      giveMemory(memory);
    }
    this.#batch = undefined;
    this.#batched = 0;
  }

  async #pump() {
    this.#isPumping = true;
    try {
      do {
        let queued = -1;
        while (this.#pending.length === 0 && this.#queued > queued) {
          queued = this.#queued;
          // What the sender of the first message does next, JavaScript has to compile: 0.4 ms.
          const turns = this.#written === 0 ? 1 : IDLE_TURNS;
          for (let turn = 0; turn < turns; turn++) await RESOLVED;
        }
        if (this.#state === "ended") break;
        if (this.#pending.length === 0) this.#sealBatch();
        const next = this.#pending.shift();
        if (next === undefined) break;
        let { bytes } = next;
        const end = this.#written + bytes.length;
        for (;;) {
          const written = await this.#transport.write(bytes);
          this.#written += written;
          if (this.#written === end) break;
          bytes = bytes.subarray(written);
        }
        if (next.memory && this.#transport.reusesMemory) {
          giveMemory(next.memory);
        }
        this.#wake(this.#senders);
        this.#wake(this.#flushes);
      } while (this.#written < this.#queued);
      this.#isPumping = false;
    } catch (error) {
      const failure = { reason: error };
      const { peer } = this.#transport;
      this.fail(peer ? await peer.endWriting(failure) : failure);
    }
  }

  #whenWritten(target: number, waiters: Queue<Waiter>): Promise<void> {
    if (target <= this.#written) return RESOLVED;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiters.push({ target, promise, resolve, reject });
    return promise;
  }

  #wake(waiters: Queue<Waiter>) {
    for (
      let waiter = waiters.peek();
      waiter !== undefined && waiter.target <= this.#written;
      waiter = waiters.peek()
    ) waiters.shift()?.resolve();
  }
}
