import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { concat } from "@std/bytes";
import { Channel, json } from "../../channel.ts";
import {
  FrameSyntaxError,
  FrameTooLargeError,
  netstring,
  TruncatedFrameError,
} from "../../framing.ts";
import { socketPair } from "../../pair.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, B, C, frame, numbered, readAll, writeAll } from "./messages.ts";
import { everythingOf, reasonOf, unhandledDuring } from "./promises.ts";
import { byteStreams, transformStreams } from "./stream_pairs.ts";

for (
  const [name, options, bytes, errorClass] of [
    [
      "a header of 0xFFFFFFFF",
      {},
      new Uint8Array([255, 255, 255, 255]),
      FrameTooLargeError,
    ],
    [
      "a message over maxFrameLength",
      { maxFrameLength: 10 },
      frame(numbered(11)),
      FrameTooLargeError,
    ],
    [
      "bytes that are no frame",
      { framing: netstring() },
      new TextEncoder().encode("x"),
      FrameSyntaxError,
    ],
    [
      "a wrong trailer",
      { framing: netstring() },
      new TextEncoder().encode("1:a;"),
      FrameSyntaxError,
    ],
  ] as const
) {
  Deno.test(`Channel receives messages before ${name}, and then fails`, async () => {
    const [left, right] = await socketPair();
    const good = new Channel(left, options);
    good.send(A);
    good.send(B);
    await good.flush();
    await writeAll(left, bytes);
    const channel = new Channel(right, options);
    const received = [channel.receive(), channel.receive()];
    const failing = [channel.receive(), channel.receive()];
    assertEquals(await Promise.all(received), [A, B]);
    const error = await reasonOf(failing[0]!);
    assertInstanceOf<Error>(error, errorClass);
    assertStrictEquals(await reasonOf(failing[1]!), error);
    for (const promise of Object.values(everythingOf(channel))) {
      assertStrictEquals(await reasonOf(promise), error);
    }
    // The connection is closed.
    assertEquals((await readAll(left)).length, 0);
    good.abort();
  });
}

for (
  const [where, length, expected] of [
    ["header", 3, undefined],
    ["message", 100, 1004],
  ] as const
) {
  const cut = concat([frame(A), frame(numbered(1000)).subarray(0, length)]);

  const check = async (channel: Channel) => {
    const [first, second, third] = [
      channel.receive(),
      channel.receive(),
      channel.receive(),
    ];
    assertEquals(await first, A);
    const error = await assertRejects(() => second, TruncatedFrameError);
    assertEquals(error.received, length);
    assertEquals(error.expected, expected);
    assertStrictEquals(await reasonOf(third), error);
    for (const promise of Object.values(everythingOf(channel))) {
      assertStrictEquals(await reasonOf(promise), error);
    }
  };

  Deno.test(`Channel fails with TruncatedFrameError when the peer closes inside a ${where}, over Unix socket`, async () => {
    const [left, right] = await socketPair();
    await writeAll(left, cut);
    left.close();
    await check(new Channel(right));
  });

  Deno.test(`Channel fails with TruncatedFrameError when the peer closes inside a ${where}, over streams`, async () => {
    const readable = ReadableStream.from([cut]);
    await check(new Channel({ readable, writable: new WritableStream() }));
  });
}

function assertSystemError(reason: unknown) {
  assert(
    reason instanceof Deno.errors.BrokenPipe ||
      reason instanceof Deno.errors.ConnectionReset,
    `${reason} is not what the system says of a dead peer`,
  );
}

Deno.test("Channel receives messages that arrived before the peer died, then the error of the failed write", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  await channel.send(C);
  await channel.flush();
  await writeAll(right, concat([frame(A), frame(numbered(50_000)), frame(B)]));
  // It has not read C: this is a reset.
  right.close();

  // A send that meets the dead peer resolves; the next call tells.
  await channel.send(C);
  const failure = await reasonOf(channel.flush());
  assertSystemError(failure);
  assertStrictEquals(await reasonOf(channel.send(C)), failure);
  assertStrictEquals(await reasonOf(channel.closed), failure);

  assertEquals(await channel.receive(), A);
  const iterator = channel[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value, numbered(50_000));
  assertEquals(await channel.receiveInto(new Uint8Array(9)), B);
  for (
    const promise of [channel.receive(), channel.receive(), iterator.next()]
  ) {
    assertStrictEquals(await reasonOf(promise), failure);
  }
  for (const promise of Object.values(everythingOf(channel))) {
    assertStrictEquals(await reasonOf(promise), failure);
  }
});

Deno.test("Channel receives messages that arrived before the peer died, then the error of the read", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  await channel.send(C);
  await channel.flush();
  await writeAll(right, concat([frame(A), frame(B)]));
  right.close();
  assertEquals(await channel.receive(), A);
  assertEquals(await channel.receive(), B);
  const failure = await reasonOf(channel.receive());
  assertInstanceOf(failure, Deno.errors.ConnectionReset);
  for (const promise of Object.values(everythingOf(channel))) {
    assertStrictEquals(await reasonOf(promise), failure);
  }
});

Deno.test("Channel.send() to a peer that has left gives BrokenPipe, and close() too", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  right.close();
  await channel.send(A);
  await assertRejects(() => channel.flush(), Deno.errors.BrokenPipe);
  await assertRejects(() => channel.receive(), Deno.errors.BrokenPipe);
  await assertRejects(() => channel.close(), Deno.errors.BrokenPipe);
  await assertRejects(() => channel.closed, Deno.errors.BrokenPipe);
});

Deno.test("Channel.close() rejects if queued messages cannot be written", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  const sent = channel.send(numbered(5_000_000));
  const received = channel.receive();
  const closed = channel.close();
  right.close();
  assertSystemError(await reasonOf(closed));
  assertSystemError(await reasonOf(sent));
  assertSystemError(await reasonOf(channel.closed));
  assertEquals(await received, null);
});

Deno.test("Channel.send() that waits rejects when the peer dies", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  const sends = [channel.send(numbered(5_000_000)), channel.send(A)];
  const flushed = channel.flush();
  const ended = channel.closeWrite();
  assertEquals(await right.read(new Uint8Array(1)), 1);
  right.close();
  for (const promise of [...sends, flushed, ended, channel.closed]) {
    assertSystemError(await reasonOf(promise));
  }
  assertSystemError(await reasonOf(channel.close()));
});

Deno.test("Channel continues receiving when the peer has stopped", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  const reason = new Error("enough");
  await right.readable.cancel(reason);
  await channel.send(A);
  assertStrictEquals(await reasonOf(channel.flush()), reason);
  const writer = right.writable.getWriter();
  for (const message of [A, B]) {
    const received = channel.receive();
    writer.write(frame(message));
    assertEquals(await received, message);
  }
  const [received, next] = [
    channel.receive(),
    channel[Symbol.asyncIterator]().next(),
  ];
  writer.close();
  assertStrictEquals(await reasonOf(received), reason);
  assertStrictEquals(await reasonOf(next), reason);
  assertStrictEquals(await reasonOf(channel.receive()), reason);
  assertStrictEquals(await reasonOf(channel.closed), reason);
  assertStrictEquals(await reasonOf(channel.close()), reason);
});

Deno.test("Channel says why when the peer closes streams in memory", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  const peer = new Channel(right);
  await peer.close();
  channel.send(A);
  const reason = await reasonOf(channel.flush());
  assertInstanceOf(reason, Error);
  assertStrictEquals(await reasonOf(channel.receive()), reason);
  assertStrictEquals(await reasonOf(channel.close()), reason);
});

Deno.test("Channel fails for sending when the end cannot be written", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const failure = new Error("Cannot end");
  const ended = channel.closeWrite();
  (await conn.closeWrites.next()).reject(failure);
  assertStrictEquals(await reasonOf(ended), failure);
  assertStrictEquals(await reasonOf(channel.closed), failure);
  const received = [channel.receive(), channel.receive()] as const;
  await conn.give(frame(A));
  assertEquals(await received[0], A);
  assertEquals(conn.closes, 0);
  await conn.give(null);
  assertStrictEquals(await reasonOf(received[1]), failure);
  assertStrictEquals(await reasonOf(channel.close()), failure);
  assertEquals(conn.closes, 1);
});

Deno.test("Channel.close() does not mind that the peer resets after all is written", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.send(A);
  const closed = channel.close();
  (await conn.reads.next()).reject(new Deno.errors.ConnectionReset());
  await conn.take();
  (await conn.closeWrites.next()).resolve();
  await closed;
  await channel.closed;
  assertEquals(conn.closes, 1);
});

Deno.test("Channel fails when somebody else closes its connection", async () => {
  const unhandled = await unhandledDuring(async () => {
    const [left, right] = await socketPair();
    const a = new Channel(left);
    const b = new Channel(right);
    const received = a.receive();
    left.close();
    await assertRejects(() => received, Error);
    await assertRejects(() => a.closed, Error);
    await assertRejects(() => a.close(), Error);
    right.close();
    b.send(A);
    await assertRejects(() => b.flush(), Error);
    await assertRejects(() => b.receive(), Error);
    await assertRejects(() => b.close(), Error);
  });
  assertEquals(unhandled, []);
});

Deno.test("Channel never makes an unhandled rejection", async () => {
  function useAll(channel: Channel) {
    everythingOf(channel);
    channel.send(numbered(1_000_000));
    channel.receive({ signal: AbortSignal.abort() });
    const controller = new AbortController();
    channel.receive({ signal: controller.signal });
    controller.abort();
    channel.receiveInto(new Uint8Array(new SharedArrayBuffer(1)));
  }
  const unhandled = await unhandledDuring(async () => {
    // The peer leaves, having read nothing.
    for (const first of ["the use", "the end"]) {
      const [left, right] = await socketPair();
      const channel = new Channel(left);
      channel.send(A);
      if (first === "the use") useAll(channel);
      right.close();
      if (first === "the end") useAll(channel);
      await channel.closed.catch(() => {});
      useAll(channel);
    }
    // The peer's bytes are no frame, or end too early.
    for (const end of [[255, 255, 255, 255], [1]]) {
      const [left, right] = await socketPair();
      const channel = new Channel(left);
      channel.receive();
      await writeAll(right, new Uint8Array(end));
      right.close();
      await channel.closed.catch(() => {});
      useAll(channel);
    }
    for (const pair of [transformStreams, byteStreams, socketPair]) {
      for (const end of ["abort", "close", "closeWrite"] as const) {
        const [left, right] = await pair();
        const a = new Channel(left, { maxFrameLength: 10 });
        const b = new Channel<unknown>(right, { serialization: json() });
        a.send(A);
        b.send(undefined);
        b.receive();
        useAll(a);
        a[end]();
        useAll(a);
        b.abort();
      }
      for (const end of ["flush", "closeWrite", "close"] as const) {
        const [left, right] = await pair();
        const channel = new Channel(left);
        channel.send(numbered(1_000_000));
        channel[end]();
        channel.abort();
        useAll(channel);
        new Channel(right).close();
      }
    }
  });
  assertEquals(unhandled, []);
});
