import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { Channel, json } from "../../channel.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, STRINGS } from "./messages.ts";
import {
  idle,
  isPending,
  promptly,
  reasonOf,
  turnOfEventLoop,
} from "./promises.ts";
import { testOver, transformStreams } from "./stream_pairs.ts";

testOver(
  "Channel.readable and writable work with pipeThrough() and pipeTo()",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const upper = new TransformStream<string, string>({
      transform: (message, controller) =>
        controller.enqueue(message.toUpperCase()),
    });
    const messages = Array.from({ length: 100 }, (_, i) => `message ${i}`);
    const [received] = await Promise.all([
      Array.fromAsync(a),
      ReadableStream.from(messages).pipeTo(a.writable),
      b.readable.pipeThrough(upper).pipeTo(b.writable),
    ]);
    assertEquals(received, messages.map((message) => message.toUpperCase()));
    await Promise.all([a.closed, b.closed]);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel mixes receive(), iteration and readable without loss",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const messages = Array.from({ length: 60 }, (_, i) => `${i}`);
    for (const message of messages) a.send(message);
    a.closeWrite();
    assertStrictEquals(b.readable, b.readable);
    const received: (string | null | undefined)[] = [];
    for (let i = 0; i < 10; i++) {
      received.push(await b.receive());
      for await (const message of b) {
        received.push(message);
        break;
      }
      const reader = b.readable.getReader();
      received.push((await reader.read()).value);
      reader.releaseLock();
      for await (const message of b.readable.values({ preventCancel: true })) {
        received.push(message);
        break;
      }
      const into = await b.receiveInto(new Uint8Array(2));
      received.push(into && new TextDecoder().decode(into));
      received.push(await b.receive());
    }
    assertEquals(received, messages);
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.readable takes a message only for a pending read",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const reader = b.readable.getReader();
    a.send("1");
    a.send("2");
    assertEquals(await b.receive(), "1");
    assertEquals(await reader.read(), { value: "2", done: false });
    a.send("3");
    assertEquals(await b.receive(), "3");
    a.abort();
    b.abort();
  },
);

/** Ways to give up a read of a stream, without cancelling it. */
const GIVE_UP: Record<
  string,
  (readable: ReadableStream<unknown>) => Promise<unknown>
> = {
  async "releaseLock()"(readable) {
    const reader = readable.getReader();
    const read = reader.read().catch(() => {});
    await idle();
    reader.releaseLock();
    await read;
  },
  async "an aborted pipe"(readable) {
    const controller = new AbortController();
    const piped = readable.pipeTo(new WritableStream(), {
      signal: controller.signal,
      preventCancel: true,
    });
    await idle();
    controller.abort();
    await assertRejects(() => piped);
  },
  async "a pipe whose destination failed"(readable) {
    let destination: WritableStreamDefaultController;
    const piped = readable.pipeTo(
      new WritableStream({ start: (c) => void (destination = c) }),
      { preventCancel: true },
    );
    await idle();
    destination!.error(new Error("The disk is full"));
    await assertRejects(() => piped, Error, "The disk is full");
  },
};

for (const [name, giveUp] of Object.entries(GIVE_UP)) {
  testOver(
    `Channel.readable takes no message after ${name}`,
    async (left, right) => {
      const a = new Channel(left, STRINGS);
      const b = new Channel(right, STRINGS);
      // Messages that arrive before anything else is requested stay for receive().
      await giveUp(b.readable);
      a.send("1");
      await a.flush();
      await turnOfEventLoop();
      assertEquals(await b.receive(), "1");

      // A later receive(), and a later reader, are served in the order of their requests.
      await giveUp(b.readable);
      const received = b.receive();
      const reader = b.readable.getReader();
      const read = reader.read();
      for (const message of ["2", "3", "4", "5"]) a.send(message);
      a.closeWrite();
      assertEquals(await received, "2");
      assertEquals(await read, { value: "3", done: false });
      reader.releaseLock();
      assertEquals(await Array.fromAsync(b), ["4", "5"]);
      a.abort();
      b.abort();
    },
  );

  testOver(
    `Channel.readable gives the next reader the next message after ${name}`,
    async (left, right) => {
      const a = new Channel(left, STRINGS);
      const b = new Channel(right, STRINGS);
      await giveUp(b.readable);
      const reading = Array.fromAsync(b.readable);
      for (const message of ["1", "2"]) a.send(message);
      a.closeWrite();
      assertEquals(await reading, ["1", "2"]);
      a.abort();
      b.abort();
    },
  );
}

testOver(
  "Channel stays open when a loop over it is left early",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    for (const message of ["1", "2", "3", "4"]) a.send(message);
    const received: (string | null)[] = [];
    for await (const message of b) {
      received.push(message);
      if (message === "2") break;
    }
    await assertRejects(async () => {
      for await (const message of b) {
        received.push(message);
        throw new Error("enough");
      }
    });
    received.push(await b.receive());
    assertEquals(received, ["1", "2", "3", "4"]);
    b.send("answer");
    assertEquals(await a.receive(), "answer");
    a.abort();
    b.abort();
  },
);

Deno.test("Channel's iterator is done after return()", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left, STRINGS);
  const b = new Channel(right, STRINGS);
  a.send("1");
  const iterator = b[Symbol.asyncIterator]();
  assertStrictEquals(iterator[Symbol.asyncIterator](), iterator);
  assertEquals(await iterator.return?.(), { value: undefined, done: true });
  assertEquals(await iterator.next(), { value: undefined, done: true });
  assertEquals(await b.receive(), "1");
  a.abort();
  b.abort();
});

Deno.test("Channel's iterator stays done when sending fails after the end", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const iterator = channel[Symbol.asyncIterator]();
  const next = iterator.next();
  await conn.give(null);
  assertEquals(await next, { value: undefined, done: true });
  channel.send(A);
  (await conn.writes.next()).reject(new Deno.errors.BrokenPipe());
  await assertRejects(() => channel.flush(), Deno.errors.BrokenPipe);
  assertEquals(await iterator.next(), { value: undefined, done: true });
  await assertRejects(() => channel.close(), Deno.errors.BrokenPipe);
});

testOver("Channel.writable.close() is closeWrite()", async (left, right) => {
  const a = new Channel(left, STRINGS);
  const b = new Channel(right, STRINGS);
  assertStrictEquals(a.writable, a.writable);
  const writer = a.writable.getWriter();
  writer.write("last");
  const closed = writer.close();
  await idle();
  await assertRejects(() => a.send("later"), TypeError);
  assertEquals(await Array.fromAsync(b), ["last"]);
  await closed;
  b.send("answer");
  assertEquals(await a.receive(), "answer");
  a.abort();
  b.abort();
});

Deno.test("Channel.writable.abort() is abort()", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const reason = new Error("enough");
  await a.writable.abort(reason);
  assertStrictEquals(await reasonOf(a.closed), reason);
  assertStrictEquals(await reasonOf(a.receive()), reason);
  new Channel(right).abort();
});

Deno.test("Channel.writable.abort() does not wait for pending calls", async () => {
  for (const waiting of ["write", "close"] as const) {
    const conn = new FakeConn();
    const channel = new Channel(conn, { highWaterMark: 0 });
    const writer = channel.writable.getWriter();
    const written = waiting === "write" ? writer.write(A) : writer.close();
    assert(await isPending(written));
    const reason = new Error("enough");
    const aborted = writer.abort(reason);
    assertStrictEquals(await promptly(reasonOf(channel.closed)), reason);
    assertStrictEquals(await promptly(reasonOf(written)), reason);
    await Promise.allSettled([aborted]);
    assertEquals(conn.closes, 1);
  }
});

Deno.test("Channel.writable waits as send() does", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, { highWaterMark: 0 });
  const writer = channel.writable.getWriter();
  const written = writer.write(A);
  assert(await isPending(written));
  assert(await isPending(writer.ready));
  await conn.take();
  await promptly(written);
  channel.abort();
});

for (const reading of [false, true]) {
  testOver(
    `Channel.readable.cancel() ends receiving${
      reading ? ", with a read pending" : ""
    }`,
    async (left, right) => {
      const a = new Channel(left, STRINGS);
      const b = new Channel(right, STRINGS);
      const first = b.receive();
      a.send("1");
      assertEquals(await first, "1");
      const reader = b.readable.getReader();
      const iterator = b[Symbol.asyncIterator]();
      const before = b.receive();
      const read = reading ? reader.read() : null;
      const after = b.receive();
      const next = iterator.next();
      await idle();
      await reader.cancel("enough");
      assertEquals([await before, await after], [null, null]);
      if (read) assert((await read).done);
      assertEquals(await next, { value: undefined, done: true });
      assertEquals(await b.receive(), null);
      // Sending goes on.
      b.send("2");
      assertEquals(await a.receive(), "2");
      await b.closeWrite();
      await b.closed;
      assertEquals(await a.receive(), null);
      a.abort();
    },
  );
}

Deno.test("Channel.readable fails when the channel does", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  const read = channel.readable.getReader().read();
  channel.abort(1);
  assertEquals(await reasonOf(read), 1);
  new Channel(right).abort();
});

Deno.test("Channel.readable and writable fail at a bad message, and the channel stays open", async () => {
  const [left, right] = transformStreams();
  const a = new Channel<unknown>(left, { serialization: json() });
  const b = new Channel(right);
  await assertRejects(
    () => ReadableStream.from([undefined]).pipeTo(a.writable),
    TypeError,
  );
  a.send(1);
  const received = b.receive();
  assertEquals(await received, new TextEncoder().encode("1"));
  b.send(A);
  b.send(new TextEncoder().encode("2"));
  await assertRejects(() => a.readable.getReader().read(), SyntaxError);
  assertEquals(await a.receive(), 2);
  a.abort();
  b.abort();
});
