import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import { FrameEncoder } from "../../framing/encoder.ts";
import { anyFraming, anyMessages, expressible } from "./arbitraries.ts";

Deno.test("FrameEncoder.encodeInto() writes the bytes of encodeParts(), and nothing else", () => {
  fc.assert(fc.property(
    anyFraming,
    anyMessages,
    fc.nat(5),
    (framing, messages, start) => {
      const encoder = new FrameEncoder(framing, {});
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
