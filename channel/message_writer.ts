import type { FrameEncoder } from "../framing/encoder.ts";
import { checkInteger, maxFrameLengthOf } from "../framing/errors.ts";
import { BLOCK_LENGTH, giveMemory, takeMemory } from "../framing/memory.ts";
import {
  type Failure,
  type Linked,
  List,
  markHandled,
  rejectedPromise,
  rejectHandled,
} from "./waiters.ts";
import type { Transport } from "./transports.ts";
import type {
  AnySerialization,
  ChannelOptions,
  Serialization,
} from "./types.ts";

/**
 * Flush the batch at this size if no write is queued ahead of it, so that the peer can start
 * reading.
 */
const BATCH_TARGET = 64 * 1024;

/**
 * After a write, wait for this many microtask turns without a new message before writing again.
 * A loop of `await channel.send()` sends a message each turn, a web stream one in a few turns,
 * so both fill whole batches.
 */
const IDLE_TURNS = 4;

const RESOLVED = Promise.resolve();

/** Default of `ChannelOptions.highWaterMark`: 256 KiB. */
const DEFAULT_HIGH_WATER_MARK = 256 * 1024;

/** Check `highWaterMark` and apply its default. */
export function highWaterMarkOf(
  { highWaterMark = DEFAULT_HIGH_WATER_MARK }: ChannelOptions<AnySerialization>,
): number {
  return checkInteger("highWaterMark", highWaterMark);
}

/** Check the limits of a channel that will be created later. */
export function checkLimits(options: ChannelOptions<AnySerialization>) {
  highWaterMarkOf(options);
  maxFrameLengthOf(options);
}

/** Bytes to write. Positions count bytes, including headers, since the channel began. */
interface PendingWrite extends Linked<PendingWrite> {
  readonly bytes: Uint8Array;
  readonly length: number;
  /** The position after the last byte. */
  readonly end: number;
  /** The pooled memory that holds the bytes, if any. */
  readonly memory: Uint8Array<ArrayBuffer> | undefined;
}

/** A caller that waits until everything before `target` is written. */
interface Waiter extends PromiseWithResolvers<void>, Linked<Waiter> {
  readonly target: number;
}

interface MessageWriterOptions<Out> {
  readonly serialization: Serialization<unknown, Out>;
  readonly encoder: FrameEncoder;
  readonly highWaterMark: number;
  /** Called when sending has ended, or a write has failed: receiving continues. */
  onEnd(failure: Failure | undefined): void;
  /** Called when the whole channel must fail. */
  failChannel(reason: unknown): void;
}

/**
 * The sending half of a channel. Messages are framed into a batch. Full batches, and messages
 * too large for one, wait in a queue; the batch is written when the queue is empty.
 *
 * The state is open; then ending, when no more messages may be sent; then ended, when the
 * transport is closed for writing or a write has failed.
 */
export class MessageWriter<Out> {
  /** Why sending failed, if it did. */
  sendFailure: Failure | undefined;
  readonly #transport: Transport;
  readonly #options: MessageWriterOptions<Out>;

  #state: "open" | "ending" | "ended" = "open";
  /** Why the whole channel failed, if it did. */
  #channelFailure: Failure | undefined;
  #closing: Promise<void> | undefined;

  #queued = 0;
  #written = 0;
  #batch: Uint8Array<ArrayBuffer> | undefined;
  #batched = 0;
  readonly #pending = new List<PendingWrite>();
  readonly #senders = new List<Waiter>();
  readonly #flushes = new List<Waiter>();

  /** Whether a write is pending, or about to start. */
  #isWriting = false;
  #current: PendingWrite | undefined;
  /** Turns to wait before the next write, and the position up to which they were counted. */
  #turns = 0;
  #maxTurns = 0;
  #counted = 0;

  /** Ends the wait for the transport to close. */
  #endClosing = () => {};

  constructor(transport: Transport, options: MessageWriterOptions<Out>) {
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
          "Cannot send message: its serialization did not return a Uint8Array",
        );
      }
      // serialize() may have closed the channel.
      if (this.#state !== "open") throw this.#whyNotOpen();
      // If serialize() returned the message itself, its sender keeps it unchanged for now.
      target = this.#enqueue(bytes, Object.is(bytes, message));
    } catch (error) {
      return rejectedPromise(error);
    }
    // Sent alone, a message is written after one turn, before its sender tries to receive.
    if (!this.#isWriting) this.#writeAfter(1);
    return this.#whenWritten(target, this.#senders);
  }

  flush(): Promise<void> {
    const failure = this.#channelFailure ?? this.sendFailure;
    if (failure) return rejectedPromise(failure.reason);
    return this.#whenWritten(this.#queued, this.#flushes);
  }

  /** Write everything queued, then close the transport for writing. */
  close(): Promise<void> {
    if (this.#channelFailure) {
      return rejectedPromise(this.#channelFailure.reason);
    }
    if (this.#state === "open") this.#state = "ending";
    return this.#closing ??= markHandled(this.#close());
  }

  async #close() {
    await this.flush();
    try {
      // Otherwise abort() would have to wait for the stream to close.
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#endClosing = resolve;
      await Promise.race([this.#transport.closeWrite(), promise]);
    } catch (error) {
      this.failSending({ reason: error });
      throw error;
    }
    if (this.#channelFailure) throw this.#channelFailure.reason;
    this.#state = "ended";
    this.#options.onEnd(undefined);
  }

  /** The whole channel has failed: drop what is queued. */
  abort(reason: unknown) {
    this.#channelFailure = { reason };
    this.#endClosing();
    this.#end(this.#channelFailure);
  }

  /** Fail sending only: the peer may have sent the cause. */
  failSending(failure: Failure) {
    if (this.#channelFailure || this.sendFailure) return;
    this.#end(failure);
    this.#options.onEnd(this.sendFailure);
  }

  readonly #onWriteError = async (error: unknown) => {
    const failure = { reason: error };
    const { peer } = this.#transport;
    this.failSending(peer ? await peer.endWriting(failure) : failure);
  };

  #end(failure: Failure) {
    this.sendFailure ??= failure;
    this.#state = "ended";
    for (const waiters of [this.#senders, this.#flushes]) {
      for (let waiter; (waiter = waiters.shift()) !== undefined;) {
        rejectHandled(waiter, failure.reason);
      }
    }
  }

  #whyNotOpen(): unknown {
    if (this.#channelFailure) return this.#channelFailure.reason;
    if (this.#closing === undefined && this.sendFailure) {
      return this.sendFailure.reason;
    }
    return new TypeError(
      "Cannot send message: the channel is closed for sending",
    );
  }

  /** Queue a frame and return the position that its sender waits for. */
  #enqueue(message: Uint8Array, isCallers: boolean): number {
    const { encoder, highWaterMark } = this.#options;
    const space = message.length + encoder.maxOverhead;
    if (space <= BLOCK_LENGTH) {
      const limit = this.#pending.first ? BLOCK_LENGTH : BATCH_TARGET;
      if (this.#batched + space > limit) this.#sealBatch();
      const start = this.#batched;
      const batch = this.#reserve(start + space);
      this.#batched = encoder.encodeInto(message, batch, start);
      this.#queued += this.#batched - start;
    } else if (this.#canReference(space, isCallers)) {
      const parts = encoder.encodeParts(message);
      this.#sealBatch();
      for (const bytes of parts) {
        this.#queued += bytes.length;
        if (bytes.length > 0) this.#push(bytes);
      }
      return this.#queued;
    } else {
      const memory = this.#transport.reusesMemory
        ? takeMemory(space)
        : new Uint8Array(space);
      const length = encoder.encodeInto(message, memory, 0);
      this.#sealBatch();
      this.#queued += length;
      this.#push(memory.subarray(0, length), memory);
    }
    // Then fewer than highWaterMark bytes are queued; with a mark of 0, none.
    return Math.min(this.#queued, this.#queued - highWaterMark + 1);
  }

  /**
   * Writing header and message separately is faster than copying (1.5 to 1.7 times at 1 to
   * 4 MiB). Only for messages whose sender has to wait anyway, and only where neither the
   * transport nor the serialization keeps the buffer.
   */
  #canReference(space: number, isCallers: boolean): boolean {
    return this.#transport.reusesMemory &&
      (isCallers || !this.#options.serialization.borrows) &&
      this.#queued + space - this.#written >= this.#options.highWaterMark;
  }

  /**
   * Grow the batch to at least `end` bytes. It starts small: 10,000 channels with a block each
   * took 1.5 GiB.
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

  /** Queue the batch for writing as it is. */
  #sealBatch() {
    const memory = this.#batch;
    if (memory === undefined || this.#batched === 0) return;
    if (this.#transport.reusesMemory) {
      this.#push(memory.subarray(0, this.#batched), memory);
    } else {
      this.#push(memory.slice(0, this.#batched));
      giveMemory(memory);
    }
    this.#batch = undefined;
    this.#batched = 0;
  }

  #push(bytes: Uint8Array, memory?: Uint8Array<ArrayBuffer>) {
    const { length } = bytes;
    this.#pending.push({ bytes, length, end: this.#queued, memory });
  }

  // No async functions here, and no closures: this code runs for every message.

  /** Write once no message was sent for so many turns, or a batch is full. */
  #writeAfter(turns: number) {
    this.#isWriting = true;
    this.#turns = this.#maxTurns = turns;
    this.#counted = this.#queued;
    RESOLVED.then(this.#onTurn);
  }

  readonly #onTurn = () => {
    if (this.#state === "ended") return;
    if (this.#pending.first === undefined) {
      if (this.#queued > this.#counted) {
        this.#turns = this.#maxTurns;
        this.#counted = this.#queued;
      } else this.#turns--;
      if (this.#turns > 0) return void RESOLVED.then(this.#onTurn);
      this.#sealBatch();
    }
    this.#writeNext();
  };

  #writeNext() {
    this.#current = this.#pending.shift();
    this.#write();
  }

  #write() {
    const { bytes, length, end } = this.#current!;
    // A message that is not copied is in a buffer of its sender.
    if (bytes.length !== length) {
      return this.#options.failChannel(
        new TypeError(
          "Cannot send message: its buffer was transferred or resized before send() resolved",
        ),
      );
    }
    const missing = end - this.#written;
    const rest = missing < length ? bytes.subarray(length - missing) : bytes;
    try {
      this.#transport.write(rest).then(this.#onWritten, this.#onWriteError);
    } catch (error) {
      void this.#onWriteError(error);
    }
  }

  readonly #onWritten = (written: number) => {
    this.#written += written;
    if (this.#state === "ended") return;
    const { end, memory } = this.#current!;
    if (this.#written < end) return this.#write();
    if (memory && this.#transport.reusesMemory) giveMemory(memory);
    this.#wake(this.#senders);
    this.#wake(this.#flushes);
    if (this.#pending.first) return this.#writeNext();
    this.#current = undefined;
    if (this.#written < this.#queued) this.#writeAfter(IDLE_TURNS);
    else this.#isWriting = false;
  };

  #whenWritten(target: number, waiters: List<Waiter>): Promise<void> {
    if (target <= this.#written) return RESOLVED;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiters.push({ target, promise, resolve, reject });
    return promise;
  }

  #wake(waiters: List<Waiter>) {
    for (
      let waiter = waiters.first;
      waiter !== undefined && waiter.target <= this.#written;
      waiter = waiters.first
    ) {
      waiters.remove(waiter);
      waiter.resolve();
    }
  }
}
