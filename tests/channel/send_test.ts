import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { concat } from "@std/bytes";
import { Channel, json } from "../../channel.ts";
import { TruncatedFrameError } from "../../framing.ts";
import { socketPair } from "../../pair.ts";
import { FakeConn, heldSink } from "./fake_conn.ts";
import { A, B, frame, numbered } from "./messages.ts";
import { idle, isPending, promptly } from "./promises.ts";
import {
  tcpPair,
  testOver,
  tlsPair,
  transformStreams,
} from "./stream_pairs.ts";

Deno.test("Channel.send() serializes at the call", async () => {
  const [left, right] = transformStreams();
  const serialization = json<{ id: number }>();
  const a = new Channel(left, { serialization });
  const b = new Channel(right, { serialization });
  const message = { id: 1 };
  const sent = a.send(message);
  message.id = 2;
  await sent;
  assertEquals(await b.receive(), { id: 1 });
  a.abort();
  b.abort();
});

testOver("Channel.send() queues in call order", async (left, right) => {
  const a = new Channel(left);
  const b = new Channel(right);
  const lengths = [10, 70_000, 0, 300_000, 65_532, 65_533, 1, 65_531, 400_000];
  const messages = lengths.map((length, index) =>
    new Uint8Array(length).fill(index)
  );
  for (const message of messages) a.send(message);
  a.closeWrite();
  assertEquals(await Array.fromAsync(b), messages);
  a.abort();
  b.abort();
});

for (const length of [0, 10, 70_000, 300_000]) {
  testOver(
    `Channel.send() lets ${length} bytes be reused once it resolves`,
    async (left, right) => {
      const a = new Channel(left, { highWaterMark: 100_000 });
      const b = new Channel(right);
      async function send() {
        for (let i = 0; i < 8; i++) {
          const message = new Uint8Array(length).fill(i);
          await a.send(message);
          message.fill(0xff);
        }
        await a.closeWrite();
      }
      const [received] = await Promise.all([Array.fromAsync(b), send()]);
      assertEquals(received.length, 8);
      for (const [i, message] of received.entries()) {
        assertEquals(message.length, length);
        assert(message.every((byte) => byte === i));
      }
      a.abort();
      b.abort();
    },
  );
}

Deno.test("Channel.send() lets the bytes be reused once it resolves, behind a long queue", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, { highWaterMark: 1_000_000 });
  const expected: Uint8Array[] = [];
  async function send() {
    for (let i = 0; i < 12; i++) {
      const message = new Uint8Array(300_000).fill(i);
      expected.push(frame(message));
      await channel.send(message);
      message.fill(0xff);
    }
    await channel.flush();
  }
  const written = await conn.takeUntil(send());
  assertEquals(written, concat(expected));
  channel.abort();
});

Deno.test("Channel reads after a write that fails at once", async () => {
  const message = Uint8Array.of(1, 2);
  const conn = new FakeConn();
  const failure = new Deno.errors.BrokenPipe();
  conn.write = () => {
    throw failure;
  };
  const channel = new Channel(conn);
  await channel.send(message);
  const received = channel.receive();
  assertStrictEquals(await channel.closed.catch((error) => error), failure);
  assertEquals(conn.reads.count, 1);
  await conn.give(frame(message));
  assertEquals(await received, message);
  channel.abort();
});

Deno.test("Channel.send() gives streams memory that it does not write to again", async () => {
  const written: Uint8Array[] = [];
  const channel = new Channel({
    readable: new ReadableStream(),
    writable: new WritableStream({
      write: (chunk) => void written.push(chunk),
    }),
  });
  const expected = [];
  for (let i = 0; i < 20; i++) {
    const message = new Uint8Array(i % 2 === 0 ? 40_000 : 300_000).fill(i);
    expected.push(frame(message));
    await channel.send(message);
    await channel.flush();
    message.fill(0xff);
  }
  assertEquals(concat(written), concat(expected));
  channel.abort();
});

Deno.test("Channel.send() does not change bytes that a Deno.Conn is writing", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const expected = [];
  const written = [];
  for (let i = 0; i < 12; i++) {
    const messages = [1, 2, 3].map((length) =>
      new Uint8Array(length * 20_000).fill(i)
    );
    expected.push(...messages.map(frame));
    for (const message of messages) channel.send(message);
    const { argument, resolve } = await conn.writes.next();
    for (const message of messages) channel.send(message);
    expected.push(...messages.map(frame));
    await idle();
    written.push(argument.slice());
    resolve(argument.length);
  }
  written.push(await conn.takeUntil(channel.flush()));
  assertEquals(concat(written), concat(expected));
  channel.abort();
});

for (const [name, stream] of [["a conn", true], ["a stream", false]] as const) {
  Deno.test(`Channel.send() resolves once the queue is below highWaterMark, over ${name}`, async () => {
    const conn = new FakeConn();
    const sink = heldSink();
    const channel = new Channel(
      stream ? conn : { readable: new ReadableStream(), ...sink },
      { highWaterMark: 20 },
    );
    async function take() {
      if (stream) await conn.take();
      else (await sink.writes.next()).resolve();
    }
    // 15 bytes with the header.
    const first = channel.send(numbered(11));
    await promptly(first);
    const second = channel.send(A);
    assert(await isPending(second));
    const large = channel.send(numbered(100_000));
    assert(await isPending(large));
    await take();
    await promptly(second);
    assert(await isPending(large));
    const last = channel.send(A);
    while (await isPending(last)) await take();
    await promptly(large);
    channel.abort();
  });
}

Deno.test("Channel.send() with a highWaterMark of 0 resolves when the message is written", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, { highWaterMark: 0 });
  const sent = channel.send(A);
  assert(await isPending(sent));
  await conn.take();
  await promptly(sent);
  channel.abort();
});

Deno.test("Channel.send() does not wait for an earlier flush()", async () => {
  const { writable, writes } = heldSink();
  const channel = new Channel(
    { readable: new ReadableStream(), writable },
    { highWaterMark: 500_000 },
  );
  for (let i = 0; i < 4; i++) channel.send(numbered(300_000));
  const flushed = channel.flush();
  const sent = channel.send(A);
  for (let i = 0; i < 3; i++) {
    assert(await isPending(sent));
    (await writes.next()).resolve();
  }
  // One of the four is left.
  await promptly(sent);
  assert(await isPending(flushed));
  (await writes.next()).resolve();
  await promptly(flushed);
  channel.abort();
});

Deno.test("Channel.send() writes small messages that are sent together in one write", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const messages = Array.from({ length: 1000 }, (_, i) => numbered(i % 50));
  for (const message of messages) channel.send(message);
  assertEquals(await conn.take(), concat(messages.map(frame)));
  await channel.flush();
  assertEquals(conn.writes.count, 1);

  // Awaited one after the other, and through the web stream: the first, then all others.
  const [first, ...others] = messages.map(frame);
  assert(first);
  for (const message of messages) await channel.send(message);
  assertEquals(await conn.take(), first);
  assertEquals(await conn.take(), concat(others));
  const writer = channel.writable.getWriter();
  for (const message of messages) await writer.write(message);
  assertEquals(await conn.take(), first);
  assertEquals(await conn.take(), concat(others));
  await channel.flush();
  assertEquals(conn.writes.count, 5);
  channel.abort();
});

Deno.test("Channel.send() writes a lone message before its sender continues", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  for (let count = 1; count <= 3; count++) {
    await channel.send(A);
    assertEquals(conn.writes.count, count);
    await conn.take();
    await channel.flush();
  }
  channel.abort();
});

Deno.test("Channel.send() joins messages up to 64 KiB, and does not divide them", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const messages = [40_000, 20_000, 10_000, 10].map(numbered);
  for (const message of messages) channel.send(message);
  assertEquals(await conn.take(), concat(messages.slice(0, 2).map(frame)));
  assertEquals(await conn.take(), concat(messages.slice(2).map(frame)));
  await channel.flush();
  channel.abort();
});

const VANISHED =
  "Cannot send message: its buffer was transferred or resized before send() resolved";

/** Ways in which the bytes of a message vanish. */
const VANISH: Record<string, (buffer: ArrayBuffer) => void> = {
  "is transferred": (buffer) => void buffer.transfer(),
  "shrinks": (buffer) => buffer.resize(buffer.byteLength - 1),
};

for (const [name, vanish] of Object.entries(VANISH)) {
  const makeMessage = (length: number) =>
    new Uint8Array(new ArrayBuffer(length, { maxByteLength: length })).fill(1);

  testOver(
    `Channel fails, and its peer receives no wrong message, if a message ${name} before send() resolves`,
    async (left, right) => {
      const a = new Channel(left);
      const b = new Channel(right);
      const before = a.send(numbered(400_000));
      assertEquals(await b.receive(), numbered(400_000));
      await before;
      const message = makeMessage(1_000_000);
      const sent = a.send(message);
      vanish(message.buffer);
      const later = a.send(numbered(10));
      for (const promise of [sent, later, a.closed, a.receive()]) {
        await assertRejects(() => promise, TypeError, VANISHED);
      }
      await assertRejects(() => b.receive(), TruncatedFrameError);
      b.abort();
    },
    { "Unix socket": socketPair, TCP: tcpPair, TLS: tlsPair },
  );

  Deno.test(`Channel fails if a message ${name} after a part of it was written`, async () => {
    const conn = new FakeConn();
    const channel = new Channel(conn);
    const message = makeMessage(1_000_000);
    const sent = channel.send(message);
    await conn.take(); // the header
    const { resolve } = await conn.writes.next();
    vanish(message.buffer);
    resolve(400_000);
    await assertRejects(() => sent, TypeError, VANISHED);
    assertEquals(conn.closes, 1);
    assertEquals(conn.writes.count, 2);
  });

  testOver(
    `Channel.send() copies a message that ${name} if its sender does not wait`,
    async (left, right) => {
      const a = new Channel(left, { highWaterMark: 10_000_000 });
      const b = new Channel(right);
      for (const length of [10, 100_000, 1_000_000]) {
        const message = makeMessage(length);
        const sent = a.send(message);
        vanish(message.buffer);
        assertEquals(await b.receive(), new Uint8Array(length).fill(1));
        await sent;
      }
      a.abort();
      b.abort();
    },
  );
}

testOver(
  "Channel.flush() resolves when everything queued has been written",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    await a.flush();
    a.send(numbered(1_000_000));
    let flushed = false;
    const flush = a.flush().then(() => flushed = true);
    await idle();
    assert(!flushed);
    assertEquals(await b.receive(), numbered(1_000_000));
    await flush;
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.flush() waits only for messages sent before it", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.send(A);
  const first = channel.flush();
  const write = await conn.writes.next();
  channel.send(B);
  const second = channel.flush();
  assert(await isPending(first));
  write.resolve(write.argument.length);
  await promptly(first);
  assert(await isPending(second));
  await conn.take();
  await promptly(second);
  channel.abort();
});

Deno.test("Channel.send() takes memory that is shared, and a Node Buffer", async () => {
  const [left, right] = await socketPair();
  await using a = new Channel(left);
  await using b = new Channel(right);
  for (const length of [10, 500_000]) {
    const shared = new Uint8Array(new SharedArrayBuffer(length)).fill(7);
    a.send(shared);
    assertEquals(await b.receive(), new Uint8Array(length).fill(7));
    a.send(Buffer.alloc(length, 8));
    assertEquals(await b.receive(), new Uint8Array(length).fill(8));
  }
});
