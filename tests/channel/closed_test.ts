import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { Channel } from "../../channel.ts";
import { type Peer, setPeer } from "../../channel/transports.ts";
import type { Failure } from "../../channel/waiters.ts";
import { socketPair } from "../../pair.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, numbered } from "./messages.ts";
import { idle, reasonOf, turnOfEventLoop } from "./promises.ts";
import { testOver } from "./stream_pairs.ts";

testOver(
  "Channel.closed resolves when both directions have ended",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const { closed } = a;
    assertStrictEquals(a.closed, closed);
    let isClosed = false;
    closed.then(() => isClosed = true);
    await a.closeWrite();
    assertEquals(await b.receive(), null);
    await idle();
    assert(!isClosed);
    await b.closeWrite();
    // Nobody receives from a: it looks for the end by itself.
    await closed;
    await b.closed;
    assertEquals(await a.receive(), null);
  },
);

testOver(
  "Channel.closed resolves after close(), though the peer has not ended",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    await a.close();
    await a.closed;
    b.abort();
  },
);

Deno.test("Channel.closed rejects when the peer dies while no call waits", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  await channel.send(A);
  await channel.flush();
  const { closed } = channel;
  right.close();
  await assertRejects(() => closed, Deno.errors.ConnectionReset);
});

Deno.test("Channel.closed rejects with the first failure", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.send(A);
  const first = new Error("first");
  (await conn.writes.next()).reject(first);
  assertStrictEquals(await reasonOf(channel.flush()), first);
  channel.abort(new Error("second"));
  assertStrictEquals(await reasonOf(channel.closed), first);
  assertStrictEquals(channel.closed, channel.closed);
});

testOver(
  "Channel.closed takes no message from receive()",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const { closed } = b;
    const messages = [0, 10, 100_000, 1, 300_000].map(numbered);
    for (const message of messages) a.send(message);
    a.closeWrite();
    await turnOfEventLoop();
    assertEquals(await Array.fromAsync(b), messages);
    b.closeWrite();
    await closed;
    a.abort();
    b.abort();
  },
);

/** A peer that adds nothing to what its connection says. */
function peer(gone: Promise<Failure | undefined>): Peer {
  return {
    exited: gone,
    endReading: (error) => Promise.resolve(error),
    endWriting: (error) => Promise.resolve(error ?? { reason: undefined }),
  };
}

Deno.test("Channel.closed settles when the peer has gone and its messages were read", async () => {
  const failure = new Error("crash");
  for (const reason of [undefined, failure]) {
    const conn = new FakeConn();
    setPeer(conn, peer(Promise.resolve(reason && { reason })));
    const channel = new Channel(conn);
    assertEquals(await Promise.race([channel.closed, idle()]), undefined);
    assertEquals(conn.closes, 0, "There may be more to read");
    (await conn.reads.next()).resolve(null);
    if (reason) assertStrictEquals(await reasonOf(channel.closed), reason);
    else await channel.closed;
    assertEquals(conn.closes, 1);
  }
});

Deno.test("Channel.closeWrite() and close() ask nothing of a connection that was closed as the peer has gone", async () => {
  const conn = new FakeConn();
  setPeer(conn, peer(Promise.resolve(undefined)));
  const channel = new Channel(conn);
  const received = channel.receive();
  (await conn.reads.next()).resolve(null);
  assertEquals(await received, null);
  await channel.closed;
  assertEquals(conn.closes, 1);
  await channel.closeWrite();
  await channel.close();
  assertEquals(conn.closeWrites.count, 0);
});

Deno.test("Channel.closed rejects if the peer is known to have failed after its end", async () => {
  const failure = new Error("crash");
  const conn = new FakeConn();
  const { promise: gone, resolve } = Promise.withResolvers<Failure>();
  setPeer(conn, peer(gone));
  const channel = new Channel(conn);
  const received = channel.receive();
  (await conn.reads.next()).resolve(null);
  assertEquals(await received, null);
  resolve({ reason: failure });
  assertStrictEquals(await reasonOf(channel.closed), failure);
  assertStrictEquals(await reasonOf(channel.receive()), failure);
  assertEquals(conn.closes, 1);
});
