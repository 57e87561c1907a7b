import {
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { Channel } from "../../channel.ts";
import { socketPair } from "../../pair.ts";
import { heldSink } from "./fake_conn.ts";
import { A, numbered, readAll } from "./messages.ts";
import { everythingOf, idle, promptly, reasonOf } from "./promises.ts";
import { testOver, transformStreams } from "./stream_pairs.ts";

testOver(
  "Channel.abort() makes everything pending and later reject with the reason",
  async (left, right) => {
    const a = new Channel(left, { highWaterMark: 0 });
    const b = new Channel(right);
    const reason = new Error("enough");
    const pending = [
      a.send(numbered(5_000_000)),
      a.send(A),
      a.flush(),
      a.receive(),
      a.receive({ signal: new AbortController().signal }),
      a.receiveInto(new Uint8Array(1)),
      a[Symbol.asyncIterator]().next(),
      a.readable.getReader().read(),
      a.closed,
      a.closeWrite(),
    ];
    await idle();
    a.abort(reason);
    a.abort(new Error("too late"));
    const later = [
      ...Object.values(everythingOf(a)),
      a.writable.getWriter().write(A),
    ];
    for (const promise of [...pending, ...later]) {
      assertStrictEquals(await reasonOf(promise), reason);
    }
    b.abort();
  },
);

Deno.test("Channel.abort() makes a pending close() reject with the reason", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const b = new Channel(right);
  const sent = a.send(numbered(1_000_000));
  const closed = a.close();
  assertEquals(await a.receive(), null);
  a.abort(1);
  assertEquals(await reasonOf(closed), 1);
  assertEquals(await reasonOf(sent), 1);
  assertEquals(await reasonOf(a.receive()), 1);
  assertStrictEquals(a.close(), closed);
  b.abort();
});

for (const end of ["closeWrite", "close"] as const) {
  Deno.test(`Channel.abort() makes ${end}() reject where the sink does not end`, async () => {
    const { writable, closes } = heldSink();
    const channel = new Channel({ readable: new ReadableStream(), writable });
    const ended = channel[end]();
    await closes.next();
    channel.abort(1);
    assertEquals(await promptly(reasonOf(ended)), 1);
    assertEquals(await promptly(reasonOf(channel.close())), 1);
    assertEquals(await promptly(reasonOf(channel.closed)), 1);
  });
}

Deno.test("Channel.abort() makes closeWrite() reject that has resolved before", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  await channel.closeWrite();
  channel.abort(1);
  assertEquals(await reasonOf(channel.closeWrite()), 1);
  assertEquals(await reasonOf(channel.flush()), 1);
  assertEquals(await reasonOf(channel.send(A)), 1);
  assertEquals(await reasonOf(channel.close()), 1);
  new Channel(right).abort();
});

Deno.test("Channel.abort() rejects with AbortError by default", async () => {
  for (const args of [[], [undefined]]) {
    const channel = new Channel(transformStreams()[0]);
    channel.abort(...args);
    const reason = await reasonOf(channel.receive());
    assertInstanceOf(reason, DOMException);
    assertEquals(reason.name, "AbortError");
  }
});

Deno.test("Channel.abort() does nothing after the channel has closed", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  await a.close();
  a.abort(new Error("too late"));
  await a.closed;
  await a.close();
  assertEquals(await a.receive(), null);
  new Channel(right).abort();
});

Deno.test("Channel.abort() tells streams the reason", async () => {
  let cancelled: unknown;
  let aborted: unknown;
  const channel = new Channel({
    readable: new ReadableStream({
      cancel: (reason) => void (cancelled = reason),
    }),
    writable: new WritableStream({
      abort: (reason) => void (aborted = reason),
    }),
  });
  channel.abort("enough");
  await idle();
  assertEquals([cancelled, aborted], ["enough", "enough"]);
});

Deno.test("Channel.abort() drops queued messages and closes the connection immediately", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  channel.send(A);
  channel.abort();
  assertEquals((await readAll(right)).length, 0);
  right.close();
});
