import { assertEquals, assertRejects } from "@std/assert";
import { Channel, drain, trace } from "../../channel.ts";
import { socketPair } from "../../pair.ts";
import { A, numbered } from "./messages.ts";
import { idle } from "./promises.ts";
import { testOver } from "./stream_pairs.ts";

testOver(
  "drain() drops what still comes until the peer ends",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const received = a.receive();
    const drained = drain(a);
    assertEquals(await received, null);
    for (let i = 0; i < 10; i++) await b.send(numbered(300_000));
    assertEquals(await b.receive(), null);
    await b.closeWrite();
    await drained;
    await Promise.all([a.closed, b.closed]);
  },
);

testOver(
  "drain() lets the peer send on after receiving was cancelled",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    await a.readable.cancel();
    const drained = drain(a);
    for (let i = 0; i < 10; i++) await b.send(numbered(300_000));
    assertEquals(await b.receive(), null);
    await b.closeWrite();
    await drained;
    await Promise.all([a.closed, b.closed]);
  },
  { "Unix socket": socketPair },
);

testOver("drain() resolves when the peer dies", async (left, right) => {
  const a = new Channel(left);
  const b = new Channel(right);
  a.send(numbered(5_000_000));
  const drained = drain(a);
  b.abort();
  await drained;
  await assertRejects(() => a.close(), Error);
});

testOver("trace() tells of each frame and of the end", async (left, right) => {
  const a = new Channel(left);
  const b = new Channel(right);
  const lines: string[] = [];
  trace(a, (line) => lines.push(line));
  a.send(A);
  a.send(numbered(100_000));
  b.send(numbered(3));
  assertEquals(await a.receive(), numbered(3));
  const [received] = await Promise.all([Array.fromAsync(b), a.close()]);
  assertEquals(received.length, 2);
  await idle();
  assertEquals(lines, [
    "sent frame of 1 bytes",
    "sent frame of 100000 bytes",
    "received frame of 3 bytes",
    "closed",
  ]);
  b.abort();
});
