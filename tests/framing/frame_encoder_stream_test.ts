import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  FrameDecoderStream,
  FrameEncoderStream,
  FrameTooLargeError,
  varint,
} from "../../framing.ts";
import {
  DEFAULT_MAX_FRAME_LENGTH,
  describe,
  encode,
  MIB,
  toBytes,
  tooLarge,
  toString,
} from "./encode_decode.ts";
import { formats, messagesOf } from "./formats.ts";

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

Deno.test("FrameEncoderStream accepts up to 64 MiB by default", async () => {
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

Deno.test("FrameEncoderStream and FrameDecoderStream reject a maxFrameLength that is not an integer of 0 or more", () => {
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

Deno.test("FrameEncoderStream and FrameDecoderStream can be extended", async () => {
  class Encoder extends FrameEncoderStream {}
  const encoder = new Encoder({ framing: varint() });
  assertInstanceOf(encoder, Encoder);
  assertInstanceOf(encoder, FrameEncoderStream);
  const frames = ReadableStream.from([toBytes("taco")]).pipeThrough(encoder);
  assertEquals(await Array.fromAsync(frames), [toBytes("\x04taco")]);
});
