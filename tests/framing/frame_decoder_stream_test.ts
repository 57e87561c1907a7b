import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  contentLength,
  FrameDecoderStream,
  FrameSyntaxError,
  FrameTooLargeError,
  lengthField,
  netstring,
  varint,
} from "../../framing.ts";
import {
  byteByByte,
  decode,
  decodeError,
  decodeStrings,
  DEFAULT_MAX_FRAME_LENGTH,
  describe,
  MIB,
  split,
  syntaxError,
  toBytes,
  tooLarge,
  toString,
  truncated,
} from "./encode_decode.ts";
import { formats, messagesOf, streamOf } from "./formats.ts";

Deno.test("FrameDecoderStream reads one frame in one packet", async () => {
  for (const { name, framing, frames } of formats) {
    for (const [frame, message] of frames) {
      assertEquals(
        await decodeStrings([toBytes(frame)], { framing }),
        [message],
        name,
      );
    }
  }
});

Deno.test("FrameDecoderStream reads many frames in one packet", async () => {
  for (const format of formats) {
    assertEquals(
      await decodeStrings([streamOf(format)], format),
      messagesOf(format),
      format.name,
    );
  }
});

Deno.test("FrameDecoderStream reads one frame over many packets", async () => {
  for (const { name, framing, frames } of formats) {
    for (const [frame, message] of frames) {
      assertEquals(
        await decodeStrings(byteByByte(toBytes(frame)), { framing }),
        [message],
        name,
      );
    }
  }
});

Deno.test("FrameDecoderStream reads an empty packet as nothing", async () => {
  const empty = toBytes("");
  for (const format of formats) {
    const chunks = byteByByte(streamOf(format)).flatMap((
      byte,
    ) => [byte, empty]);
    assertEquals(
      await decodeStrings(chunks, format),
      messagesOf(format),
      format.name,
    );
    assertEquals(await decodeStrings([empty], format), []);
    assertEquals(await decodeStrings([], format), []);
  }
});

Deno.test("FrameDecoderStream reads frames whose headers are cut", async () => {
  for (const { name, framing, headerLength, frames } of formats) {
    for (const [frame, message] of frames) {
      for (let cut = 1; cut < headerLength; cut++) {
        const chunks = split(toBytes(frame + frame), [cut, frame.length + cut]);
        assertEquals(
          await decodeStrings(chunks, { framing }),
          [message, message],
          name,
        );
      }
    }
  }
});

Deno.test("FrameDecoderStream reads frames whose payloads are cut", async () => {
  for (const { name, framing, headerLength, frames } of formats) {
    for (const [frame, message] of frames) {
      for (let cut = headerLength; cut < frame.length; cut++) {
        const chunks = split(toBytes(frame + frame), [cut, frame.length + cut]);
        assertEquals(
          await decodeStrings(chunks, { framing }),
          [message, message],
          name,
        );
      }
    }
  }
});

Deno.test("FrameDecoderStream reads three frames in any three packets", async () => {
  for (const format of formats) {
    const stream = streamOf(format);
    const messages = messagesOf(format);
    for (let second = 1; second < stream.length; second++) {
      for (let first = 1; first <= second; first++) {
        assertEquals(
          await decodeStrings(split(stream, [first, second]), format),
          messages,
          `${format.name}, cut at ${first} and ${second}`,
        );
      }
    }
  }
});

Deno.test("FrameDecoderStream reads three short frames in any packets at all", async () => {
  for (
    const [framing, stream, messages] of [
      [varint(), "\x01a\x00\x02bc", ["a", "", "bc"]],
      [netstring(), "1:a,0:,1:,,", ["a", "", ","]],
      [
        lengthField({ lengthFieldLength: 2, endianness: "big" }),
        "\x00\x01a\x00\x00\x00\x02bc",
        ["a", "", "bc"],
      ],
      [
        lengthField({
          lengthFieldLength: 1,
          lengthFieldOffset: 1,
          initialBytesToStrip: 3,
        }),
        "x\x02ya?\x01?-\x03ybc",
        ["a", "", "bc"],
      ],
    ] as const
  ) {
    const bytes = toBytes(stream);
    for (let mask = 0; mask < 2 ** (bytes.length - 1); mask++) {
      const cuts: number[] = [];
      for (let at = 1; at < bytes.length; at++) {
        if (mask & 1 << (at - 1)) cuts.push(at);
      }
      assertEquals(
        await decodeStrings(split(bytes, cuts), { framing }),
        [...messages],
        `${JSON.stringify(stream)}, cut at ${cuts}`,
      );
    }
  }
});

Deno.test("FrameDecoderStream fails if the stream ends inside a frame", async () => {
  for (const format of formats) {
    const { name, headerLength, frames, delimiterLength } = format;
    const stream = streamOf(format);
    let begin = 0;
    for (const [index, [{ length }]] of frames.entries()) {
      for (let received = 1; received < length; received++) {
        const part = stream.subarray(0, begin + received);
        const isUnknown = delimiterLength || received < headerLength;
        const error = truncated(received, isUnknown ? undefined : length);
        assertEquals(
          await decodeStrings(byteByByte(part), format),
          [...messagesOf(format).slice(0, index), error],
          name,
        );
        assertEquals(await decodeError(part, format), error, name);
      }
      begin += length;
    }
  }
});

Deno.test("FrameDecoderStream takes a message at the limit and none over it, and knows as soon as it can", async () => {
  for (const format of formats) {
    const { name, framing, headerLength, frames, longest } = format;
    const { delimiterLength } = format;
    const [[frame, message]] = frames;
    const bytes = toBytes(frame);
    assertEquals(
      await decodeStrings([bytes], { framing, maxFrameLength: longest }),
      [message],
      name,
    );
    for (const maxFrameLength of [longest - 1, 0]) {
      const [length, enough] = delimiterLength
        ? [maxFrameLength + 1, maxFrameLength + delimiterLength]
        : [longest, headerLength];
      for (const stream of [bytes, bytes.subarray(0, enough)]) {
        assertEquals(
          await decodeError(stream, { framing, maxFrameLength }),
          tooLarge(length, maxFrameLength),
          name,
        );
      }
    }
  }
});

Deno.test("FrameDecoderStream has its own limit, independent of other streams with the same framing", async () => {
  for (const { name, framing, frames, longest } of formats) {
    const [[frame, message]] = frames;
    const chunks = byteByByte(toBytes(frame));
    const decoding = [longest - 1, longest, longest + 1].map((maxFrameLength) =>
      decodeStrings(chunks, { framing, maxFrameLength })
    );
    assertEquals(
      await Promise.all(decoding),
      [[tooLarge(longest, longest - 1)], [message], [message]],
      name,
    );
  }
});

Deno.test("FrameDecoderStream accepts up to 64 MiB by default", async () => {
  const framing = lengthField({ endianness: "big" });
  assertEquals(
    await decodeError(toBytes("\x04\x00\x00\x01"), { framing }),
    tooLarge(64 * MIB + 1, DEFAULT_MAX_FRAME_LENGTH),
  );
  assertEquals(
    describe((await decode([toBytes("\x04\x00\x00\x00")], { framing })).error),
    truncated(4, 64 * MIB + 4),
  );
  assertEquals(
    await decodeError(toBytes("\xff\xff\xff\xff"), { framing }),
    tooLarge(0xffffffff, DEFAULT_MAX_FRAME_LENGTH),
  );
});

Deno.test("FrameDecoderStream with a limit of 0 takes empty messages alone", async () => {
  const options = { framing: varint(), maxFrameLength: 0 };
  assertEquals(await decodeStrings([toBytes("\x00\x00")], options), ["", ""]);
  assertEquals(await decodeError(toBytes("\x00\x01a"), options), {
    name: "FrameTooLargeError",
    length: 1,
    maxFrameLength: 0,
  });
});

Deno.test("FrameDecoderStream gives the messages before the one that fails", async () => {
  for (
    const [name, framing, stream, error] of [
      ["syntax", netstring(), "1:a,1:b,x", syntaxError(8)],
      ["limit", netstring(), "1:a,1:b,9:c", tooLarge(9, 8)],
      ["end", netstring(), "1:a,1:b,2:c", truncated(3, 5)],
    ] as const
  ) {
    const decoded = await decode(byteByByte(toBytes(stream)), {
      framing,
      maxFrameLength: 8,
    });
    assertEquals(decoded.messages.map(toString), ["a", "b"], name);
    assertEquals(describe(decoded.error), error);
  }
});

Deno.test("FrameDecoderStream takes nothing more after an error", async () => {
  const { readable, writable } = new FrameDecoderStream({
    framing: netstring(),
  });
  const writer = writable.getWriter();
  const reader = readable.getReader();
  const read = assertRejects(() => reader.read(), FrameSyntaxError);
  const first = await assertRejects(
    () => writer.write(toBytes("x")),
    FrameSyntaxError,
  );
  const second = await assertRejects(() => writer.write(toBytes("1:a,")));
  assertStrictEquals(second, first);
  assertStrictEquals(await read, first);
  assertStrictEquals(await assertRejects(() => writer.closed), first);
  assertStrictEquals(await assertRejects(() => reader.read()), first);
});

Deno.test("FrameDecoderStream refuses a chunk that is no Uint8Array", async () => {
  for (const chunk of ["\x00", new ArrayBuffer(1), [0], new Uint16Array(1)]) {
    const { readable, writable } = new FrameDecoderStream({
      framing: varint(),
    });
    const writer: WritableStreamDefaultWriter<unknown> = writable.getWriter();
    const read = assertRejects(
      () => readable.getReader().read(),
      TypeError,
      "Cannot decode chunk: it is not a Uint8Array",
    );
    await assertRejects(() => writer.write(chunk), TypeError);
    await read;
    await assertRejects(() => writer.closed, TypeError);
  }
});

/** A stream that never ends. */
function* endless(begin: string, repeat: string) {
  yield toBytes(begin);
  while (true) yield toBytes(repeat);
}

Deno.test("FrameDecoderStream fails at an endless header", async () => {
  for (
    const [framing, begin, repeat, offset] of [
      [varint(), "", "\x80", 9],
      [varint(), "\x01a", "\xff\xff\xff\xff", 11],
      [netstring(), "", "1", 16],
      [netstring(), "1:a,", "999", 20],
      [netstring(), "", "0", 0],
      [contentLength(), "", "a", 4096],
      [contentLength(), "", "\r", 4096],
      [contentLength(), "", "a: b\r\n", 4096],
      [contentLength(), "", "Content-Length: 1\r\n", 19],
      [contentLength(), "Content-Length: 0\r\n\r\n", "\n".repeat(999), 21],
    ] as const
  ) {
    const { error } = await decode(endless(begin, repeat), { framing });
    assertEquals(describe(error), syntaxError(offset));
  }
});

Deno.test("FrameDecoderStream rejects a message that is too large for an ArrayBuffer", async () => {
  const { error } = await decode([new Uint8Array(8).fill(0xff, 0, 6)], {
    framing: lengthField({ lengthFieldLength: 8, endianness: "little" }),
    maxFrameLength: Number.MAX_SAFE_INTEGER,
  });
  assertInstanceOf(error, FrameTooLargeError);
  assertEquals(error.length, 2 ** 48 - 1);
});
