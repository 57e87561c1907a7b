import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { concat } from "@std/bytes";
import { Channel } from "../../channel.ts";
import { socketPair } from "../../pair.ts";
import { FakeConn, heldSink } from "./fake_conn.ts";
import { A, B, frame, numbered, STRINGS } from "./messages.ts";
import { idle, isPending } from "./promises.ts";
import { tcpPair, testOver, tlsPair, TRANSPORTS } from "./stream_pairs.ts";

testOver(
  "Channel.closeWrite() ends sending, and receiving continues",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const sent = a.send("last");
    const ended = a.closeWrite();
    assertStrictEquals(a.closeWrite(), ended);
    await assertRejects(
      () => a.send("later"),
      TypeError,
      "Cannot send message: the channel is closed for sending",
    );
    assertEquals(await Array.fromAsync(b), ["last"]);
    await Promise.all([sent, ended, a.flush()]);
    b.send("answer");
    assertEquals(await a.receive(), "answer");
    await assertRejects(() => a.send("later"), TypeError);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.close() resolves when everything sent has been written",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const messages = [10, 1_000_000, 20].map(numbered);
    for (const message of messages) a.send(message);
    let isClosed = false;
    const closed = a.close().then(() => isClosed = true);
    await idle();
    assert(!isClosed);
    assertEquals(await Array.fromAsync(b), messages);
    await closed;
    await a.closed;
    b.abort();
  },
);

Deno.test("Channel.close() closes the streams before it resolves", async () => {
  let cancelled = false;
  const { writable, writes, closes } = heldSink();
  const channel = new Channel({
    readable: new ReadableStream({ cancel: () => void (cancelled = true) }),
    writable,
  });
  channel.send(A);
  const closed = channel.close();
  (await writes.next()).resolve();
  const { resolve } = await closes.next();
  assert(await isPending(closed));
  resolve();
  await closed;
  assert(cancelled);
});

testOver(
  "Channel.close() gives pending and later receive() null, and the same promise",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const pending = [
      a.receive(),
      a.receiveInto(new Uint8Array(1)),
      a.receive({ signal: new AbortController().signal }),
    ];
    const iterator = a[Symbol.asyncIterator]();
    const next = iterator.next();
    const reader = a.readable.getReader();
    const read = reader.read();
    await idle();
    const closed = a.close();
    assertStrictEquals(a.close(), closed);
    const disposed = a[Symbol.asyncDispose]();
    await assertRejects(() => a.send(A), TypeError);
    assertEquals(await Promise.all(pending), [null, null, null]);
    assertEquals(await next, { value: undefined, done: true });
    assert((await read).done);
    await closed;
    await disposed;
    assertStrictEquals(a.close(), closed);
    assertEquals(await a.receive(), null);
    assertEquals(await a.receiveInto(new Uint8Array(1)), null);
    assertEquals(await iterator.next(), { value: undefined, done: true });
    assert((await reader.read()).done);
    await assertRejects(() => a.send(A), TypeError);
    await a.flush();
    await a.closeWrite();
    assertEquals(await b.receive(), null);
    b.abort();
  },
);

Deno.test("Channel.close() drops messages that have arrived", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const received = channel.receive();
  await conn.give(concat([frame(A), frame(B)]));
  assertEquals(await received, A);
  const closed = channel.close();
  assertEquals(await channel.receive(), null);
  (await conn.closeWrites.next()).resolve();
  await closed;
  assertEquals(await channel.receive(), null);
  assertEquals(conn.closes, 1);
});

testOver(
  "Channel.close() lets a peer that is busy sending read queued messages",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const message = numbered(5_000_000);
    a.send(message);
    async function answer() {
      await b.send(message);
      return await b.receive();
    }
    const [received] = await Promise.all([answer(), a.close()]);
    assertEquals(received, message);
    b.abort();
  },
);

testOver(
  "Channel.close() lets a peer that is busy sending read queued messages, after receiving was cancelled",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const message = numbered(5_000_000);
    await a.readable.cancel();
    a.send(message);
    async function answer() {
      await b.send(message);
      return await b.receive();
    }
    // b may also have been notified that a does not receive.
    const [received] = await Promise.all([
      answer().catch(() => b.receive()),
      a.close(),
    ]);
    assertEquals(received, message);
    b.abort();
  },
  // Streams in memory can tell the peer, and do.
  { "Unix socket": socketPair },
);

testOver(
  "Channel.close() by both sides with much queued",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const sends = [a, b].map((channel) => channel.send(numbered(5_000_000)));
    await Promise.all([a.close(), b.close()]);
    await Promise.all(sends);
    await Promise.all([a.closed, b.closed]);
  },
);

testOver(
  "Channel.closeWrite() and then receive() until null tells that the peer has read",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const order: string[] = [];
    async function serve() {
      for await (const message of b) order.push(`received ${message.length}`);
      order.push("answered");
      await b.close();
    }
    async function ask() {
      a.send(numbered(7));
      await a.closeWrite();
      assertEquals(await a.receive(), null);
      order.push("told");
      await a.close();
    }
    await Promise.all([serve(), ask()]);
    assertEquals(order, ["received 7", "answered", "told"]);
  },
);

testOver(
  "Channel closes without an error after the peer has closed, if nothing is left to send",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    a.send("taco cat");
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), ["taco cat"]);
    await a.close();
    await b.flush();
    await b.closeWrite();
    await b.close();
    await b.closed;
  },
  { ...TRANSPORTS, TCP: tcpPair, TLS: tlsPair },
);

testOver("Channel is closed by await using", async (left, right) => {
  const b = new Channel(right, STRINGS);
  const received = Array.fromAsync(b);
  {
    await using a = new Channel(left, STRINGS);
    a.send("taco cat");
  }
  assertEquals(await received, ["taco cat"]);
  b.abort();
});
