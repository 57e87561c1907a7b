import { Buffer } from "node:buffer";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { concat } from "@std/bytes";
import { Channel } from "../../channel.ts";
import { socketPair, spawn } from "../../pair.ts";
import { FakeConn, heldSink } from "./fake_conn.ts";
import { A, B, frame, numbered, STRINGS } from "./messages.ts";
import { idle } from "./promises.ts";
import {
  tcpPair,
  testOver,
  tlsPair,
  transformStreams,
  TRANSPORTS,
} from "./stream_pairs.ts";

testOver(
  "Channel carries messages both ways and ends both ways",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const messages = [0, 1, 3, 70_000, 1_000_000, 0].map(numbered);
    async function converse(channel: Channel) {
      const received: Uint8Array[] = [];
      async function receive() {
        for await (const message of channel) received.push(message);
      }
      async function send() {
        for (const message of messages) await channel.send(message);
        await channel.closeWrite();
      }
      await Promise.all([receive(), send()]);
      assertEquals(received, messages);
      await channel.closed;
    }
    await Promise.all([converse(a), converse(b)]);
    a.abort();
    b.abort();
  },
  { ...TRANSPORTS, TCP: tcpPair, TLS: tlsPair },
);

Deno.test("Channel runs over the stdio of a child", async () => {
  const cat = new Deno.Command("cat", { stdin: "piped", stdout: "piped" })
    .spawn();
  await using channel = new Channel(
    { readable: cat.stdout, writable: cat.stdin },
    STRINGS,
  );
  await channel.send("taco cat");
  assertEquals(await channel.receive(), "taco cat");
  await channel.closeWrite();
  assertEquals(await channel.receive(), null);
  assertEquals((await cat.status).code, 0);
});

Deno.test("Channel never touches readable and writable of a Deno.Conn", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const sent = channel.send(A);
  assertEquals(await conn.take(), frame(A));
  await sent;
  const received = channel.receive();
  await conn.give(frame(B));
  assertEquals(await received, B);
  channel.abort();
  assertEquals(conn.closes, 1);
});

Deno.test("Channel writes again the bytes that a Deno.Conn did not take", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const flushed = channel.send(numbered(10)).then(() => channel.flush());
  const written = [];
  for (const taken of [1, 2, 11]) {
    const { argument, resolve } = await conn.writes.next();
    written.push(argument.slice(0, taken));
    resolve(taken);
  }
  await flushed;
  assertEquals(concat(written), frame(numbered(10)));
  channel.abort();
});

testOver(
  "Channel answers after it has read to the end",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    a.send("question");
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), ["question"]);
    b.send("answer");
    b.closeWrite();
    assertEquals(await Array.fromAsync(a), ["answer"]);
    a.abort();
    b.abort();
  },
  { ...TRANSPORTS, TCP: tcpPair, TLS: tlsPair },
);

Deno.test("Channel closes a Deno.Conn when the peer ends first, then this side", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const received = channel.receive();
  await conn.give(null);
  assertEquals(await received, null);
  const ended = channel.closeWrite();
  const { resolve } = await conn.closeWrites.next();
  assertEquals(conn.closes, 0);
  resolve();
  await ended;
  assertEquals(conn.closes, 1);
  await channel.closed;
  await channel.close();
  channel.abort();
  assertEquals(conn.closes, 1);
});

Deno.test("Channel closes a Deno.Conn when this side ends first, then the peer", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const ended = channel.closeWrite();
  (await conn.closeWrites.next()).resolve();
  await ended;
  const received = channel.receive();
  await idle();
  assertEquals(conn.closes, 0);
  await conn.give(null);
  assertEquals(await received, null);
  assertEquals(conn.closes, 1);
  await channel.closed;
});

Deno.test("Channel closes the sockets once both directions have ended, without close()", async () => {
  const [left, right] = await socketPair();
  const a = new Channel(left);
  const b = new Channel(right);
  a.closeWrite();
  b.closeWrite();
  assertEquals(await a.receive(), null);
  assertEquals(await b.receive(), null);
  await a.closed;
  await b.closed;
  // The resource sanitizer sees the rest.
});

Deno.test("Channel half-closes a plain DuplexStream by closing writable", async () => {
  const { writable, closes } = heldSink();
  const incoming = new TransformStream<Uint8Array, Uint8Array>();
  const channel = new Channel({ readable: incoming.readable, writable });
  const ended = channel.closeWrite();
  (await closes.next()).resolve();
  await ended;
  const writer = incoming.writable.getWriter();
  writer.write(frame(A));
  assertEquals(await channel.receive(), A);
  writer.close();
  assertEquals(await channel.receive(), null);
  await channel.closed;
});

Deno.test("Channel.close() rejects with why a plain DuplexStream failed", async () => {
  const failure = new Error("The cable was cut");
  const channel = new Channel({
    readable: new ReadableStream(),
    writable: new WritableStream({
      start: (controller) => controller.error(failure),
    }),
  });
  assertEquals(await assertRejects(() => channel.close()), failure);
  assertEquals(await assertRejects(() => channel.closed), failure);
});

Deno.test("Channel constructor throws for bad limits and locked streams", () => {
  const [stream] = transformStreams();
  for (const bad of [-1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => new Channel(stream, { highWaterMark: bad }),
      RangeError,
      `Cannot use highWaterMark: ${bad}`,
    );
    assertThrows(
      () => new Channel(stream, { maxFrameLength: bad }),
      RangeError,
    );
  }
  assert(!stream.readable.locked && !stream.writable.locked);

  const reader = stream.readable.getReader();
  assertThrows(() => new Channel(stream), TypeError);
  assert(!stream.writable.locked);
  reader.releaseLock();
  stream.writable.getWriter();
  assertThrows(() => new Channel(stream), TypeError);
  assert(!stream.readable.locked);
});

Deno.test("Channel takes chunks of a Node Buffer, and empty ones", async () => {
  const readable = ReadableStream.from([
    Buffer.from(frame(A).subarray(0, 2)),
    new Uint8Array(),
    Buffer.from(frame(A).subarray(2)),
  ]);
  const channel = new Channel({ readable, writable: new WritableStream() });
  assertEquals(await channel.receive(), A);
  assertEquals(await channel.receive(), null);
});

Deno.test("Channel fails with TypeError for a chunk that is not a Uint8Array", async () => {
  const readable = new ReadableStream({
    start: (controller) => controller.enqueue("taco cat"),
  });
  const channel = new Channel({ readable, writable: new WritableStream() });
  await assertRejects(() => channel.receive(), TypeError, "not a Uint8Array");
  await assertRejects(() => channel.closed, TypeError);
});

Deno.test("Channel over a connection loads no web streams", async () => {
  await using child = await spawn(Deno.execPath(), {
    args: [
      "eval",
      `for (const name of ["TransformStream", "ReadableStream", "WritableStream"]) {
        Object.defineProperty(globalThis, name, {
          get: () => { throw new Error(name + " is looked up"); },
        });
      }
      const { connectToParent } = await import("${
        import.meta.resolve("../../mod.ts")
      }");
      const parent = await connectToParent();
      for await (const message of parent) await parent.send(message);`,
    ],
    cwd: new URL("../..", import.meta.url),
  });
  await child.channel.send(A);
  assertEquals(await child.channel.receive(), A);
});
