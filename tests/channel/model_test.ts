import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  fail,
} from "@std/assert";
import { equals } from "@std/bytes";
import fc from "fast-check";
import type { DuplexStream } from "../../channel.ts";
import { FrameTooLargeError, TruncatedFrameError } from "../../framing.ts";
import { socketPair } from "../../pair.ts";
import {
  BadMessage,
  bytesOf,
  END,
  End,
  EndModel,
  numberOf,
  type Pair,
} from "./model.ts";
import { anySteps, anyTurns, type Ends, type Models } from "./model_steps.ts";

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
  // Bytes that were written cannot be taken back.
  else if (isSocket) {
    assertLessOrEqual(peerEnd.writtenAtAbort, received.length);
  }
}

/** A pipe that divides its bytes into pieces, one for each pull. */
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
      // A hang is a failure, too: with a time limit fast-check shows the steps.
      { seed: 4, numRuns: 60, timeout: 5_000 },
    );
  });
}
