import {
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  contentLength,
  FrameDecoderStream,
  FrameTooLargeError,
  lengthField,
  netstring,
  varint,
} from "../../framing.ts";
import {
  byteByByte,
  decode,
  decodeStrings,
  describe,
  MIB,
  split,
  toBytes,
  tooLarge,
  toString,
} from "./encode_decode.ts";
import { formats, messagesOf, streamOf } from "./formats.ts";

/** Chunks in one buffer, as a reader gives that reads into its own memory. */
function* inOneBuffer(stream: Uint8Array, buffer: Uint8Array) {
  for (let at = 0; at < stream.length; at += buffer.length) {
    const part = stream.subarray(at, at + buffer.length);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    assertEquals(buffer.subarray(0, part.length), part);
  }
  buffer.fill(0xee);
}

Deno.test("FrameDecoderStream does not keep a chunk", async () => {
  for (const format of formats) {
    const stream = streamOf(format);
    for (let length = 1; length <= stream.length; length++) {
      const chunk = new Uint8Array(length);
      const { messages } = await decode(inOneBuffer(stream, chunk), format);
      assertEquals(messages.map(toString), messagesOf(format), format.name);
      const buffers = messages.map(({ buffer }) => buffer);
      assertEquals(new Set([...buffers, chunk.buffer]).size, 4);
      for (const message of messages) {
        assertStrictEquals(message.buffer.byteLength, message.byteLength);
      }
    }
  }
});

Deno.test("FrameDecoderStream decodes messages with their own memory from a node:buffer Buffer", async () => {
  const { Buffer } = await import("node:buffer");
  const chunk = Buffer.from("8:taco cat,1:a,2:b");
  const { readable, writable } = new FrameDecoderStream({
    framing: netstring(),
  });
  const reading = Array.fromAsync(readable);
  const writer = writable.getWriter();
  await writer.write(chunk);
  chunk.fill(0);
  await writer.write(Buffer.from("c,"));
  await writer.close();
  const messages = await reading;
  assertEquals(messages.map(toString), ["taco cat", "a", "bc"]);
  for (const message of messages) {
    assertStrictEquals(message.constructor, Uint8Array);
    assertStrictEquals(message.buffer.byteLength, message.byteLength);
  }
});

Deno.test("FrameDecoderStream decodes messages with unshared memory from a SharedArrayBuffer", async () => {
  const chunk = new Uint8Array(new SharedArrayBuffer(4));
  chunk.set(toBytes("\x01a\x01b"));
  const { messages } = await decode([chunk], { framing: varint() });
  assertEquals(messages.map(toString), ["a", "b"]);
  for (const message of messages) {
    assertInstanceOf(message.buffer, ArrayBuffer);
  }
});

Deno.test("FrameDecoderStream reads chunks that are parts of one buffer", async () => {
  const framing = lengthField({ lengthFieldLength: 1 });
  const bytes = toBytes("\x02ab\x01c\x00");
  const chunks = [bytes.subarray(0, 3), bytes.subarray(3)];
  assertEquals(await decodeStrings(chunks, { framing }), ["ab", "c", ""]);
});

Deno.test("FrameDecoderStream reads chunks of a buffer that has shrunk", async () => {
  const framing = lengthField({ endianness: "big" });
  const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
  const chunk = new Uint8Array(buffer);
  function* chunks() {
    chunk.set(toBytes("\x00\x00\x00\x04taco"));
    yield chunk;
    buffer.resize(7);
    chunk.set(toBytes("\x00\x00\x00\x03cat"));
    yield chunk;
  }
  assertEquals(await decodeStrings(chunks(), { framing }), ["taco", "cat"]);
});

Deno.test("FrameDecoderStream allocates no memory for a header over the limit", async () => {
  for (
    const [framing, header, length] of [
      [lengthField({ endianness: "big" }), "\xff\xff\xff\xff", 2 ** 32 - 1],
      [
        lengthField({ lengthFieldLength: 8, endianness: "big" }),
        "\x00\x00\x00\x00\x08\x00\x00\x01",
        2 ** 27 + 1,
      ],
      [varint(), "\x81\x80\x80\x40", 2 ** 27 + 1],
      [netstring(), "134217729:", 2 ** 27 + 1],
      [contentLength(), "Content-Length: 134217729\r\n\r\n", 2 ** 27 + 1],
    ] as const
  ) {
    const { readable, writable } = new FrameDecoderStream({
      framing,
      maxFrameLength: 2 ** 27,
    });
    const writer = writable.getWriter();
    const read = assertRejects(
      () => readable.getReader().read(),
      FrameTooLargeError,
    );
    const before = Deno.memoryUsage().external;
    await assertRejects(
      async () => {
        for (const byte of byteByByte(toBytes(header))) {
          await writer.write(byte);
        }
      },
      FrameTooLargeError,
    );
    assertLessOrEqual(Deno.memoryUsage().external - before, MIB);
    assertEquals(describe(await read), tooLarge(length, 2 ** 27));
    await assertRejects(() => writer.closed, FrameTooLargeError);
  }
});

Deno.test("FrameDecoderStream allocates the memory of one message at a time, and a constant", async () => {
  const maxFrameLength = 16 * MIB;
  const chunk = new Uint8Array(MIB);
  for (
    const [framing, header, trailer] of [
      [lengthField({ endianness: "big" }), "\x01\x00\x00\x00", ""],
      [varint(), "\x80\x80\x80\x08", ""],
      [netstring(), "16777216:", ","],
      [contentLength(), "Content-Length: 16777216\r\n\r\n", ""],
    ] as const
  ) {
    const { readable, writable } = new FrameDecoderStream({
      framing,
      maxFrameLength,
    });
    const writer = writable.getWriter();
    const reading = readable.getReader().read();
    const before = Deno.memoryUsage().external;
    const write = async (bytes: Uint8Array) => {
      await writer.write(bytes);
      assertLessOrEqual(
        Deno.memoryUsage().external - before,
        maxFrameLength + MIB / 4,
      );
    };
    // The first of these headers is one, the others are what it announced.
    const headers = toBytes(header.repeat(1000));
    for (const part of split(headers, [1, 3, 3 * header.length])) {
      await write(part);
    }
    let missing = maxFrameLength - 999 * header.length;
    for (; missing > MIB; missing -= MIB) await write(chunk);
    await write(chunk.subarray(0, missing));
    if (trailer) await write(toBytes(trailer));
    const { value } = await reading;
    assertEquals(value?.length, maxFrameLength);
    await writer.abort();
  }
});
