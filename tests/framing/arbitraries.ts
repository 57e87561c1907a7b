import { assertInstanceOf } from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import {
  contentLength,
  delimiter,
  type Framing,
  lengthField,
  type LengthFieldOptions,
  netstring,
  varint,
} from "../../framing.ts";
import { FrameEncoder } from "../../framing/encoder.ts";
import { split } from "./encode_decode.ts";
import { checked, line } from "./own_framing.ts";

/** A list of messages, most of them short, some near a limit of a header. */
export const anyMessages = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc.uint8Array({ minLength: 120, maxLength: 136 }),
    fc.uint8Array({ minLength: 250, maxLength: 260 }),
    fc.uint8Array({ maxLength: 700 }),
  ),
  { maxLength: 6 },
);

export const anyLengthFieldOptions: fc.Arbitrary<LengthFieldOptions> = fc
  .record({
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

/** Delimiters of few different bytes, so that messages hold parts of them. */
export const anyDelimiter: fc.Arbitrary<Uint8Array> = fc.uint8Array({
  minLength: 1,
  maxLength: 6,
  max: 1,
});

const anyDelimiterFraming = fc.record({
  delimiter: fc.oneof(fc.constant("\n"), fc.constant("\r\n"), anyDelimiter),
  unterminated: fc.constantFrom("error", "message"),
}, { requiredKeys: [] }).map(delimiter);

export const anyFraming: fc.Arbitrary<Framing> = fc.oneof(
  { weight: 4, arbitrary: anyLengthFieldOptions.map(lengthField) },
  { weight: 2, arbitrary: anyDelimiterFraming },
  fc.constantFrom(
    varint(),
    varint({ allowOverlong: true }),
    netstring(),
    contentLength(),
    checked,
    line,
  ),
);

/** How to split bytes into chunks: at any places, or into chunks of one size. */
export const anySplit: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array[]> = fc
  .oneof(
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

/** The messages that the framing can express, as they come out again. */
export function expressible(
  framing: Framing,
  messages: Uint8Array[],
): Uint8Array[] {
  const encoder = new FrameEncoder(framing, {});
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
