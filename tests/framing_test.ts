import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import {
  contentLength,
  FrameDecoder,
  FrameDecoderStream,
  FrameEncoder,
  FrameEncoderStream,
  FrameSyntaxError,
  FrameTooLargeError,
  type Framing,
  type FramingOptions,
  lengthField,
  type LengthFieldOptions,
  netstring,
  TruncatedFrameError,
  varint,
} from "../framing.ts";

/** Bytes written as the characters of Latin-1: `"\x00\x08taco cat"`. */
function toBytes(string: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(string, (character) => character.charCodeAt(0));
}

function toString(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

async function encode(
  messages: Uint8Array[],
  options?: FramingOptions,
): Promise<Uint8Array> {
  const frames = ReadableStream.from(messages)
    .pipeThrough(new FrameEncoderStream(options));
  return concat(await Array.fromAsync(frames));
}

interface Decoded {
  messages: Uint8Array[];
  error?: unknown;
}

/** Decode until the end or the first error. */
async function decode(
  chunks: Iterable<Uint8Array>,
  options?: FramingOptions,
): Promise<Decoded> {
  const messages: Uint8Array[] = [];
  const stream = ReadableStream.from(chunks)
    .pipeThrough(new FrameDecoderStream(options));
  try {
    for await (const message of stream) messages.push(message);
    return { messages };
  } catch (error) {
    return { messages, error };
  }
}

/** The messages as strings, and then the error, if there is one. */
async function decodeStrings(
  chunks: Iterable<Uint8Array>,
  options?: FramingOptions,
): Promise<unknown[]> {
  const { messages, error } = await decode(chunks, options);
  const strings = messages.map(toString);
  return error === undefined ? strings : [...strings, describe(error)];
}

/** Copies of the bytes between the cuts. */
function split(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  return [...cuts, bytes.length].map((end, i) =>
    bytes.slice(cuts[i - 1] ?? 0, end)
  );
}

function byteByByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

/** What an error says, to be compared. */
function describe(error: unknown): unknown {
  if (error instanceof FrameSyntaxError) {
    return { name: error.name, offset: error.offset };
  }
  if (error instanceof FrameTooLargeError) {
    const { name, length, maxFrameLength } = error;
    return { name, length, maxFrameLength };
  }
  if (error instanceof TruncatedFrameError) {
    const { name, received, expected } = error;
    return { name, received, expected };
  }
  return error;
}

/** Decode in one chunk and byte by byte: both must end in the same error. */
async function decodeError(
  bytes: Uint8Array,
  options: FramingOptions,
): Promise<unknown> {
  const { error: whole } = await decode([bytes], options);
  const { error } = await decode(byteByByte(bytes), options);
  assert(error instanceof Error, `${toString(bytes)} was decoded`);
  assert(whole instanceof Error);
  assertEquals(describe(whole), describe(error));
  assertEquals(whole.message, error.message);
  return describe(error);
}

function syntaxError(offset: number) {
  return { name: "FrameSyntaxError", offset };
}

function tooLarge(length: number, maxFrameLength: number) {
  return { name: "FrameTooLargeError", length, maxFrameLength };
}

function truncated(received: number, expected?: number) {
  return { name: "TruncatedFrameError", received, expected };
}

const MIB = 1024 * 1024;
const DEFAULT_MAX_FRAME_LENGTH = 64 * MIB;
const native = toString(new Uint8Array(Uint32Array.of(8, 0, 1).buffer));

interface Format {
  name: string;
  framing: Framing;
  headerLength: number;
  /** Frames beside their messages, the longest first. */
  frames: [[string, string], ...[string, string][]];
  /** Bytes of the longest message. */
  longest: number;
}
const formats: Format[] = [
  {
    name: "lengthField()",
    framing: lengthField(),
    longest: 8,
    headerLength: 4,
    frames: [
      [`${native.slice(0, 4)}taco cat`, "taco cat"],
      [native.slice(4, 8), ""],
      [`${native.slice(8)}\x00`, "\x00"],
    ],
  },
  {
    name: "lengthField() big-endian",
    framing: lengthField({ endianness: "big" }),
    longest: 8,
    headerLength: 4,
    frames: [
      ["\x00\x00\x00\x08taco cat", "taco cat"],
      ["\x00\x00\x00\x00", ""],
      ["\x00\x00\x00\x01\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() of 1 byte",
    framing: lengthField({ lengthFieldLength: 1 }),
    longest: 8,
    headerLength: 1,
    frames: [["\x08taco cat", "taco cat"], ["\x00", ""], ["\x01\x00", "\x00"]],
  },
  {
    name: "lengthField() of 3 bytes, little-endian",
    framing: lengthField({ lengthFieldLength: 3, endianness: "little" }),
    longest: 8,
    headerLength: 3,
    frames: [
      ["\x08\x00\x00taco cat", "taco cat"],
      ["\x00\x00\x00", ""],
      ["\x01\x00\x00\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() of 8 bytes, big-endian",
    framing: lengthField({ lengthFieldLength: 8, endianness: "big" }),
    longest: 8,
    headerLength: 8,
    frames: [
      ["\x00\x00\x00\x00\x00\x00\x00\x08taco cat", "taco cat"],
      ["\x00\x00\x00\x00\x00\x00\x00\x00", ""],
      ["\x00\x00\x00\x00\x00\x00\x00\x01\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() that counts itself",
    framing: lengthField({
      lengthFieldLength: 2,
      endianness: "big",
      lengthAdjustment: -2,
    }),
    longest: 8,
    headerLength: 2,
    frames: [
      ["\x00\x0ataco cat", "taco cat"],
      ["\x00\x02", ""],
      ["\x00\x03\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() as PostgreSQL",
    framing: lengthField({
      endianness: "big",
      lengthFieldOffset: 1,
      lengthAdjustment: -4,
      initialBytesToStrip: 0,
    }),
    longest: 13,
    headerLength: 5,
    frames: [
      ["Q\x00\x00\x00\x0ctaco cat", "Q\x00\x00\x00\x0ctaco cat"],
      ["S\x00\x00\x00\x04", "S\x00\x00\x00\x04"],
      ["X\x00\x00\x00\x05\x00", "X\x00\x00\x00\x05\x00"],
    ],
  },
  {
    name: "lengthField() that strips more than the header",
    framing: lengthField({
      lengthFieldLength: 2,
      endianness: "big",
      lengthFieldOffset: 1,
      initialBytesToStrip: 5,
    }),
    longest: 8,
    headerLength: 5,
    frames: [
      ["\x00\x00\x0a\x00\x00taco cat", "taco cat"],
      ["\x00\x00\x02\x00\x00", ""],
      ["\x00\x00\x03\x00\x00\x00", "\x00"],
    ],
  },
  {
    name: "varint()",
    framing: varint(),
    longest: 8,
    headerLength: 1,
    frames: [["\x08taco cat", "taco cat"], ["\x00", ""], ["\x01\x00", "\x00"]],
  },
  {
    name: "netstring()",
    framing: netstring(),
    longest: 8,
    headerLength: 2,
    frames: [["8:taco cat,", "taco cat"], ["0:,", ""], ["1:\x00,", "\x00"]],
  },
  {
    name: "contentLength()",
    framing: contentLength(),
    longest: 8,
    headerLength: 21,
    frames: [
      ["Content-Length: 8\r\n\r\ntaco cat", "taco cat"],
      ["Content-Length: 0\r\n\r\n", ""],
      ["Content-Length: 1\r\n\r\n\x00", "\x00"],
    ],
  },
];

/** All frames of a format, one behind the other. */
function streamOf({ frames }: Format): Uint8Array<ArrayBuffer> {
  return toBytes(frames.map(([frame]) => frame).join(""));
}

function messagesOf({ frames }: Format): string[] {
  return frames.map(([, message]) => message);
}

Deno.test("FrameEncoderStream writes a frame for each message", async () => {
  for (const format of formats) {
    const { name, framing, frames } = format;
    const encoded = ReadableStream.from(messagesOf(format).map(toBytes))
      .pipeThrough(new FrameEncoderStream({ framing }));
    assertEquals(
      (await Array.fromAsync(encoded)).map(toString),
      frames.map(([frame]) => frame),
      name,
    );
  }
});

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

Deno.test("FrameDecoderStream fails where the stream ends inside a frame", async () => {
  for (const format of formats) {
    const { name, headerLength, frames } = format;
    const stream = streamOf(format);
    let begin = 0;
    for (const [index, [{ length }]] of frames.entries()) {
      for (let received = 1; received < length; received++) {
        const part = stream.subarray(0, begin + received);
        const error = truncated(
          received,
          received < headerLength ? undefined : length,
        );
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

Deno.test("FrameDecoderStream takes a message at the limit and none over it, and knows by the header", async () => {
  for (const { name, framing, headerLength, frames, longest } of formats) {
    const [[frame, message]] = frames;
    const bytes = toBytes(frame);
    assertEquals(
      await decodeStrings([bytes], { framing, maxFrameLength: longest }),
      [message],
      name,
    );
    for (const maxFrameLength of [longest - 1, 0]) {
      for (const stream of [bytes, bytes.subarray(0, headerLength)]) {
        assertEquals(
          await decodeError(stream, { framing, maxFrameLength }),
          tooLarge(longest, maxFrameLength),
          name,
        );
      }
    }
  }
});

Deno.test("FrameEncoderStream takes a message at the limit and none over it", async () => {
  for (const { name, framing, frames, longest } of formats) {
    const [[frame, message]] = frames;
    const messages = [toBytes(message)];
    assertEquals(
      toString(await encode(messages, { framing, maxFrameLength: longest })),
      frame,
      name,
    );
    const maxFrameLength = longest - 1;
    const error = await assertRejects(
      () => encode(messages, { framing, maxFrameLength }),
      FrameTooLargeError,
      `Cannot send message of ${longest} bytes: maxFrameLength is ${maxFrameLength}`,
    );
    assertEquals(describe(error), tooLarge(longest, maxFrameLength), name);
  }
});

Deno.test("FrameDecoderStream has a limit of its own, whatever another stream of the same framing has", async () => {
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

Deno.test("FrameDecoderStream takes 64 MiB by default and no byte more", async () => {
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

Deno.test("FrameEncoderStream takes 64 MiB by default and no byte more", async () => {
  const error = await assertRejects(
    () => encode([new Uint8Array(64 * MIB + 1)]),
    FrameTooLargeError,
    "Cannot send message of 67108865 bytes: maxFrameLength is 67108864",
  );
  assertEquals(
    describe(error),
    tooLarge(64 * MIB + 1, DEFAULT_MAX_FRAME_LENGTH),
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

Deno.test("FrameEncoderStream refuses a message that is no Uint8Array", async () => {
  for (const message of ["a", new ArrayBuffer(1), [0], new Uint16Array(1)]) {
    const { readable, writable } = new FrameEncoderStream();
    const writer: WritableStreamDefaultWriter<unknown> = writable.getWriter();
    const read = assertRejects(
      () => readable.getReader().read(),
      TypeError,
      "Cannot encode message: it is not a Uint8Array",
    );
    await assertRejects(() => writer.write(message), TypeError);
    await read;
    await assertRejects(() => writer.closed, TypeError);
  }
});

Deno.test("FrameEncoderStream and FrameDecoderStream refuse a maxFrameLength that is no integer of 0 or more", () => {
  for (const maxFrameLength of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    for (const Stream of [FrameEncoderStream, FrameDecoderStream]) {
      assertThrows(
        () => new Stream({ maxFrameLength }),
        RangeError,
        "Cannot use maxFrameLength: ",
      );
    }
  }
});

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

Deno.test("FrameDecoderStream keeps nothing of a chunk that it was given", async () => {
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

Deno.test("FrameDecoderStream gives messages of their own memory out of a node:buffer Buffer", async () => {
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

Deno.test("FrameDecoderStream gives messages of unshared memory out of a SharedArrayBuffer", async () => {
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

Deno.test("FrameDecoderStream reads chunks of a buffer that was made smaller meanwhile", async () => {
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

Deno.test("FrameEncoderStream leaves the message as it is and keeps nothing of it", async () => {
  for (const { framing, frames } of formats) {
    for (const [frame, message] of frames) {
      const bytes = toBytes(message);
      const { readable, writable } = new FrameEncoderStream({ framing });
      const reader = readable.getReader();
      const read = reader.read();
      await writable.getWriter().write(bytes);
      assertEquals(toString(bytes), message);
      bytes.fill(0xee);
      assertEquals(toString((await read).value!), frame);
    }
  }
});

// Examples of the documentation of Netty's LengthFieldBasedFrameDecoder.
const HELLO = "HELLO, WORLD";
const nettyExamples: [LengthFieldOptions, string, string][] = [
  [
    { lengthFieldLength: 2, initialBytesToStrip: 0 },
    `\x00\x0c${HELLO}`,
    `\x00\x0c${HELLO}`,
  ],
  [
    { lengthFieldLength: 2, initialBytesToStrip: 2 },
    `\x00\x0c${HELLO}`,
    HELLO,
  ],
  [
    { lengthFieldLength: 2, lengthAdjustment: -2, initialBytesToStrip: 0 },
    `\x00\x0e${HELLO}`,
    `\x00\x0e${HELLO}`,
  ],
  [
    { lengthFieldOffset: 2, lengthFieldLength: 3, initialBytesToStrip: 0 },
    `\xca\xfe\x00\x00\x0c${HELLO}`,
    `\xca\xfe\x00\x00\x0c${HELLO}`,
  ],
  [
    { lengthFieldLength: 3, lengthAdjustment: 2, initialBytesToStrip: 0 },
    `\x00\x00\x0c\xca\xfe${HELLO}`,
    `\x00\x00\x0c\xca\xfe${HELLO}`,
  ],
  [
    {
      lengthFieldOffset: 1,
      lengthFieldLength: 2,
      lengthAdjustment: 1,
      initialBytesToStrip: 3,
    },
    `\xca\x00\x0c\xfe${HELLO}`,
    `\xfe${HELLO}`,
  ],
  [
    {
      lengthFieldOffset: 1,
      lengthFieldLength: 2,
      lengthAdjustment: -3,
      initialBytesToStrip: 3,
    },
    `\xca\x00\x10\xfe${HELLO}`,
    `\xfe${HELLO}`,
  ],
];

Deno.test("lengthField() gives its options the meanings that they have in Netty", async () => {
  for (const [options, frame, message] of nettyExamples) {
    const framing = lengthField({ ...options, endianness: "big" });
    const chunks = [toBytes(frame + frame)];
    assertEquals(await decodeStrings(chunks, { framing }), [message, message]);
    // What was stripped is lost: zeros are sent in its place.
    const sent = frame.startsWith("\xca") && !message.startsWith("\xca")
      ? frame.replace("\xca", "\x00")
      : frame;
    assertEquals(toString(await encode([toBytes(message)], { framing })), sent);
  }
});

Deno.test("lengthField() writes and reads fields of 1 to 8 bytes in both orders", async () => {
  for (let size = 1; size <= 8; size++) {
    // A digit in each byte of the field: 0x0102..., less the one byte of the message.
    const digits = Array.from({ length: Math.min(size, 6) }, (_, i) => i + 1);
    const value = digits.reduce((value, digit) => value * 256 + digit);
    const field = String.fromCharCode(
      ...Array<number>(size - digits.length).fill(0),
      ...digits,
    );
    const options = { lengthFieldLength: size, lengthAdjustment: 1 - value };
    const big = lengthField({ ...options, endianness: "big" });
    const little = lengthField({ ...options, endianness: "little" });
    const reversed = field.split("").reverse().join("");
    const cases = [[big, `${field}a`], [little, `${reversed}a`]] as const;
    for (const [framing, frame] of cases) {
      assertEquals(toString(await encode([toBytes("a")], { framing })), frame);
      assertEquals(await decodeStrings([toBytes(frame)], { framing }), ["a"]);
    }
  }
});

Deno.test('lengthField() with "native" has the order of the machine', async () => {
  for (
    const [size, field] of [
      [1, Uint8Array.of(1)],
      [2, Uint16Array.of(1)],
      [4, Uint32Array.of(1)],
      [8, BigUint64Array.of(1n)],
    ] as const
  ) {
    const frame = toString(new Uint8Array(field.buffer)) + "a";
    const framing = lengthField({
      lengthFieldLength: size,
      endianness: "native",
    });
    assertEquals(toString(await encode([toBytes("a")], { framing })), frame);
    assertEquals(await decodeStrings([toBytes(frame)], { framing }), ["a"]);
  }
});

Deno.test("lengthField() drops what stands before and behind the length field, whatever it is", async () => {
  const framing = lengthField({
    lengthFieldLength: 1,
    lengthFieldOffset: 2,
    lengthAdjustment: 2,
    initialBytesToStrip: 5,
  });
  assertEquals(
    await decodeStrings([toBytes("\xff\xfe\x03\xfd\xfccat")], { framing }),
    ["cat"],
  );
  assertEquals(
    toString(await encode([toBytes("cat")], { framing })),
    "\x00\x00\x03\x00\x00cat",
  );
});

Deno.test("lengthField() writes over the part of the message where its field is", async () => {
  const framing = lengthField({
    endianness: "big",
    lengthFieldOffset: 1,
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
  });
  assertEquals(
    toString(await encode([toBytes("Q????taco cat")], { framing })),
    "Q\x00\x00\x00\x0ctaco cat",
  );
  // The message begins inside the header: here with the third byte of the field.
  const inside = lengthField({ endianness: "big", initialBytesToStrip: 2 });
  assertEquals(
    toString(await encode([toBytes("??cat")], { framing: inside })),
    "\x00\x00\x00\x03cat",
  );
  assertEquals(
    await decodeStrings([toBytes("\x00\x00\x00\x03cat")], { framing: inside }),
    ["\x00\x03cat"],
  );
});

Deno.test("lengthField() refuses a message shorter than the header bytes that it must carry", async () => {
  const framing = lengthField({
    lengthFieldOffset: 1,
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
  });
  for (const message of ["", "Q\x00\x00\x00"]) {
    const error = await assertRejects(
      () => encode([toBytes(message)], { framing }),
      RangeError,
      `Cannot send message of ${message.length} bytes: in this framing it has at least 5`,
    );
    assert(!(error instanceof FrameTooLargeError));
  }
});

Deno.test("lengthField() refuses a message that its adjustment makes a length below zero of", async () => {
  const framing = lengthField({ lengthFieldLength: 1, lengthAdjustment: 3 });
  const error = await assertRejects(
    () => encode([toBytes("ab")], { framing }),
    RangeError,
    "Cannot send message of 2 bytes: in this framing it has at least 3",
  );
  assert(!(error instanceof FrameTooLargeError));
  assertEquals(
    toString(await encode([toBytes("abc")], { framing })),
    "\x00abc",
  );
  assertEquals(await decodeStrings([toBytes("\x00abc")], { framing }), ["abc"]);
});

Deno.test("lengthField() refuses a message over what the field can hold", async () => {
  for (
    const [options, limit] of [
      [{ lengthFieldLength: 1 }, 255],
      [{ lengthFieldLength: 2 }, 65535],
      [{ lengthFieldLength: 3 }, 2 ** 24 - 1],
      [{ lengthFieldLength: 1, lengthAdjustment: -1 }, 254],
      [{ lengthFieldLength: 1, lengthAdjustment: 5 }, 260],
      [{ lengthFieldLength: 1, initialBytesToStrip: 0 }, 256],
      [{ lengthFieldLength: 1, initialBytesToStrip: 3 }, 253],
    ] as const
  ) {
    const framing = lengthField(options);
    const longest = new Uint8Array(limit);
    const frame = await encode([longest], { framing });
    const { messages } = await decode([frame], { framing });
    assertEquals(messages[0]?.length, limit);
    const error = await assertRejects(
      () => encode([new Uint8Array(limit + 1)], { framing }),
      FrameTooLargeError,
      `Cannot send message of ${
        limit + 1
      } bytes: a ${options.lengthFieldLength}-byte length field holds at most ${limit}`,
    );
    assertEquals(describe(error), tooLarge(limit + 1, limit));
  }
});

Deno.test("lengthField() refuses a length below zero", async () => {
  for (
    const [options, frame, offset] of [
      [{ lengthAdjustment: -4 }, "\x00\x00\x00\x03", 0],
      [
        { lengthAdjustment: -4, lengthFieldOffset: 3 },
        "abc\x00\x00\x00\x00",
        3,
      ],
      // Netty also wants at least the header itself, even if the message is longer.
      [{ lengthAdjustment: -4, initialBytesToStrip: 0 }, "\x00\x00\x00\x03", 0],
      // Fewer bytes than are to be stripped.
      [{ initialBytesToStrip: 8 }, "\x00\x00\x00\x03????", 0],
      [{ lengthAdjustment: -(2 ** 53 - 1) }, "\xff\xff\xff\xff", 0],
      [
        { lengthAdjustment: -(2 ** 53 - 1), initialBytesToStrip: 8 },
        "\xff\xff\xff\xff",
        0,
      ],
    ] as const
  ) {
    const framing = lengthField({ ...options, endianness: "big" });
    assertEquals(
      await decodeError(toBytes(frame), { framing }),
      syntaxError(offset),
    );
  }
});

Deno.test("lengthField() tells where in the stream the wrong length is", async () => {
  const framing = lengthField({
    lengthFieldLength: 1,
    lengthFieldOffset: 1,
    lengthAdjustment: -2,
  });
  assertEquals(
    await decodeError(toBytes("?\x05abc?\x02?\x01"), { framing }),
    syntaxError(5 + 2 + 1),
  );
});

Deno.test("lengthField() reads values up to 2 ** 53 - 1 and refuses those beyond", async () => {
  for (
    const [field, value] of [
      ["\x00\x1f\xff\xff\xff\xff\xff\xff", 2 ** 53 - 1],
      ["\x00\x20\x00\x00\x00\x00\x00\x00", 2 ** 53],
      ["\x00\x20\x00\x00\x00\x00\x00\x01", 2 ** 53],
      ["\xff\xff\xff\xff\xff\xff\xff\xff", 2 ** 64],
      ["\x1f\xff\xff\xff\xff\xff\xff", 2 ** 53 - 1],
      ["\x20\x00\x00\x00\x00\x00\x00", 2 ** 53],
      ["\x20\x00\x00\x00\x00\x00\x01", 2 ** 53],
      ["\xff\xff\xff\xff\xff\xff\xff", 2 ** 56],
      ["\xff\xff\xff\xff\xff\xff", 2 ** 48 - 1],
      ["\xff\xff\xff\xff\xff", 2 ** 40 - 1],
    ] as const
  ) {
    for (const endianness of ["big", "little"] as const) {
      const framing = lengthField({
        lengthFieldLength: field.length,
        endianness,
      });
      const bytes = toBytes(field);
      if (endianness === "little") bytes.reverse();
      assertEquals(framing.decodeHeader(bytes, 0, bytes.length), {
        messageOffset: field.length,
        messageLength: value,
      });
      assertEquals(
        await decodeError(bytes, { framing }),
        tooLarge(value, DEFAULT_MAX_FRAME_LENGTH),
      );
    }
  }
});

Deno.test("lengthField() never makes a small length of a value beyond 2 ** 53 - 1", async () => {
  const framing = lengthField({
    lengthFieldLength: 8,
    endianness: "big",
    lengthAdjustment: -(2 ** 53 - 1),
  });
  assertEquals(
    await decodeStrings([toBytes("\x00\x1f\xff\xff\xff\xff\xff\xff")], {
      framing,
    }),
    [""],
  );
  assertEquals(
    await decodeError(toBytes("\x00\x20\x00\x00\x00\x00\x00\x00a"), {
      framing,
      maxFrameLength: Number.MAX_SAFE_INTEGER,
    }),
    tooLarge(2 ** 53, Number.MAX_SAFE_INTEGER),
  );
  const error = await assertRejects(
    () => encode([toBytes("a")], { framing }),
    FrameTooLargeError,
  );
  assertEquals(describe(error), tooLarge(1, 0));
});

Deno.test("lengthField() refuses numbers out of range", () => {
  const wrong: LengthFieldOptions[] = [
    ...[0, 9, 1.5, -1, NaN, Infinity].map((lengthFieldLength) => ({
      lengthFieldLength,
    })),
    ...[-1, 65537, 0.5, NaN, Infinity].flatMap((value) => [
      { lengthFieldOffset: value },
      { initialBytesToStrip: value },
    ]),
    ...[2 ** 53, -(2 ** 53), 0.5, NaN, -Infinity].map((lengthAdjustment) => ({
      lengthAdjustment,
    })),
  ];
  for (const options of wrong) {
    const [name] = Object.keys(options);
    assertThrows(
      () => lengthField(options),
      RangeError,
      `Cannot use ${name}: `,
    );
  }
});

Deno.test("lengthField() takes numbers at the ends of their ranges", async () => {
  const message = toBytes("taco cat");
  for (
    const options of [
      { lengthFieldOffset: 65536 },
      { initialBytesToStrip: 65536 },
      { lengthFieldLength: 8, lengthAdjustment: -(2 ** 53 - 1) + 8 },
    ]
  ) {
    const framing = lengthField(options);
    const frame = await encode([message], { framing });
    assertEquals(await decodeStrings([frame, frame], { framing }), [
      "taco cat",
      "taco cat",
    ]);
  }
});

Deno.test("lengthField() refuses an unknown endianness", () => {
  const options: object = { endianness: "middle" };
  assertThrows(
    () => lengthField(options),
    TypeError,
    'Cannot use endianness: "middle" is not "native", "big" or "little"',
  );
});

Deno.test("varint() writes as few bytes as suffice, 7 bits in each", async () => {
  for (
    const [length, header] of [
      [0, "\x00"],
      [1, "\x01"],
      [127, "\x7f"],
      [128, "\x80\x01"],
      [300, "\xac\x02"],
      [16383, "\xff\x7f"],
      [16384, "\x80\x80\x01"],
      [2097151, "\xff\xff\x7f"],
      [2097152, "\x80\x80\x80\x01"],
    ] as const
  ) {
    const framing = varint();
    const frame = await encode([new Uint8Array(length)], { framing });
    assertEquals(toString(frame.subarray(0, header.length)), header);
    assertEquals(frame.length, header.length + length);
    const { messages } = await decode([frame], { framing });
    assertEquals(messages.map(({ length }) => length), [length]);
  }
});

Deno.test("varint() reads lengths of up to 10 bytes", async () => {
  const framing = varint();
  for (
    const [header, length] of [
      ["\xff\xff\xff\xff\x0f", 2 ** 32 - 1],
      ["\x80\x80\x80\x80\x10", 2 ** 32],
      ["\xff\xff\xff\xff\xff\xff\xff\x0f", 2 ** 53 - 1],
      ["\x80\x80\x80\x80\x80\x80\x80\x10", 2 ** 53],
      ["\x81\x80\x80\x80\x80\x80\x80\x10", 2 ** 53],
      ["\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 2 ** 63],
      ["\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2 ** 64],
    ] as const
  ) {
    assertEquals(framing.decodeHeader(toBytes(header), 0, header.length), {
      messageOffset: header.length,
      messageLength: length,
    });
    assertEquals(
      await decodeError(toBytes(header), { framing }),
      tooLarge(length, DEFAULT_MAX_FRAME_LENGTH),
    );
  }
});

Deno.test("varint() refuses a length that takes more bytes than it needs", async () => {
  for (
    const [stream, offset] of [
      ["\x80\x00", 1],
      ["\x81\x00", 1],
      ["\xff\x80\x00", 2],
      ["\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 9],
      ["\x01a\x80\x00", 3],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(stream), { framing: varint() }),
      syntaxError(offset),
    );
  }
});

Deno.test("varint() refuses a length over 64 bits", async () => {
  for (const last of ["\x02", "\x03", "\x7f", "\x80", "\x81", "\xff"]) {
    for (const first of ["\x80", "\xff"]) {
      assertEquals(
        await decodeError(toBytes(first.repeat(9) + last), {
          framing: varint(),
        }),
        syntaxError(9),
      );
      assertEquals(
        await decodeError(toBytes("\x01a" + first.repeat(9) + last), {
          framing: varint(),
        }),
        syntaxError(11),
      );
    }
  }
});

/** A stream that never ends. */
function* endless(begin: string, repeat: string) {
  yield toBytes(begin);
  while (true) yield toBytes(repeat);
}

Deno.test("FrameDecoderStream fails at a header without end", async () => {
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
      [contentLength(), "", "Content-Length: 1\r\n", 4096],
      [contentLength(), "Content-Length: 0\r\n\r\n", "\n".repeat(999), 4117],
    ] as const
  ) {
    const { error } = await decode(endless(begin, repeat), { framing });
    assertEquals(describe(error), syntaxError(offset));
  }
});

Deno.test("netstring() refuses what is no netstring", async () => {
  for (
    const [stream, offset] of [
      ["a", 0],
      [":", 0],
      [",", 0],
      [" 1:a,", 0],
      ["-1:a,", 0],
      ["+1:a,", 0],
      ["/:", 0],
      ["\x00", 0],
      ["\xff", 0],
      ["1a", 1],
      ["1 :a,", 1],
      ["1,", 1],
      ["1.0:a,", 1],
      ["12;", 2],
      ["12/", 2],
      ["00:,", 0],
      ["01:a,", 0],
      ["007:", 0],
      ["12345678901234567", 16],
      ["99999999999999999:", 16],
      ["1234567890123456a", 16],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(stream), { framing: netstring() }),
      syntaxError(offset),
      JSON.stringify(stream),
    );
    assertEquals(
      await decodeError(toBytes(`3:cat,${stream}`), { framing: netstring() }),
      syntaxError(6 + offset),
      JSON.stringify(stream),
    );
  }
});

Deno.test("netstring() refuses a message without its comma", async () => {
  for (
    const [stream, offset] of [
      ["8:taco catx", 10],
      ["8:taco cat\x00", 10],
      ["0::", 2],
      ["1:a:1:b,", 3],
      ["2:a,1:b,", 4],
      ["0:,0:,1:a.", 9],
      ["10:taco cat..", 13],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(stream), { framing: netstring() }),
      stream.startsWith("10") ? truncated(13, 14) : syntaxError(offset),
      JSON.stringify(stream),
    );
  }
});

Deno.test("netstring() reads lengths of up to 16 digits", async () => {
  for (
    const [header, length] of [
      ["9007199254740991:", 2 ** 53 - 1],
      ["9007199254740993:", 2 ** 53],
      ["9999999999999999:", 1e16],
      ["67108865:", 64 * MIB + 1],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(header), { framing: netstring() }),
      tooLarge(length, DEFAULT_MAX_FRAME_LENGTH),
    );
  }
});

Deno.test("contentLength() reads headers of any order, letter case and white space", async () => {
  const type = "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n";
  for (
    const block of [
      "Content-Length: 8\r\n",
      "content-length: 8\r\n",
      "CONTENT-LENGTH: 8\r\n",
      "cOnTeNt-LeNgTh: 8\r\n",
      "Content-Length:8\r\n",
      "Content-Length:   8\r\n",
      "Content-Length:\t8\r\n",
      "Content-Length: 8 \t\r\n",
      `Content-Length: 8\r\n${type}`,
      `${type}Content-Length: 8\r\n`,
      `X: y\r\n${type}Content-Length: 8\r\nEmpty:\r\n`,
      "X-Content-Length: 9\r\nContent-Length: 8\r\nContent-Length-X: 7\r\n",
      "A: Content-Length: 9\r\nContent-Length: 8\r\n",
      "!#$%&'*+-.^_`|~09azAZ: any\xff\x00\r\nContent-Length: 8\r\n",
    ]
  ) {
    const frame = toBytes(`${block}\r\ntaco cat`);
    for (const chunks of [[frame, frame], byteByByte(frame)]) {
      const messages = await decodeStrings(chunks, {
        framing: contentLength(),
      });
      assertEquals(new Set(messages), new Set(["taco cat"]), block);
    }
  }
});

Deno.test("contentLength() leaves to the message what looks like a header", async () => {
  const messages = [
    "\r\n\r\n",
    "Content-Length: 3\r\n\r\nabc",
    "\r",
    "",
    "\n\r\n",
  ];
  const framing = contentLength();
  const stream = await encode(messages.map(toBytes), { framing });
  assertEquals(await decodeStrings([stream], { framing }), messages);
  assertEquals(await decodeStrings(byteByByte(stream), { framing }), messages);
});

Deno.test("contentLength() refuses what is no header block with one Content-Length of digits", async () => {
  for (
    const [block, offset] of [
      ["", 0],
      ["Content-Type: x\r\n", 0],
      ["Content-Length\r\n", 0],
      ["Content-Length: \r\n", 0],
      ["Content-Length: -8\r\n", 0],
      ["Content-Length: +8\r\n", 0],
      ["Content-Length: 8.0\r\n", 0],
      ["Content-Length: 0x8\r\n", 0],
      ["Content-Length: 8e0\r\n", 0],
      ["Content-Length: 8 8\r\n", 0],
      ["Content-Length: 8, 8\r\n", 0],
      ["Content-Length: eight\r\n", 0],
      ["Content-Length: \xb2\r\n", 0],
      ["Content-Length : 8\r\n", 0],
      [" Content-Length: 8\r\n", 0],
      [": 8\r\n", 0],
      ["Content Length: 8\r\n", 0],
      ["Content Type: x\r\nContent-Length: 8\r\n", 0],
      ["{}\r\nContent-Length: 8\r\n", 0],
      ["Content-Length: 8\nX: y\r\n", 0],
      ["Content-Length: 8\rX: y\r\n", 0],
      ["X: y\nz\r\nContent-Length: 8\r\n", 0],
      ["X: y\rz\r\nContent-Length: 8\r\n", 0],
      ["\r\nContent-Length: 8\r\n", 0],
      ["Content-Length: 8\r\nX: y\r\n folded\r\n", 25],
      ["Content-Length: 8\r\nX: y\r\n folded: z\r\n", 25],
      ["Content-Length: 8\r\nContent-Length: 8\r\n", 19],
      ["Content-Length: 8\r\nX: y\r\ncontent-length: 9\r\n", 25],
      ["X: y\r\nContent-Length: a\r\n", 6],
      ["X: y\r\ntaco cat\r\n", 6],
    ] as const
  ) {
    // The line break that ends the last header is the first half of the empty line.
    const bytes = block === "" ? "\r\n\r\n" : `${block}\r\n`;
    const stream = toBytes(`${bytes}taco cat`);
    assertEquals(
      await decodeError(stream, { framing: contentLength() }),
      syntaxError(offset),
      JSON.stringify(block),
    );
    const first = toBytes("Content-Length: 3\r\n\r\ncat");
    assertEquals(
      await decodeError(concat([first, stream]), { framing: contentLength() }),
      syntaxError(24 + offset),
      JSON.stringify(block),
    );
  }
});

Deno.test("contentLength() refuses a length beyond 2 ** 53 - 1", async () => {
  for (
    const [digits, length] of [
      ["9007199254740992", 2 ** 53],
      ["18446744073709551616", 2 ** 64],
      ["1" + "0".repeat(300), 1e300],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(`Content-Length: ${digits}\r\n\r\n`), {
        framing: contentLength(),
        maxFrameLength: Number.MAX_SAFE_INTEGER,
      }),
      tooLarge(length, Number.MAX_SAFE_INTEGER),
    );
  }
});

Deno.test("contentLength() takes a header block of 4 KiB and none over it", async () => {
  const framing = contentLength();
  const rest = "X: \r\nContent-Length: 3\r\n\r\n";
  const longest = `X: ${"x".repeat(4096 - rest.length)}${rest.slice(3)}`;
  assertEquals(longest.length, 4096);
  const frame = toBytes(`${longest}cat`);
  assertEquals(await decodeStrings([frame], { framing }), ["cat"]);
  assertEquals(await decodeStrings(split(frame, [4095]), { framing }), ["cat"]);
  assertEquals(await decodeStrings(split(frame, [4096]), { framing }), ["cat"]);

  const over = toBytes(`X${longest}cat`);
  for (const chunks of [[over], split(over, [4095]), split(over, [4096])]) {
    const { error } = await decode(chunks, { framing });
    assertEquals(describe(error), syntaxError(4096));
  }
  const { error } = await decode([frame, over], { framing });
  assertEquals(describe(error), syntaxError(frame.length + 4096));
});

Deno.test("contentLength() does not search a hostile header block over and over", async () => {
  // A regular expression with three ways to take a space would take a minute.
  const spaces = " ".repeat(4000);
  for (const block of [`a:${spaces}\nb`, `a:${spaces}x${spaces.slice(100)}`]) {
    const { error } = await decode([toBytes(`${block}\r\n\r\n`)], {
      framing: contentLength(),
    });
    assertInstanceOf(error, FrameSyntaxError);
  }
});

// A framing of a user's own: "<", length in one byte, the message, its sum in
// two bytes, ">".
const sum = (message: Uint8Array) =>
  message.reduce((sum, byte) => (sum + byte) % 65536, 0);
const checked: Framing = {
  maxHeaderLength: 2,
  trailerLength: 3,
  encodeHeader(message, bytes, start) {
    if (message.length > 255) {
      throw new FrameTooLargeError(
        "Cannot send message: too large for checked",
        {
          length: message.length,
          maxFrameLength: 255,
        },
      );
    }
    bytes.set([0x3c, message.length], start);
    return 2;
  },
  encodeTrailer(message, bytes, start) {
    bytes.set([sum(message) >> 8, sum(message) & 255, 0x3e], start);
  },
  decodeHeader(bytes, start, end) {
    if (bytes[start] !== 0x3c) {
      throw new FrameSyntaxError("Cannot decode frame: no <", { offset: 0 });
    }
    if (end - start < 2) return undefined;
    return { messageOffset: 2, messageLength: bytes[start + 1]! };
  },
  checkTrailer(message, bytes, start, { messageOffset, messageLength }) {
    const found = bytes[start]! * 256 + bytes[start + 1]!;
    if (found === sum(message) && bytes[start + 2] === 0x3e) return;
    throw new FrameSyntaxError("Cannot decode frame: wrong trailer", {
      offset: messageOffset + messageLength,
    });
  },
};

Deno.test("Framing of a user's own is encoded and decoded", async () => {
  const messages = ["taco cat", "", "\xff".repeat(255)];
  const stream = await encode(messages.map(toBytes), { framing: checked });
  assertEquals(
    toString(stream.subarray(0, 18)),
    "<\x08taco cat\x02\xff><\x00\x00\x00>",
  );
  assertEquals(await decodeStrings([stream], { framing: checked }), messages);
  assertEquals(
    await decodeStrings(byteByByte(stream), { framing: checked }),
    messages,
  );
});

Deno.test("Framing of a user's own gives errors where they are in the stream", async () => {
  for (
    const [stream, error] of [
      ["<\x01a\x00a><\x01b\x00c>", syntaxError(9)],
      ["<\x01a\x00a><\x01b\x00b.", syntaxError(9)],
      ["<\x01a\x00a>>", syntaxError(6)],
      ["<\x01a\x00a><", truncated(1)],
      ["<\x01a\x00a><\x01", truncated(2, 6)],
      ["<\x01a\x00a><\x01b\x00b", truncated(5, 6)],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(stream), { framing: checked }),
      error,
    );
  }
  const tooLong = await assertRejects(
    () => encode([new Uint8Array(256)], { framing: checked }),
    FrameTooLargeError,
    "too large for checked",
  );
  assertEquals(describe(tooLong), tooLarge(256, 255));
});

Deno.test("Framing.decodeHeader() may tell of a header that has not arrived as a whole", async () => {
  // The first byte is the length, the next two are dropped.
  const framing: Framing = {
    maxHeaderLength: 3,
    encodeHeader(message, bytes, start) {
      bytes.set([message.length, 0, 0], start);
      return 3;
    },
    decodeHeader: (bytes, start) => ({
      messageOffset: 3,
      messageLength: bytes[start]!,
    }),
  };
  const stream = toBytes("\x01??a\x00??");
  assertEquals(await decodeStrings([stream], { framing }), ["a", ""]);
  assertEquals(await decodeStrings(byteByByte(stream), { framing }), ["a", ""]);
  assertEquals(
    await decodeError(stream.subarray(0, 6), { framing }),
    truncated(2),
  );
});

Deno.test("Framing.decodeHeader() that wants more than maxHeaderLength is an error", async () => {
  const framing: Framing = {
    maxHeaderLength: 3,
    encodeHeader: () => 0,
    decodeHeader: (bytes, start) =>
      bytes[start] === 1 ? { messageOffset: 1, messageLength: 0 } : undefined,
  };
  assertEquals(
    await decodeError(toBytes("\x01\x01\x02\x02\x02"), { framing }),
    syntaxError(5),
  );
  assertEquals(
    await decodeError(toBytes("\x01\x01\x02\x02"), { framing }),
    truncated(2),
  );
});

Deno.test("Framing that throws an error of its own ends the stream with it", async () => {
  const reason = new Error("of its own");
  const throws = () => {
    throw reason;
  };
  const { error: inHeader } = await decode([toBytes("\x01a")], {
    framing: { ...varint(), decodeHeader: throws },
  });
  assertStrictEquals(inHeader, reason);
  const { error: inTrailer } = await decode([toBytes("1:a,")], {
    framing: { ...netstring(), checkTrailer: throws },
  });
  assertStrictEquals(inTrailer, reason);
  assertStrictEquals(
    await assertRejects(() =>
      encode([toBytes("a")], {
        framing: { ...varint(), encodeHeader: throws },
      })
    ),
    reason,
  );
});

Deno.test("FrameTooLargeError, FrameSyntaxError and TruncatedFrameError extend the closest built-in error", () => {
  const details = { length: 2, maxFrameLength: 1 };
  const large = new FrameTooLargeError("message", details);
  assertInstanceOf(large, RangeError);
  assertEquals(describe(large), tooLarge(2, 1));
  const syntax = new FrameSyntaxError("message", { offset: 3 });
  assertInstanceOf(syntax, SyntaxError);
  assertEquals(describe(syntax), syntaxError(3));
  const end = new TruncatedFrameError("message", { received: 4, expected: 5 });
  assertInstanceOf(end, Error);
  assertEquals(describe(end), truncated(4, 5));
  for (const error of [large, syntax, end]) {
    assertEquals(String(error), `${error.name}: message`);
  }
});

Deno.test("FrameDecoderStream takes no memory on the word of a header over the limit", async () => {
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

Deno.test("FrameDecoderStream takes the memory of one message at a time, and a constant", async () => {
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

// Properties.

/** A list of messages, most of them short, some near a limit of a header. */
const anyMessages = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc.uint8Array({ minLength: 120, maxLength: 136 }),
    fc.uint8Array({ minLength: 250, maxLength: 260 }),
    fc.uint8Array({ maxLength: 700 }),
  ),
  { maxLength: 6 },
);

const anyLengthFieldOptions: fc.Arbitrary<LengthFieldOptions> = fc.record({
  lengthFieldLength: fc.integer({ min: 1, max: 8 }),
  endianness: fc.constantFrom("native", "big", "little"),
  lengthFieldOffset: fc.nat(9),
  lengthAdjustment: fc.oneof(
    fc.integer({ min: -20, max: 20 }),
    fc.integer({ min: -(2 ** 17), max: 2 ** 8 }),
    fc.constantFrom(-(2 ** 32), -(2 ** 45) + 3, -(2 ** 53) + 700),
  ),
  initialBytesToStrip: fc.nat(20),
}, { requiredKeys: [] });

const anyFraming: fc.Arbitrary<Framing> = fc.oneof(
  { weight: 4, arbitrary: anyLengthFieldOptions.map(lengthField) },
  fc.constantFrom(varint(), netstring(), contentLength(), checked),
);

/** How to split bytes into chunks: at any places, or into chunks of one size. */
const anySplit: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array[]> = fc.oneof(
  fc.array(fc.nat(), { maxLength: 20 }).map((cuts) => (bytes: Uint8Array) =>
    split(
      bytes,
      cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b),
    )
  ),
  fc.integer({ min: 1, max: 40 }).map((size) => (bytes: Uint8Array) => {
    const cuts: number[] = [];
    for (let at = size; at < bytes.length; at += size) cuts.push(at);
    return split(bytes, cuts);
  }),
);

/**
 * What design.md says, with big integers: zeros and the message, and the length
 * field written in place.
 */
function expectedFrame(
  options: LengthFieldOptions,
  message: Uint8Array,
): Uint8Array | "too large" | "too short" {
  const {
    lengthFieldLength: size = 4,
    endianness = "native",
    lengthFieldOffset: offset = 0,
    lengthAdjustment = 0,
    initialBytesToStrip: strip = offset + size,
  } = options;
  const frame = concat([new Uint8Array(strip), message]);
  const following = BigInt(frame.length) - BigInt(offset + size);
  const value = following - BigInt(lengthAdjustment);
  if (value >= 2n ** BigInt(8 * size) || value >= 2n ** 53n) return "too large";
  if (value < 0n || following < 0n) return "too short";
  const field = Uint8Array.from(
    { length: size },
    (_, i) => Number(value >> BigInt(8 * i) & 255n),
  );
  const native = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
    ? "little"
    : "big";
  if ((endianness === "native" ? native : endianness) === "big") {
    field.reverse();
  }
  frame.set(field, offset);
  return frame;
}

Deno.test("lengthField() makes, for any options, the frame that the options describe, or none", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyLengthFieldOptions,
      fc.uint8Array({ maxLength: 300 }),
      async (options, message) => {
        const framing = lengthField(options);
        const expected = expectedFrame(options, message);
        if (expected === "too large") {
          const error = await assertRejects(
            () => encode([message], { framing }),
            FrameTooLargeError,
          );
          assertEquals(error.length, message.length);
          assert(error.maxFrameLength < message.length || message.length === 0);
        } else if (expected === "too short") {
          const error = await assertRejects(
            () => encode([message], { framing }),
            RangeError,
          );
          assert(!(error instanceof FrameTooLargeError));
        } else {
          assertEquals(await encode([message], { framing }), expected);
        }
      },
    ),
    { numRuns: 400 },
  );
});

/** The messages that the framing can express, as they come out again. */
function expressible(framing: Framing, messages: Uint8Array[]): Uint8Array[] {
  const encoder = new FrameEncoder({ framing });
  return messages.flatMap((message) => {
    try {
      // A length field inside the message is written over what was there.
      const frame = concat(encoder.encodeParts(message));
      return [
        framing.messageBytesInHeader
          ? frame.slice(frame.length - message.length)
          : message.slice(),
      ];
    } catch (error) {
      assertInstanceOf(error, RangeError);
      return [];
    }
  });
}

Deno.test("FrameDecoderStream gives back what FrameEncoderStream was given, for any framing and split", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyFraming,
      anyMessages,
      anySplit,
      async (framing, anyMessages, split) => {
        const messages = expressible(framing, anyMessages);
        const originals = messages.map((message) => message.slice());
        const stream = await encode(messages, { framing });
        assertEquals(messages, originals);

        const chunks = split(stream);
        const copies = chunks.map((chunk) => chunk.slice());
        function* overwriting() {
          for (const [i, chunk] of chunks.entries()) {
            yield chunk;
            // The next chunk is asked for: this one has been decoded.
            assertEquals(chunk, copies[i]!);
            chunk.fill(0xee);
          }
        }
        const { messages: decoded, error } = await decode(overwriting(), {
          framing,
        });
        assertEquals(error, undefined);
        assertEquals(decoded, messages);
        for (const message of decoded) {
          assertStrictEquals(message.buffer.byteLength, message.byteLength);
        }
        const buffers = [...decoded, ...chunks].map(({ buffer }) => buffer);
        assertEquals(new Set(buffers).size, buffers.length);
      },
    ),
    { numRuns: 300 },
  );
});

/** Bytes that are a stream of frames, but for a few changes. */
const damaged = fc.tuple(
  anyFraming,
  anyMessages,
  fc.array(fc.tuple(fc.nat(), fc.nat(2), fc.nat(255)), { maxLength: 3 }),
).map(([framing, messages, changes]) => {
  const encoder = new FrameEncoder({ framing });
  const bytes = [
    ...concat(
      expressible(framing, messages).flatMap((m) => encoder.encodeParts(m)),
    ),
  ];
  for (const [at, remove, byte] of changes) {
    bytes.splice(at % (bytes.length + 1), remove, byte);
  }
  return { framing, bytes: Uint8Array.from(bytes) };
});

/** Bytes of no sense, many of them such as headers are made of. */
const random = fc.record({
  framing: anyFraming,
  bytes: fc.array(
    fc.oneof(
      fc.nat(255),
      fc.nat(9),
      fc.constantFrom(
        ...toBytes("0123456789:,<>\r\n \x7f\x80\xff"),
      ),
    ),
    { maxLength: 200 },
  ).map((bytes) => Uint8Array.from(bytes)),
});

Deno.test("FrameDecoderStream makes messages or one of the three errors of any bytes, the same in any split", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(damaged, random),
      fc.integer({ min: 0, max: 300 }),
      anySplit,
      async ({ framing, bytes }, maxFrameLength, split) => {
        const options = { framing, maxFrameLength };
        const one = await decode(byteByByte(bytes), options);
        const other = await decode(split(bytes), options);
        let total = 0;
        for (const message of one.messages) {
          assertLessOrEqual(message.length, maxFrameLength);
          total += message.length;
        }
        assertLessOrEqual(total, bytes.length);
        if (one.error === undefined) {
          assertEquals(other.messages, one.messages);
        } else {
          // What comes before the error in one chunk may be lost with it.
          assertEquals(
            other.messages,
            one.messages.slice(0, other.messages.length),
          );
        }
        assertEquals(describe(other.error), describe(one.error));
        const { error } = one;
        if (error instanceof FrameSyntaxError) {
          assertLessOrEqual(error.offset, bytes.length);
          assertLessOrEqual(total, error.offset);
        } else if (error instanceof FrameTooLargeError) {
          assertEquals(error.maxFrameLength, maxFrameLength);
          assert(error.length > maxFrameLength);
        } else if (error instanceof TruncatedFrameError) {
          assertLessOrEqual(error.received + total, bytes.length);
          assert(
            error.expected === undefined || error.received < error.expected,
          );
        } else assertEquals(error, undefined);
      },
    ),
    { numRuns: 500 },
  );
});

// What Channel uses beneath the streams.

Deno.test("FrameEncoder.encodeInto() writes what encodeParts() returns, and nothing beside it", () => {
  fc.assert(fc.property(
    anyFraming,
    anyMessages,
    fc.nat(5),
    (framing, messages, start) => {
      const encoder = new FrameEncoder({ framing });
      for (const message of expressible(framing, messages)) {
        const expected = concat(encoder.encodeParts(message));
        const space = message.length + encoder.maxOverhead;
        assertLessOrEqual(expected.length, space);
        const bytes = new Uint8Array(start + space + 3).fill(0xee);
        const end = encoder.encodeInto(message, bytes, start);
        assertEquals(bytes.subarray(start, end), expected);
        for (const around of [bytes.slice(0, start), bytes.slice(-3)]) {
          assert(around.every((byte) => byte === 0xee));
        }
      }
    },
  ));
});

interface Reads {
  bufferLength: number;
  /** How many bytes each read gives, at most. */
  lengths: number[];
}

/** Decode as `Channel` does from a byte stream: each read moves the memory. */
function read(
  stream: Uint8Array,
  options: FramingOptions,
  { bufferLength, lengths }: Reads,
): Uint8Array[] {
  const decoder = new FrameDecoder(options);
  const messages: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < stream.length; i++) {
    const target = decoder.readTarget(bufferLength);
    const limit = lengths[i % lengths.length] ?? target.length;
    const part = stream.subarray(at, at + Math.min(target.length, limit));
    const { byteOffset, buffer } = target;
    assertInstanceOf(buffer, ArrayBuffer);
    const view = new Uint8Array(buffer.transfer(), byteOffset, part.length);
    view.set(part);
    decoder.commit(view);
    at += part.length;
    let message;
    while ((message = decoder.next()) !== undefined) messages.push(message);
  }
  decoder.end();
  return messages;
}

Deno.test("FrameDecoder.readTarget() takes any reads for any framing", () => {
  fc.assert(
    fc.property(
      anyFraming,
      anyMessages,
      fc.record({
        bufferLength: fc.integer({ min: 1, max: 300 }),
        lengths: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 5 }),
      }),
      (framing, anyMessages, reads) => {
        const messages = expressible(framing, anyMessages);
        const encoder = new FrameEncoder({ framing });
        const stream = concat(messages.flatMap((m) => encoder.encodeParts(m)));
        assertEquals(read(stream, { framing }, reads), messages);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("FrameDecoder.readTarget() takes large messages straight into their own memory", () => {
  const messages = [40_000, 3, 0, 100_000, 32 * 1024, 70_000].map((length, i) =>
    new Uint8Array(length).map((_, at) => at + i)
  );
  for (const { framing } of formats.slice(1)) {
    const encoder = new FrameEncoder({ framing });
    const sent = expressible(framing, messages);
    const stream = concat(sent.flatMap((m) => encoder.encodeParts(m)));
    for (const lengths of [[], [1, 5000], [33_000], [7, 4096, 65_536]]) {
      const received = read(stream, { framing }, {
        bufferLength: 512,
        lengths,
      });
      assertEquals(
        received.map(({ length }) => length),
        sent.map((m) => m.length),
      );
      for (const [i, message] of received.entries()) {
        assertEquals(message, sent[i]!);
        assertStrictEquals(message.buffer.byteLength, message.byteLength);
      }
    }
  }
});

/** Give the decoder bytes as a read of that many does, and return what they make. */
function commit(
  decoder: FrameDecoder,
  target: Uint8Array,
  bytes: Uint8Array,
): Uint8Array | undefined {
  target.set(bytes);
  decoder.commit(target.subarray(0, bytes.length));
  return decoder.next();
}

Deno.test("FrameDecoder.readTarget() lets frames of up to half the buffer arrive in it as a whole", () => {
  for (const [length, isCopied] of [[50_000, true], [50_001, false]] as const) {
    const message = new Uint8Array(length - 4).map((_, at) => at);
    const frame = new FrameEncoder({}).encode(message);
    const decoder = new FrameDecoder({});
    const buffer = decoder.readTarget(100_000);
    assertEquals(buffer.length, 100_000);
    assertEquals(commit(decoder, buffer, frame.subarray(0, 100)), undefined);
    const target = decoder.readTarget(100_000);
    assertEquals(target.buffer === buffer.buffer, isCopied);
    assertEquals(target.length, (isCopied ? 100_000 : length) - 100);
    const received = commit(decoder, target, frame.subarray(100));
    assertEquals(received, message);
    assertEquals(received?.buffer.byteLength, message.length);
    assert(received?.buffer !== buffer.buffer);
    assert(decoder.isIdle);
  }
});

Deno.test("FrameDecoder.commit() drops what was read for a message that is forgotten", () => {
  const decoder = new FrameDecoder({});
  const frame = new FrameEncoder({}).encode(new Uint8Array(60_000));
  commit(decoder, decoder.readTarget(100), frame.subarray(0, 100));
  const target = decoder.readTarget(100);
  decoder.clear();
  decoder.commit(target.subarray(0, 5000));
  assert(decoder.isIdle);
  const buffer = decoder.readTarget(100);
  assertEquals(buffer.length, 100);
  const small = new FrameEncoder({}).encode(toBytes("cat"));
  assertEquals(commit(decoder, buffer, small), toBytes("cat"));
});

Deno.test("FrameDecoder.end() counts what has been read straight into a message", () => {
  const framing = netstring();
  const stream = toBytes(`40000:${"a".repeat(40_000)},`);
  for (
    const [length, expected] of [
      [5, undefined],
      [6, 40_007],
      [20_000, 40_007],
      [40_006, 40_007],
    ] as const
  ) {
    const error = assertThrows(
      () =>
        read(stream.subarray(0, length), { framing }, {
          bufferLength: 64,
          lengths: [],
        }),
      TruncatedFrameError,
    );
    assertEquals(describe(error), truncated(length, expected));
  }
});

Deno.test("FrameDecoder.end() counts what has arrived of a message in the buffer", () => {
  const error = assertThrows(
    () =>
      read(toBytes("8:taco"), { framing: netstring() }, {
        bufferLength: 64,
        lengths: [3],
      }),
    TruncatedFrameError,
  );
  assertEquals(describe(error), truncated(6, 11));
});

Deno.test("FrameDecoder.next() writes a message in the buffer into the memory that it is given later", () => {
  const decoder = new FrameDecoder({ framing: netstring() });
  const target = decoder.readTarget(64);
  assertEquals(commit(decoder, target, toBytes("8:taco")), undefined);
  const memory = new Uint8Array(8);
  assertEquals(decoder.next(memory), undefined);
  const message = commit(decoder, decoder.readTarget(64), toBytes(" cat,"));
  assertStrictEquals(message?.buffer, memory.buffer);
  assertEquals(toString(memory), "taco cat");
});

Deno.test("FrameDecoder.next() writes into the memory that it is given", () => {
  const decoder = new FrameDecoder({ framing: netstring() });
  const memory = new Uint8Array(10).fill(0xee);
  decoder.push(toBytes("3:cat,8:ta"));
  const first = decoder.next(memory)!;
  assertStrictEquals(first.buffer, memory.buffer);
  assertEquals(toString(first), "cat");
  assertEquals(toString(memory), "cat\xee\xee\xee\xee\xee\xee\xee");
  assertEquals(decoder.next(memory), undefined);
  decoder.push(toBytes("co cat,"));
  const second = decoder.next(memory)!;
  assertStrictEquals(second.buffer, memory.buffer);
  assertEquals(toString(second), "taco cat");
  assertEquals(toString(memory), "taco cat\xee\xee");
});

Deno.test("FrameDecoder.next() keeps the message that a view is too short for", () => {
  const decoder = new FrameDecoder({ framing: netstring() });
  for (const view of [new Uint8Array(8), undefined]) {
    for (const parts of [["8:taco cat,"], ["8:taco", " cat,"]]) {
      for (const part of parts) {
        decoder.push(toBytes(part));
        const error = assertThrows(
          () => decoder.next(new Uint8Array(7)),
          FrameTooLargeError,
          "Cannot receive message of 8 bytes: the view has 7",
        );
        assertEquals(describe(error), tooLarge(8, 7));
      }
      assertEquals(toString(decoder.next(view)!), "taco cat");
    }
  }
});

Deno.test("FrameDecoder.next() writes into the memory that it is given later", () => {
  const decoder = new FrameDecoder({ framing: netstring() });
  decoder.push(toBytes("8:taco"));
  assertEquals(decoder.next(), undefined);
  decoder.push(toBytes(" cat,"));
  const error = assertThrows(
    () => decoder.next(new Uint8Array(7)),
    FrameTooLargeError,
  );
  assertEquals(describe(error), tooLarge(8, 7));
  const memory = new Uint8Array(8);
  assertStrictEquals(decoder.next(memory)?.buffer, memory.buffer);
  assertEquals(toString(memory), "taco cat");
});

Deno.test("FrameDecoder.clear() forgets what has arrived in part", () => {
  for (const part of ["8", "8:", "8:taco", "8:taco cat"]) {
    const decoder = new FrameDecoder({ framing: netstring() });
    decoder.push(toBytes(part));
    assertEquals(decoder.next(), undefined);
    assert(!decoder.isIdle);
    decoder.clear();
    assert(decoder.isIdle);
    decoder.end();
    decoder.push(toBytes("3:cat,"));
    assertEquals(toString(decoder.next()!), "cat");
  }
});

Deno.test("Framing with a trailer and no encodeTrailer() is refused", () => {
  const { encodeTrailer: _, ...framing } = checked;
  assertThrows(
    () => new FrameEncoderStream({ framing }),
    TypeError,
    "encodeTrailer",
  );
});

Deno.test("Framing.decodeHeader() that finds a frame of 0 bytes is an error, no endless loop", async () => {
  const framing: Framing = {
    maxHeaderLength: 1,
    encodeHeader: () => 0,
    decodeHeader: () => ({ messageOffset: 0, messageLength: 0 }),
  };
  const { error } = await decode([toBytes("a")], { framing });
  assertInstanceOf(error, TypeError);
});

Deno.test("FrameDecoderStream refuses a message that no ArrayBuffer can hold", async () => {
  const { error } = await decode([new Uint8Array(8).fill(0xff, 0, 6)], {
    framing: lengthField({ lengthFieldLength: 8, endianness: "little" }),
    maxFrameLength: Number.MAX_SAFE_INTEGER,
  });
  assertInstanceOf(error, FrameTooLargeError);
  assertEquals(error.length, 2 ** 48 - 1);
});

Deno.test("FrameEncoderStream and FrameDecoderStream are TransformStreams, and can be extended", async () => {
  class Encoder extends FrameEncoderStream {}
  const encoder = new Encoder({ framing: varint() });
  assertInstanceOf(encoder, Encoder);
  assertInstanceOf(encoder, FrameEncoderStream);
  assertInstanceOf(encoder, TransformStream);
  assertInstanceOf(new FrameDecoderStream(), TransformStream);
  const frames = ReadableStream.from([toBytes("taco")]).pipeThrough(encoder);
  assertEquals(await Array.fromAsync(frames), [toBytes("\x04taco")]);
});
