import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import {
  FrameSyntaxError,
  FrameTooLargeError,
  TruncatedFrameError,
} from "../../framing.ts";
import { FrameEncoder } from "../../framing/encoder.ts";
import {
  anyFraming,
  anyMessages,
  anySplit,
  expressible,
} from "./arbitraries.ts";
import {
  byteByByte,
  decode,
  describe,
  encode,
  toBytes,
} from "./encode_decode.ts";

Deno.test("FrameDecoderStream decodes the messages of FrameEncoderStream, for any framing and split", async () => {
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
  const encoder = new FrameEncoder(framing, {});
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
        // Messages before an error are always delivered first.
        assertEquals(other.messages, one.messages);
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
    { numRuns: 1000 },
  );
});
