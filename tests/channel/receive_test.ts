import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { concat } from "@std/bytes";
import { Channel, type DuplexStream, json } from "../../channel.ts";
import {
  FrameEncoderStream,
  lengthField,
  netstring,
  varint,
} from "../../framing.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, B, C, frame, header, numbered, STRINGS } from "./messages.ts";
import {
  idle,
  isPending,
  promptly,
  reasonOf,
  turnOfEventLoop,
} from "./promises.ts";
import { bytePipe, testOver, transformStreams } from "./stream_pairs.ts";

testOver(
  "Channel.receive() resolves to null when the peer closes between frames",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    a.send("taco");
    a.send("cat");
    a.closeWrite();
    assertEquals(await b.receive(), "taco");
    assertEquals(await b.receive(), "cat");
    assertEquals(await b.receive(), null);
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.receive() answers calls in call order",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const received = Promise.all(Array.from({ length: 5 }, () => b.receive()));
    a.send("1");
    a.send("2");
    await a.flush();
    a.send("3");
    a.closeWrite();
    assertEquals(await received, ["1", "2", "3", null, null]);
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.receive() settles in call order", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const order: number[] = [];
  const all = Promise.all([0, 1, 2, 3].map(async (i) => {
    await channel.receive();
    order.push(i);
  }));
  await conn.give(concat([frame(A), frame(B), frame(C).subarray(0, 2)]));
  await conn.give(frame(C).subarray(2));
  await conn.give(null);
  await all;
  assertEquals(order, [0, 1, 2, 3]);
  channel.abort();
});

Deno.test("Channel.receive() that is aborted does not affect calls before and after it", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left, STRINGS);
  const b = new Channel(right, STRINGS);
  const controller = new AbortController();
  const before = b.receive();
  const aborted = b.receive({ signal: controller.signal });
  const behind = [b.receive(), b.receive()];
  controller.abort();
  await assertRejects(() => aborted, DOMException);
  for (const message of ["1", "2", "3"]) a.send(message);
  assertEquals(await promptly(before), "1");
  assertEquals(await promptly(Promise.all(behind)), ["2", "3"]);
  a.abort();
  b.abort();
});

testOver(
  "Channel.receive() that is aborted rejects with the signal's reason and loses nothing",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const reason = new Error("enough");

    const before = b.receive({ signal: AbortSignal.abort(reason) });
    assertStrictEquals(await reasonOf(before), reason);

    const controller = new AbortController();
    const { signal } = controller;
    const first = b.receive();
    const waiting = [b.receive({ signal }), b.receive({ signal })];
    const last = b.receive();
    controller.abort(reason);
    for (const promise of waiting) {
      assertStrictEquals(await reasonOf(promise), reason);
    }
    a.send("1");
    a.send("2");
    a.send("3");
    assertEquals(await first, "1");
    assertEquals(await last, "2");
    // Where a message waits already, too.
    assertStrictEquals(await reasonOf(b.receive({ signal })), reason);
    assertEquals(await b.receive(), "3");
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.receive() forgets its signal", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const b = new Channel(right);
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_type: string, listener: unknown) =>
    void listeners.add(listener);
  signal.removeEventListener = (_type: string, listener: unknown) =>
    void listeners.delete(listener);
  const received = b.receive({ signal });
  assertEquals(listeners.size, 1);
  a.send(A);
  await received;
  await idle();
  assertEquals(listeners.size, 0);
  a.abort();
  b.abort();
});

Deno.test("Channel.receive() removes no listener of a signal that has aborted", async () => {
  const [left, right] = transformStreams();
  const b = new Channel(right);
  const controller = new AbortController();
  const { signal } = controller;
  const removed: unknown[] = [];
  // Each call searches all listeners: together they would take quadratic time.
  signal.removeEventListener = (_type: string, listener: unknown) =>
    void removed.push(listener);
  const received = Array.from({ length: 10 }, () => b.receive({ signal }));
  controller.abort();
  for (const each of received) await assertRejects(() => each, DOMException);
  assertEquals(removed, []);
  b.abort();
  new Channel(left).abort();
});

/** Byte streams that end without an answer to a pending BYOB read. */
const CLOSED_SOURCES: Record<string, () => ReadableStream<Uint8Array>> = {
  "closes in pull()"() {
    const chunks = [frame(A)];
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk) controller.enqueue(chunk);
        else controller.close();
      },
    });
  },
  "closes while a read is pending"() {
    const read = Promise.withResolvers<void>();
    return new ReadableStream({
      type: "bytes",
      start: (controller) => controller.enqueue(frame(A)),
      async pull(controller) {
        // Not part of pull(), as in a source that pushes.
        read.promise.then(() => controller.close());
        await turnOfEventLoop();
        read.resolve();
      },
    });
  },
  "is a Node stream"() {
    const source = Readable.from([Buffer.from(frame(A))]);
    // The types of node:stream lack `type`.
    const options = { strategy: undefined, type: "bytes" };
    return Readable.toWeb(source, options);
  },
};

for (const [name, makeReadable] of Object.entries(CLOSED_SOURCES)) {
  Deno.test(`Channel finds the end of a byte stream that ${name}`, async () => {
    for (const way of ["receive", "iterate", "watch"] as const) {
      const channel = new Channel({
        readable: makeReadable(),
        writable: new WritableStream(),
      });
      channel.closeWrite();
      if (way === "iterate") {
        assertEquals(await Array.fromAsync(channel), [A]);
      } else {
        assertEquals(await channel.receive(), A);
        if (way === "receive") assertEquals(await channel.receive(), null);
      }
      await channel.closed;
    }
  });
}

/** A stream of which the test says what it gives, and when. */
interface Source {
  stream: DuplexStream;
  give(bytes: Uint8Array): Promise<void>;
}

function sourceOf({ readable, writable }: DuplexStream): Source {
  const writer = writable.getWriter();
  return {
    stream: { readable, writable: new WritableStream() },
    give: (bytes) => writer.write(bytes.slice()),
  };
}

const SOURCES: Record<string, () => Source> = {
  "a Deno.Conn"() {
    const conn = new FakeConn();
    return { stream: conn, give: (bytes) => conn.give(bytes) };
  },
  "a transform stream": () => sourceOf(new TransformStream()),
  "a byte stream": () => sourceOf(bytePipe()),
};

for (const [sourceName, makeSource] of Object.entries(SOURCES)) {
  for (
    const [where, framing, length, cuts] of [
      ["a header of lengthField()", lengthField(), 300, [2]],
      ["a header of varint()", varint(), 300, [1]],
      ["a header of netstring()", netstring(), 300, [3]],
      ["a small message", lengthField(), 300, [10]],
      ["a large message", lengthField(), 100_000, [50_000]],
      ["a large message, twice", lengthField(), 100_000, [4, 90_000]],
      ["a trailer of netstring()", netstring(), 300, [304]],
      ["a trailer of netstring(), twice", netstring(), 100_000, [9, 100_007]],
    ] as const
  ) {
    for (const kind of ["receive", "receiveInto"] as const) {
      Deno.test(`Channel.${kind}() continues where an aborted receive() stopped, inside ${where}, over ${sourceName}`, async () => {
        const message = numbered(length);
        const bytes = concat(
          await Array.fromAsync(
            ReadableStream.from([message, A])
              .pipeThrough(new FrameEncoderStream({ framing })),
          ),
        );
        const { stream, give } = makeSource();
        const channel = new Channel(stream, { framing });
        let at = 0;
        for (const cut of cuts) {
          const controller = new AbortController();
          const aborted = channel.receive({ signal: controller.signal });
          await give(bytes.subarray(at, cut));
          at = cut;
          // The read that follows is under way then.
          await idle();
          controller.abort();
          await assertRejects(() => aborted, DOMException);
        }
        const received = kind === "receive"
          ? channel.receive()
          : channel.receiveInto(new Uint8Array(200_000));
        assert(await isPending(received));
        const given = give(bytes.subarray(at));
        assertEquals(await received, message);
        assertEquals(await channel.receive(), A);
        await given;
        channel.abort();
      });
    }
  }
}

for (const end of ["closes", "resets"] as const) {
  Deno.test(`Channel.receive() gets a message that arrived after another call was aborted and before the peer ${end}, while closed is watched`, async () => {
    const conn = new FakeConn();
    const channel = new Channel(conn);
    const { closed } = channel;
    const message = numbered(100_000);
    const controller = new AbortController();
    const aborted = channel.receive({ signal: controller.signal });
    await conn.give(header(message.length));
    await idle();
    controller.abort();
    await assertRejects(() => aborted, DOMException);
    await conn.give(message);
    await idle();
    const received = channel.receive();
    if (end === "closes") await conn.give(null);
    else (await conn.reads.next()).reject(new Deno.errors.ConnectionReset());
    assertEquals(await received, message);
    if (end === "closes") {
      assertEquals(await channel.receive(), null);
    } else {
      await assertRejects(() => channel.receive(), Deno.errors.ConnectionReset);
      await assertRejects(() => closed, Deno.errors.ConnectionReset);
    }
    channel.abort();
  });
}

testOver(
  "Channel delivers a message that is null, by iterator and readable",
  async (left, right) => {
    const serialization = json<number | null>();
    const a = new Channel(left, { serialization });
    const b = new Channel(right, { serialization });
    for (const message of [null, 1, null, null, 2, null]) a.send(message);
    a.closeWrite();
    assertEquals(await b.receive(), null);
    assertEquals(await b.receive(), 1);
    const iterated = [];
    for await (const message of b) {
      iterated.push(message);
      if (iterated.length === 2) break;
    }
    assertEquals(iterated, [null, null]);
    assertEquals(await Array.fromAsync(b.readable), [2, null]);
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel hands out messages with an ArrayBuffer of their own",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    for (const length of [0, 1, 5_000, 100_000]) {
      a.send(numbered(length));
      a.send(numbered(length));
      const message = await b.receive();
      assert(message);
      assertEquals(message.buffer.byteLength, length);
      assertInstanceOf(message.buffer, ArrayBuffer);
      structuredClone(message, { transfer: [message.buffer] });
      assertEquals(await b.receive(), numbered(length));
    }
    a.abort();
    b.abort();
  },
);
