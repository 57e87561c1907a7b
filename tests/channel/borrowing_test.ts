import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertStrictEquals,
  fail,
} from "@std/assert";
import { concat, equals } from "@std/bytes";
import fc from "fast-check";
import { bytes, Channel, type Serialization } from "../../channel.ts";
import { delimiter, lengthField, netstring } from "../../framing.ts";
import { FrameDecoder } from "../../framing/decoder.ts";
import { FrameEncoder } from "../../framing/encoder.ts";
import { socketPair } from "../../pair.ts";
import { FakeConn } from "./fake_conn.ts";
import { frame } from "./messages.ts";
import { byteStreams, transformStreams } from "./stream_pairs.ts";

const BORROW = { serialization: bytes({ borrow: true }) };

/** A borrowed view, and a copy of its first content. */
interface Lent {
  view: Uint8Array;
  copy: Uint8Array;
}

function lend(view: Uint8Array): Lent {
  return { view, copy: view.slice() };
}

function assertUnchanged(lent: Lent[]) {
  for (const { view, copy } of lent) assertSame(view, copy);
}

/** assertEquals() takes long for long arrays. */
function assertSame(view: Uint8Array, expected: Uint8Array | undefined) {
  if (expected && equals(view, expected)) return;
  assertEquals(view.slice(0, 40), expected?.slice(0, 40));
  assertEquals(view.length, expected?.length);
  fail("The bytes differ further on");
}

/** Lengths of messages: short ones, some beyond a short read, beyond a block. */
const anyLengths = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.nat(100) },
    { weight: 2, arbitrary: fc.integer({ min: 3900, max: 4200 }) },
    { weight: 1, arbitrary: fc.constantFrom(70_000, 140_000, 300_000) },
  ),
  { minLength: 1, maxLength: 12 },
);

function messagesOf(lengths: number[]): Uint8Array<ArrayBuffer>[] {
  return lengths.map((length, i) =>
    new Uint8Array(length).fill(0x61 + (i % 20))
  );
}

Deno.test("FrameDecoder never writes to a message that is lent", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(lengthField(), netstring(), delimiter()),
      anyLengths,
      fc.infiniteStream(fc.oneof(
        fc.constant("release"),
        fc.constant("release"),
        fc.integer({ min: 1, max: 300_000 }),
        fc.integer({ min: 1, max: 5000 }),
      )),
      (framing, lengths, steps) => {
        const messages = messagesOf(lengths);
        const encoder = new FrameEncoder(framing, {});
        const stream = concat(messages.map((m) => encoder.encode(m)));
        const decoder = new FrameDecoder(framing, {});
        let lent: Lent[] = [];
        const release = () => {
          decoder.releaseLent();
          lent = [];
        };
        let at = 0;
        for (const expected of messages) {
          let view;
          while ((view = decoder.next(undefined, false)) === undefined) {
            const step = steps.next().value;
            // Without a release: a read that no receiver requested, while a message is lent.
            if (step === "release") {
              release();
              continue;
            }
            const target = decoder.readTarget();
            const part = stream.subarray(
              at,
              at + Math.min(Number(step), target.length),
            );
            target.fill(0xee).set(part);
            decoder.advance(part.length);
            at += part.length;
            assertUnchanged(lent);
          }
          assertSame(view, expected);
          decoder.lend();
          lent.push(lend(view));
          assertUnchanged(lent);
          if (steps.next().value === "release") release();
        }
      },
    ),
    { numRuns: 300 },
  );
});

for (
  const [name, pair] of [
    ["a socket", socketPair],
    ["byte streams", byteStreams],
    ["other streams", transformStreams],
  ] as const
) {
  Deno.test(`Channel over ${name} does not change a borrowed view before the next call`, async () => {
    await fc.assert(
      fc.asyncProperty(
        anyLengths,
        fc.boolean(),
        async (lengths, isWatched) => {
          const [left, right] = await pair();
          await using sender = new Channel(left);
          await using receiver = new Channel(right, BORROW);
          if (isWatched) receiver.closed.catch(() => {});
          const messages = messagesOf(lengths);
          const sending = Promise.all(messages.map((m) => sender.send(m)))
            .then(() => sender.closeWrite());
          sending.catch(() => {}); // this test fails first
          const iterator = receiver[Symbol.asyncIterator]();
          for (const [i, message] of messages.entries()) {
            const view = i % 2 === 0
              ? await receiver.receive()
              : (await iterator.next()).value;
            assert(view);
            const lent = [lend(view)];
            assertSame(view, message);
            // A read that is pending now uses other memory.
            await new Promise((resolve) => setTimeout(resolve));
            assertUnchanged(lent);
          }
          await sending;
        },
      ),
      { numRuns: 40 },
    );
  });
}

Deno.test("Channel.readable copies borrowed messages", async () => {
  const [left, right] = await socketPair();
  await using sender = new Channel(left);
  await using receiver = new Channel(right, BORROW);
  const messages = messagesOf([64, 5000, 64, 140_000, 300_000, 64]);
  const sending = Promise.all(messages.map((m) => sender.send(m)));
  const reader = receiver.readable.getReader();
  const reads = await Promise.all(messages.map(() => reader.read()));
  for (const [i, { value }] of reads.entries()) {
    assert(value);
    assertSame(value, messages[i]);
    assertEquals(value.buffer.byteLength, value.length);
  }
  await sending;
});

Deno.test("Channel of borrowed messages reuses its memory to read", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, BORROW);
  const message = new Uint8Array(64).fill(7);
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 50; i++) {
    const receiving = channel.receive();
    await conn.give(frame(message));
    const view = await receiving;
    assert(view);
    assertEquals(view, message);
    buffers.add(view.buffer);
  }
  // One for the read, and one for the message that is still borrowed.
  assertLessOrEqual(buffers.size, 3);
  channel.abort();
});

Deno.test("Channel of borrowed messages reuses the memory of a large message", async () => {
  const [left, right] = await socketPair();
  await using sender = new Channel(left);
  await using receiver = new Channel(right, BORROW);
  const message = new Uint8Array(1024 * 1024).fill(7);
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 10; i++) {
    const sending = sender.send(message);
    const view = await receiver.receive();
    assert(view);
    assertEquals(view.length, message.length);
    buffers.add(view.buffer);
    await sending;
  }
  assertEquals(buffers.size, 1);
});

Deno.test("Channel.close() does not change a borrowed message", async () => {
  const [left, right] = await socketPair();
  await using sender = new Channel(left);
  const first = new Channel(right, BORROW);
  await sender.send(new Uint8Array(64).fill(7));
  const view = await first.receive();
  assert(view);
  await first.close();

  const [other, another] = await socketPair();
  await using busy = new Channel(other);
  await using second = new Channel(another, BORROW);
  for (let i = 0; i < 20; i++) {
    const sending = busy.send(new Uint8Array(100_000).fill(9));
    await second.receive();
    await sending;
  }
  assertEquals(view, new Uint8Array(64).fill(7));
});

Deno.test("Channel allocates no memory for messages of a custom serialization that borrows", async () => {
  const memory = new Uint8Array(8);
  const seen: Uint8Array[] = [];
  const numbers: Serialization<number> = {
    borrows: true,
    serialize(message) {
      new DataView(memory.buffer).setFloat64(0, message);
      return memory;
    },
    deserialize(bytes) {
      seen.push(bytes);
      return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
    },
  };
  const [left, right] = await socketPair();
  await using sender = new Channel(left, { serialization: numbers });
  await using receiver = new Channel(right, { serialization: numbers });
  // Each is copied at the call, as the memory is used again at the next one.
  const sent = [0.5, 1.5, 2.5].map((number) => sender.send(number));
  assertEquals(await receiver.receive(), 0.5);
  assertEquals(await receiver.receive(), 1.5);
  assertEquals(await receiver.receive(), 2.5);
  await Promise.all(sent);
  assertStrictEquals(seen[0]?.buffer, seen[1]?.buffer);
  assert((seen[0]?.buffer.byteLength ?? 0) > 8);
});
