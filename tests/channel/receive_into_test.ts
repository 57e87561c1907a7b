import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { concat } from "@std/bytes";
import { Channel, json } from "../../channel.ts";
import { FrameTooLargeError } from "../../framing.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, frame, numbered } from "./messages.ts";
import { testOver, transformStreams } from "./stream_pairs.ts";

Deno.test("Channel.receiveInto() does not take a message that an earlier call already waits for", async () => {
  const messages = [1, 2, 3].map((n) => new Uint8Array(n).fill(n));
  const bytes = concat(messages.map(frame));
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const first = channel.receive();
  await conn.give(bytes.subarray(0, 10)); // one and a header
  assertEquals(await first, messages[0]);
  await channel.send(Uint8Array.of(0));
  const second = channel.receive();
  const third = channel.receiveInto(new Uint8Array(9));
  await conn.take();
  await conn.give(bytes.subarray(10));
  assertEquals(await second, messages[1]);
  assertEquals((await second)?.buffer.byteLength, 2);
  assertEquals(await third, messages[2]);
  assertEquals((await third)?.buffer.byteLength, 9);
  channel.abort();
});

testOver(
  "Channel.receiveInto() receives into the memory given",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    let view = new Uint8Array(new ArrayBuffer(500_010), 10);
    for (const length of [0, 5, 40_000, 70_000, 500_000]) {
      const received = b.receiveInto(view);
      assertEquals(view.length, 0);
      a.send(numbered(length));
      const message = await received;
      assert(message);
      assertEquals(message, numbered(length));
      assertEquals(message.byteOffset, 10);
      assertEquals(message.buffer.byteLength, 500_010);
      assertInstanceOf(message.buffer, ArrayBuffer);
      view = new Uint8Array(message.buffer, 10);
    }
    a.closeWrite();
    assertEquals(await b.receiveInto(view), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.receiveInto() leaves a message that does not fit to the next call",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    for (const length of [10, 100_000]) {
      const waiting = b.receiveInto(new Uint8Array(9));
      a.send(numbered(length));
      const error = await assertRejects(() => waiting, FrameTooLargeError);
      assertEquals(error.length, length);
      assertEquals(error.maxFrameLength, 9);
      await assertRejects(
        () => b.receiveInto(new Uint8Array(9)),
        RangeError,
        `Cannot receive message of ${length} bytes: the view has 9`,
      );
      assertEquals(
        await b.receiveInto(new Uint8Array(length)),
        numbered(length),
      );
    }
    // Those who wait behind it get it.
    const all = [
      b.receiveInto(new Uint8Array(1)),
      b.receive(),
      b.receiveInto(new Uint8Array(1)),
    ] as const;
    a.send(numbered(2));
    a.send(A);
    await assertRejects(() => all[0], FrameTooLargeError);
    assertEquals(await all[1], numbered(2));
    assertEquals(await all[2], A);
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.receiveInto() does not ask the serialization", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const b = new Channel(right, { serialization: json() });
  a.send(A);
  assertEquals(await b.receiveInto(new Uint8Array(1)), A);
  a.abort();
  b.abort();
});

Deno.test("Channel.receiveInto() rejects with TypeError for memory that cannot be transferred", async () => {
  const [stream] = transformStreams();
  const channel = new Channel(stream);
  const detached = new Uint8Array(1);
  detached.buffer.transfer();
  for (
    const view of [
      new Uint8Array(new SharedArrayBuffer(1)),
      new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer),
      detached,
    ]
  ) await assertRejects(() => channel.receiveInto(view), TypeError);
  channel.abort();
});
