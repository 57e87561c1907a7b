import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertStrictEquals,
  fail,
} from "@std/assert";
import { equals } from "@std/bytes";
import fc from "fast-check";
import { Channel, type DuplexStream } from "../channel.ts";
import { FrameTooLargeError, TruncatedFrameError } from "../framing.ts";
import { socketPair } from "../pair.ts";

type Pair = [DuplexStream, DuplexStream];

const MAX_FRAME_LENGTH = 300 * 1024;

/** Bytes of a message before its pattern: its number, and whether it is bad. */
const PREFIX_LENGTH = 5;
const BAD = 0xff;

/** What is thrown for a message that cannot be deserialized. */
class BadMessage extends Error {
  constructor(readonly bytes: Uint8Array) {
    super("Cannot receive message: it is bad");
  }
}

const serialization = {
  serialize: (bytes: Uint8Array) => bytes,
  deserialize(bytes: Uint8Array) {
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
function bytesOf({ length, isBad }: Message, number: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (number + i) % 251;
  if (length === 0) return bytes;
  new DataView(bytes.buffer).setUint32(0, number);
  bytes[PREFIX_LENGTH - 1] = isBad ? BAD : 0;
  return bytes;
}

function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** What the contract says about one end of a channel. */
class EndModel {
  /** What send() has accepted. */
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

const END = Symbol("end");

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
class End {
  readonly channel: Channel;
  readonly asks: Ask[] = [];
  readonly sends: (Call & { accepted: boolean; tooLarge: boolean })[] = [];
  readonly flushes: Flush[] = [];
  readonly calls: Call[] = [];
  readonly abortReason = new Error("The end was aborted");
  readonly signalReason = new Error("The receive() was aborted");
  /** What had been written for sure when this end was aborted. */
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
    // Whoever looks at closed reads meanwhile.
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

const ASK_KINDS = [
  "receive",
  "abortable",
  "receiveInto",
  "next",
  "read",
] as const;
type AskKind = typeof ASK_KINDS[number];

type Models = [EndModel, EndModel];
type Ends = [End, End];

/** Something to do at one of the ends. */
class Step implements fc.AsyncCommand<Models, Ends> {
  readonly #name: string;
  readonly #side: 0 | 1;
  readonly #run: (
    end: End,
    model: EndModel,
    peer: EndModel,
  ) => void | Promise<void>;
  readonly #isPossible: (model: EndModel, peer: EndModel) => boolean;

  constructor(
    name: string,
    side: 0 | 1,
    run: (end: End, model: EndModel, peer: EndModel) => void | Promise<void>,
    isPossible: (model: EndModel, peer: EndModel) => boolean = () => true,
  ) {
    this.#name = name;
    this.#side = side;
    this.#run = run;
    this.#isPossible = isPossible;
  }

  check(models: Readonly<Models>): boolean {
    return this.#isPossible(models[this.#side], models[1 - this.#side]!);
  }

  async run(models: Models, ends: Ends): Promise<void> {
    const side = this.#side;
    await this.#run(ends[side], models[side], models[1 - side]!);
  }

  toString(): string {
    return `${"ab"[this.#side]}.${this.#name}`;
  }
}

async function pause(turns: number) {
  if (turns === Infinity) await new Promise((resolve) => setTimeout(resolve));
  else for (let turn = 0; turn < turns; turn++) await undefined;
}

const anySide = fc.constantFrom<0 | 1>(0, 1);

const anyLength = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: PREFIX_LENGTH, max: 100 }) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: PREFIX_LENGTH, max: 70_000 }) },
  // Where batches end.
  {
    weight: 1,
    arbitrary: fc.constantFrom(65_531, 65_532, 65_533, 263_164, 263_165),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: PREFIX_LENGTH, max: MAX_FRAME_LENGTH }),
  },
  { weight: 1, arbitrary: fc.constant(MAX_FRAME_LENGTH + 1) },
);

const anySend = fc.tuple(anySide, anyLength, fc.nat(9)).map(
  ([side, length, bad]) => {
    const isBad = bad === 0 && length > 0;
    return new Step(
      `send(${length}${isBad ? ", bad" : ""})`,
      side,
      (end, model) => end.send(model, { length, isBad }),
    );
  },
);

const anyAsk = fc.tuple(
  anySide,
  fc.constantFrom(...ASK_KINDS),
  fc.constantFrom(0, 50, 70_000, MAX_FRAME_LENGTH),
).map(([side, kind, viewLength]) =>
  new Step(
    kind === "receiveInto" ? `receiveInto(${viewLength})` : kind,
    side,
    (end, model) => end.ask(model, kind, viewLength),
  )
);

/** Turns of the microtask queue, or one of the event loop. */
const anyTurns = fc.oneof(
  { weight: 4, arbitrary: fc.nat(40) },
  { weight: 2, arbitrary: fc.nat(300) },
  { weight: 2, arbitrary: fc.constant(Infinity) },
);

const anyPause = anyTurns.map((turns) =>
  new Step(`pause(${turns})`, 0, () => pause(turns))
);

const anySignal = anySide.map((side) =>
  new Step("signal", side, (end) => end.signal())
);

/** The wait for a message is given up when it has perhaps come in part. */
const anyChange = fc.tuple(
  anySide,
  anyTurns,
  fc.constantFrom(undefined, ...ASK_KINDS),
).map(([side, turns, kind]) =>
  new Step(
    `abortable, pause(${turns}), signal, ${kind}`,
    side,
    async (end, model) => {
      end.ask(model, "abortable", 0);
      await pause(turns);
      end.signal();
      if (kind) end.ask(model, kind, MAX_FRAME_LENGTH);
    },
  )
);

const anyAnswer = anySide.map((side) =>
  new Step(
    "answered",
    side,
    async (end) => {
      for (const { outcome } of end.asks) await outcome;
    },
    (model, peer) => model.isAnswered(peer),
  )
);

const anyFlush = anySide.map((side) =>
  new Step("flush", side, (end, model) => end.flush(model, "flush"))
);

const anyEnd = fc.oneof(
  fc.tuple(
    anySide,
    fc.constantFrom("closeWrite" as const, "close" as const),
  ).map(([side, name]) =>
    new Step(name, side, (end, model) => end.flush(model, name))
  ),
  anySide.map((side) =>
    new Step("abort", side, (end, model) => end.abort(model))
  ),
  anySide.map((side) =>
    new Step(
      "cancel",
      side,
      (end, model) => end.cancel(model),
      // A web stream that has failed, as by a bad message, cannot be cancelled.
      (model, peer) => !model.hasRead || !peer.sent.some(({ isBad }) => isBad),
    )
  ),
);

const anySteps = fc.commands([
  fc.oneof(
    { weight: 36, arbitrary: anySend },
    { weight: 30, arbitrary: anyAsk },
    { weight: 15, arbitrary: anyChange },
    { weight: 6, arbitrary: anySignal },
    { weight: 15, arbitrary: anyPause },
    { weight: 9, arbitrary: anyAnswer },
    { weight: 6, arbitrary: anyFlush },
    { weight: 2, arbitrary: anyEnd },
  ),
], { maxCommands: 60, size: "max" });

/** Whether what the system, or the peer's streams, said of a broken connection is right here. */
function mayBreak(model: EndModel, peer: EndModel): boolean {
  return !peer.isReceiving || model.isAborted;
}

async function checkEnd(
  end: End,
  model: EndModel,
  peer: EndModel,
) {
  for (const { outcome, accepted, tooLarge } of end.sends) {
    const result = await outcome;
    if ("value" in result) {
      assert(accepted);
    } else if (mayBreak(model, peer)) {
      continue;
    } else if (tooLarge && model.sent.length > 0) {
      assert(
        result.reason instanceof FrameTooLargeError ||
          result.reason instanceof TypeError,
      );
    } else if (!tooLarge) {
      assert(!accepted, `send() rejects: ${result.reason}`);
      assertInstanceOf(result.reason, TypeError);
    }
  }
  for (const { name, outcome } of [...end.flushes, ...end.calls]) {
    const result = await outcome;
    if ("value" in result || mayBreak(model, peer)) continue;
    fail(`${name}() rejects: ${result.reason}`);
  }
}

/** Check what was received against what the peer sent. */
async function checkReceived(
  end: End,
  model: EndModel,
  peerEnd: End,
  peer: EndModel,
  isSocket: boolean,
) {
  const received: Uint8Array[] = [];
  const last = { channel: -1, readable: -1 };
  const isOver = { channel: false, readable: false };
  const seen = new Set<unknown>();
  for (const ask of end.asks) {
    const { name, queue } = ask;
    const result = await ask.outcome;
    let bytes: Uint8Array;
    if ("reason" in result) {
      const { reason } = result;
      // A stream that has failed says so again.
      if (queue === "readable" && seen.has(reason)) continue;
      seen.add(reason);
      if (ask.controller && reason === end.signalReason) continue;
      if (reason instanceof BadMessage) {
        bytes = reason.bytes;
      } else if (
        ask.viewLength !== undefined && reason instanceof FrameTooLargeError
      ) {
        assertLessOrEqual(ask.viewLength + 1, reason.length);
        continue;
      } else {
        if (reason === end.abortReason) assert(model.isAborted);
        else if (reason instanceof TruncatedFrameError) assert(peer.isAborted);
        else assert(mayBreak(model, peer), `${name}() rejects: ${reason}`);
        isOver[queue] = true;
        continue;
      }
    } else if (result.value === null || result.value === END) {
      isOver[queue] = true;
      continue;
    } else {
      assertInstanceOf(result.value, Uint8Array);
      bytes = result.value;
    }
    assert(!isOver[queue], `${name}() gives a message after the end`);
    received.push(bytes);
    if (bytes.length === 0) continue;
    const number = numberOf(bytes);
    const message = peer.sent[number];
    assert(message, `${name}() gives a message that was not sent`);
    assert(
      equals(bytes, bytesOf(message, number)),
      `${name}() gives other bytes than were sent in message ${number}`,
    );
    assert(
      number > last[queue],
      `${name}() gives message ${number} after ${last[queue]}`,
    );
    last[queue] = number;
  }

  // The first ones, each once. An empty message has no number.
  const expected = peer.sent.slice(0, received.length);
  assertEquals(
    received.filter(({ length }) => length > 0).map(numberOf)
      .toSorted((a, b) => a - b),
    [...expected.keys()].filter((number) => expected[number]!.length > 0),
  );
  if (!model.isReceiving) return;
  if (!peer.isAborted) assertEquals(received.length, peer.sent.length);
  // What has been written cannot be taken back from the system.
  else if (isSocket) {
    assertLessOrEqual(peerEnd.writtenAtAbort, received.length);
  }
}

/** A pipe that gives what is written to it in pieces, one for each pull. */
function pipe(type: "bytes" | "default", lengthOfPiece: () => number) {
  let source:
    | ReadableByteStreamController
    | ReadableStreamDefaultController<Uint8Array>;
  let sink: WritableStreamDefaultController;
  let wanted = Promise.withResolvers<void>();
  const pull = () => wanted.resolve();
  const cancel = (reason: unknown) => {
    sink.error(reason);
    wanted.resolve();
  };
  const readable: ReadableStream<Uint8Array> = type === "bytes"
    ? new ReadableStream({
      type,
      start: (controller) => void (source = controller),
      pull,
      cancel,
    })
    : new ReadableStream({
      start: (controller) => void (source = controller),
      pull,
      cancel,
    }, { highWaterMark: 0 });
  const writable = new WritableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      sink = controller;
      sink.signal.addEventListener("abort", () => {
        source.error(sink.signal.reason);
        wanted.resolve();
      });
    },
    async write(chunk) {
      for (let at = 0; at < chunk.length;) {
        await wanted.promise;
        sink.signal.throwIfAborted();
        wanted = Promise.withResolvers();
        const length = lengthOfPiece();
        const isWhole = at === 0 && length >= chunk.length;
        const piece = isWhole ? chunk : chunk.slice(at, at + length);
        at += piece.length;
        // Bytes are transferred by this.
        source.enqueue(piece);
      }
    },
    close() {
      source.close();
      if ("byobRequest" in source) source.byobRequest?.respond(0);
    },
  });
  return { readable, writable };
}

/** Lengths that look random: a quarter is tiny. */
function lengths(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return 1 + (state >>> 8) % (state < 2 ** 30 ? 7 : 50_000);
  };
}

function pipes(type: "bytes" | "default", seed: number): Pair {
  const there = pipe(type, lengths(seed));
  const back = pipe(type, lengths(seed + 1));
  return [
    { readable: back.readable, writable: there.writable },
    { readable: there.readable, writable: back.writable },
  ];
}

/** A connection that reads and writes less at once than it could. */
function inPieces(conn: Deno.Conn, seed: number): DuplexStream {
  const readLength = lengths(seed);
  const writeLength = lengths(seed + 1);
  return {
    get readable() {
      return conn.readable;
    },
    get writable() {
      return conn.writable;
    },
    ...{
      read: (buffer: Uint8Array) => conn.read(buffer.subarray(0, readLength())),
      write: (bytes: Uint8Array) =>
        conn.write(bytes.subarray(0, writeLength())),
      closeWrite: () => conn.closeWrite(),
      close: () => conn.close(),
    },
  };
}

const TRANSPORTS: Record<string, (seed: number) => Pair | Promise<Pair>> = {
  "a Unix socket": () => socketPair(),
  "a Unix socket, in pieces": async (seed) => {
    const [left, right] = await socketPair();
    return [inPieces(left, seed), inPieces(right, seed + 2)];
  },
  "byte streams": (seed) => pipes("bytes", seed),
  "default streams": (seed) => pipes("default", seed),
};

for (const [transport, connect] of Object.entries(TRANSPORTS)) {
  Deno.test(`Channel loses nothing, doubles nothing and keeps the order in any schedule, over ${transport}`, async () => {
    await fc.assert(
      fc.asyncProperty(
        anySteps,
        fc.constantFrom(0, 1000, 256 * 1024),
        fc.boolean(),
        anyTurns,
        fc.nat(),
        async (steps, highWaterMark, isWatched, turns, seed) => {
          const [left, right] = await connect(seed);
          const a = new End(left, highWaterMark);
          const b = new End(right, highWaterMark);
          const models: Models = [new EndModel(), new EndModel()];
          const ends: Ends = [a, b];
          if (isWatched) { for (const end of ends) end.watch(); }
          await fc.asyncModelRun(() => ({ model: models, real: ends }), steps);
          const [modelA, modelB] = models;
          await Promise.all([a.finish(modelA, turns), b.finish(modelB, turns)]);
          await checkEnd(a, modelA, modelB);
          await checkEnd(b, modelB, modelA);
          const isSocket = "read" in left;
          await checkReceived(a, modelA, b, modelB, isSocket);
          await checkReceived(b, modelB, a, modelA, isSocket);
        },
      ),
      // What hangs is a failure too: with a limit it tells by which steps.
      { seed: 4, numRuns: 60, timeout: 5_000 },
    );
  });
}
