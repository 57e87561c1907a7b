import { assertStrictEquals } from "@std/assert";
import {
  Channel,
  type DuplexStream,
  type Serialization,
} from "../../channel.ts";

export type Pair = [DuplexStream, DuplexStream];

export const MAX_FRAME_LENGTH = 300 * 1024;

/** Bytes of a message before its pattern: its number, and whether it is bad. */
export const PREFIX_LENGTH = 5;
const BAD = 0xff;

/** The error for a message that cannot be deserialized. */
export class BadMessage extends Error {
  constructor(readonly bytes: Uint8Array) {
    super("Cannot receive message: it is bad");
  }
}

const serialization: Serialization<Uint8Array<ArrayBuffer>> = {
  serialize: (bytes) => bytes,
  deserialize(bytes) {
    if (bytes[PREFIX_LENGTH - 1] === BAD) throw new BadMessage(bytes);
    return bytes;
  },
};

/** A message to send. */
interface Message {
  length: number;
  isBad: boolean;
}

/** The bytes of a message: they tell which one of its sender it is, unless it is empty. */
export function bytesOf(
  { length, isBad }: Message,
  number: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (number + i) % 251;
  if (length === 0) return bytes;
  new DataView(bytes.buffer).setUint32(0, number);
  bytes[PREFIX_LENGTH - 1] = isBad ? BAD : 0;
  return bytes;
}

export function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** The contract for one end of a channel. */
export class EndModel {
  /** The messages that send() has accepted. */
  readonly sent: Message[] = [];
  /** Calls that take a message each, or none. */
  asks = 0;
  /** Whether one of them was of readable. */
  hasRead = false;
  /** Neither closeWrite() nor close() nor abort() has been called. */
  isSending = true;
  /** Neither close() nor abort() nor readable.cancel() has been called. */
  isReceiving = true;
  isAborted = false;

  /** Whether each ask must be answered, with no more done by either end than is. */
  isAnswered(peer: EndModel): boolean {
    return !this.isReceiving || !peer.isSending ||
      peer.sent.length >= this.asks;
  }
}

type Outcome = { value: unknown } | { reason: unknown };

/** A call of a method of a channel. */
interface Call {
  name: string;
  outcome: Promise<Outcome>;
}

/** A call that takes a message. */
interface Ask extends Call {
  /** Its turn among the other asks of this kind is kept. */
  queue: "channel" | "readable";
  controller?: AbortController;
  viewLength?: number;
}

/** A call that ends when all sent before it has been written. */
interface Flush extends Call {
  /** How many messages that is. */
  sent: number;
  isDone: boolean;
}

export const END = Symbol("end");

function outcomeOf(promise: Promise<unknown>): Promise<Outcome> {
  return promise.then((value) => ({ value }), (reason) => ({ reason }));
}

async function valueOf(
  result: Promise<{ done?: boolean; value?: unknown }>,
): Promise<unknown> {
  const { done, value } = await result;
  return done ? END : value;
}

/** One end of a channel, and all that was called on it. */
export class End {
  readonly channel: Channel;
  readonly asks: Ask[] = [];
  readonly sends: (Call & { accepted: boolean; tooLarge: boolean })[] = [];
  readonly flushes: Flush[] = [];
  readonly calls: Call[] = [];
  readonly abortReason = new Error("The end was aborted");
  readonly signalReason = new Error("The receive() was aborted");
  /** The messages that had certainly been written when this end was aborted. */
  writtenAtAbort = 0;
  readonly #iterator: AsyncIterableIterator<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(stream: DuplexStream, highWaterMark: number) {
    this.channel = new Channel(stream, {
      serialization,
      highWaterMark,
      maxFrameLength: MAX_FRAME_LENGTH,
    });
    this.#iterator = this.channel[Symbol.asyncIterator]();
    this.#reader = this.channel.readable.getReader();
  }

  send(model: EndModel, message: Message) {
    const tooLarge = message.length > MAX_FRAME_LENGTH;
    const accepted = model.isSending && !tooLarge;
    const bytes = bytesOf(message, model.sent.length);
    if (accepted) model.sent.push(message);
    const promise = this.channel.send(bytes);
    // They may be reused then.
    const outcome = outcomeOf(promise.then(() => void bytes.fill(0xee)));
    this.sends.push({ name: "send", outcome, accepted, tooLarge });
  }

  ask(model: EndModel, kind: AskKind, viewLength: number) {
    model.asks++;
    switch (kind) {
      case "receive": {
        const outcome = outcomeOf(this.channel.receive());
        this.asks.push({ name: kind, outcome, queue: "channel" });
        break;
      }
      case "abortable": {
        const controller = new AbortController();
        const { signal } = controller;
        const outcome = outcomeOf(this.channel.receive({ signal }));
        this.asks.push({ name: kind, outcome, queue: "channel", controller });
        break;
      }
      case "receiveInto": {
        const view = new Uint8Array(viewLength);
        const outcome = outcomeOf(this.channel.receiveInto(view));
        this.asks.push({ name: kind, outcome, queue: "channel", viewLength });
        break;
      }
      case "next": {
        const outcome = outcomeOf(valueOf(this.#iterator.next()));
        this.asks.push({ name: kind, outcome, queue: "channel" });
        break;
      }
      case "read": {
        model.hasRead = true;
        const outcome = outcomeOf(valueOf(this.#reader.read()));
        this.asks.push({ name: kind, outcome, queue: "readable" });
        break;
      }
    }
  }

  flush(model: EndModel, name: "flush" | "closeWrite" | "close") {
    const promise = this.channel[name]();
    const flush: Flush = {
      name,
      outcome: outcomeOf(promise),
      sent: model.sent.length,
      isDone: false,
    };
    promise.then(() => flush.isDone = true, () => {});
    this.flushes.push(flush);
    if (name === "flush") return;
    model.isSending = false;
    if (name === "closeWrite") return;
    model.isReceiving = false;
    assertStrictEquals(this.channel.close(), promise);
  }

  abort(model: EndModel) {
    if (!model.isAborted) {
      for (const { isDone, sent } of this.flushes) {
        if (isDone) this.writtenAtAbort = Math.max(this.writtenAtAbort, sent);
      }
    }
    model.isAborted = true;
    model.isSending = model.isReceiving = false;
    this.channel.abort(this.abortReason);
  }

  cancel(model: EndModel) {
    model.isReceiving = false;
    this.calls.push({
      name: "cancel",
      outcome: outcomeOf(this.#reader.cancel()),
    });
  }

  signal() {
    for (const { controller } of this.asks) {
      controller?.abort(this.signalReason);
    }
  }

  watch() {
    this.calls.push({
      name: "closed",
      outcome: outcomeOf(this.channel.closed),
    });
  }

  /** Send no more, take what comes, and close. */
  async finish(model: EndModel, turns: number) {
    if (model.isSending) this.flush(model, "closeWrite");
    this.ask(model, "abortable", 0);
    await pause(turns);
    this.signal();
    // Reading `closed` makes the channel read, too.
    for (let turn = 0; turn < 3; turn++) await pause(Infinity);
    let outcome;
    do {
      this.ask(model, "receive", 0);
      outcome = await this.asks.at(-1)!.outcome;
    } while (
      "value" in outcome
        ? outcome.value !== null
        : outcome.reason instanceof BadMessage
    );
    const { isReceiving } = model;
    this.flush(model, "close");
    model.isReceiving = isReceiving;
    this.watch();
    for (
      const call of [
        ...this.asks,
        ...this.sends,
        ...this.flushes,
        ...this.calls,
      ]
    ) await call.outcome;
  }
}

export const ASK_KINDS = [
  "receive",
  "abortable",
  "receiveInto",
  "next",
  "read",
] as const;
type AskKind = typeof ASK_KINDS[number];

export async function pause(turns: number) {
  if (turns === Infinity) await new Promise((resolve) => setTimeout(resolve));
  else for (let turn = 0; turn < turns; turn++) await undefined;
}
