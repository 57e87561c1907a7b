import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import {
  FrameTooLargeError,
  type Framing,
  lengthField,
  netstring,
  TruncatedFrameError,
} from "../../framing.ts";
import { FrameDecoder } from "../../framing/decoder.ts";
import { FrameEncoder } from "../../framing/encoder.ts";
import { BLOCK_LENGTH } from "../../framing/memory.ts";
import { anyFraming, anyMessages, expressible } from "./arbitraries.ts";
import {
  describe,
  toBytes,
  tooLarge,
  toString,
  truncated,
} from "./encode_decode.ts";
import { formats } from "./formats.ts";

/**
 * Decode as `Channel` does from a connection.
 *
 * @param lengths How many bytes each read gives, at most.
 */
function read(
  stream: Uint8Array,
  framing: Framing,
  lengths: number[],
): Uint8Array[] {
  const decoder = new FrameDecoder(framing, {});
  const messages: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < stream.length; i++) {
    const target = decoder.readTarget();
    const limit = lengths[i % lengths.length] ?? target.length;
    const part = stream.subarray(at, at + Math.min(target.length, limit));
    target.set(part);
    decoder.advance(part.length);
    at += part.length;
    let message;
    while ((message = decoder.next()) !== undefined) messages.push(message);
  }
  decoder.end();
  assertEquals(decoder.next(), undefined);
  return messages;
}

Deno.test("FrameDecoder.readTarget() takes any reads for any framing", () => {
  fc.assert(
    fc.property(
      anyFraming,
      anyMessages,
      fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 5 }),
      (framing, anyMessages, lengths) => {
        const messages = expressible(framing, anyMessages);
        const encoder = new FrameEncoder(framing, {});
        const stream = concat(messages.flatMap((m) => encoder.encodeParts(m)));
        assertEquals(read(stream, framing, lengths), messages);
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
    const encoder = new FrameEncoder(framing, {});
    const sent = expressible(framing, messages);
    const stream = concat(sent.flatMap((m) => encoder.encodeParts(m)));
    for (const lengths of [[], [1, 5000], [33_000], [7, 4096, 65_536]]) {
      const received = read(stream, framing, lengths);
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
function give(
  decoder: FrameDecoder,
  target: Uint8Array,
  bytes: Uint8Array,
): Uint8Array | undefined {
  target.set(bytes);
  decoder.advance(bytes.length);
  return decoder.next();
}

Deno.test("FrameDecoder.readTarget() lets frames of up to half a block arrive in it as a whole", () => {
  const half = BLOCK_LENGTH / 2;
  for (const [length, isCopied] of [[half, true], [half + 1, false]] as const) {
    const message = new Uint8Array(length - 4).map((_, at) => at);
    const frame = new FrameEncoder(lengthField(), {}).encode(message);
    const decoder = new FrameDecoder(lengthField(), {});
    assertEquals(
      give(decoder, decoder.readTarget(), frame.subarray(0, 100)),
      undefined,
    );
    const target = decoder.readTarget();
    assertEquals(
      target.length,
      isCopied ? BLOCK_LENGTH - 100 : length - 100,
    );
    const received = give(decoder, target, frame.subarray(100));
    assertEquals(received, message);
    assertEquals(received?.buffer.byteLength, message.length);
    assertEquals(received?.buffer === target.buffer, !isCopied);
    assert(decoder.isIdle);
  }
});

Deno.test("FrameDecoder.advance() drops bytes of a message that was cleared", () => {
  const decoder = new FrameDecoder(lengthField(), {});
  const frame = new FrameEncoder(lengthField(), {}).encode(
    new Uint8Array(200_000),
  );
  give(decoder, decoder.readTarget(), frame.subarray(0, 100));
  const target = decoder.readTarget();
  decoder.clear();
  decoder.advance(5000);
  assert(decoder.isIdle);
  const buffer = decoder.readTarget();
  assert(buffer.buffer !== target.buffer);
  const small = new FrameEncoder(lengthField(), {}).encode(toBytes("cat"));
  assertEquals(give(decoder, buffer, small), toBytes("cat"));
});

Deno.test("FrameDecoder.end() counts bytes that were read directly into a message", () => {
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
      () => read(stream.subarray(0, length), framing, []),
      TruncatedFrameError,
    );
    assertEquals(describe(error), truncated(length, expected));
  }
});

Deno.test("FrameDecoder.end() counts bytes of a message in the buffer", () => {
  const error = assertThrows(
    () => read(toBytes("8:taco"), netstring(), [3]),
    TruncatedFrameError,
  );
  assertEquals(describe(error), truncated(6, 11));
});

Deno.test("FrameDecoder.next() writes a message in the buffer into the memory that it is given later", () => {
  const decoder = new FrameDecoder(netstring(), {});
  const target = decoder.readTarget();
  assertEquals(give(decoder, target, toBytes("8:taco")), undefined);
  const memory = new Uint8Array(8);
  assertEquals(decoder.next(memory), undefined);
  const message = give(decoder, decoder.readTarget(), toBytes(" cat,"));
  assertStrictEquals(message?.buffer, memory.buffer);
  assertEquals(toString(memory), "taco cat");
});

Deno.test("FrameDecoder.next() writes into the memory that it is given", () => {
  const decoder = new FrameDecoder(netstring(), {});
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
  const decoder = new FrameDecoder(netstring(), {});
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
  const decoder = new FrameDecoder(netstring(), {});
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

Deno.test("FrameDecoder.clear() drops a message that has arrived partly", () => {
  for (const part of ["8", "8:", "8:taco", "8:taco cat"]) {
    const decoder = new FrameDecoder(netstring(), {});
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
