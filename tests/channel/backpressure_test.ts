import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes";
import { Channel } from "../../channel.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, B, C, frame, numbered } from "./messages.ts";
import { idle, isPending, reasonOf, turnOfEventLoop } from "./promises.ts";
import { testOver } from "./stream_pairs.ts";

Deno.test("Channel reads nothing while no call waits", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  await idle();
  assertEquals(conn.reads.count, 0);
  const received = channel.receive();
  await conn.give(concat([frame(A), frame(B), frame(C)]));
  assertEquals(await received, A);
  assertEquals(await channel.receive(), B);
  assertEquals(await channel.receive(), C);
  await idle();
  assertEquals(conn.reads.count, 1);
  channel.abort();
});

Deno.test("Channel.closed does not read on while a message waits", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const { closed } = channel;
  await conn.give(concat([frame(A), frame(B)]));
  await idle();
  assertEquals(conn.reads.count, 1);
  assertEquals(await channel.receive(), A);
  await idle();
  assertEquals(conn.reads.count, 1);
  assertEquals(await channel.receive(), B);
  await idle();
  assertEquals(conn.reads.count, 2);
  channel.abort(1);
  assertEquals(await reasonOf(closed), 1);
});

testOver(
  "Channel lets two sides that send much wait until one receives",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const message = numbered(5_000_000);
    const sends = [a.send(message), b.send(message)] as const;
    await turnOfEventLoop();
    assert(await isPending(sends[0]) && await isPending(sends[1]));
    assertEquals(await b.receive(), message);
    await sends[0];
    assertEquals(await a.receive(), message);
    await sends[1];
    a.abort();
    b.abort();
  },
);
