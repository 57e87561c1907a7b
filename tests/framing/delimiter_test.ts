import {
  assertEquals,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import { Channel, text } from "../../channel.ts";
import { delimiter, type Framing } from "../../framing.ts";
import { FrameDecoder } from "../../framing/decoder.ts";
import { FrameEncoder } from "../../framing/encoder.ts";
import { byteStreams } from "../channel/stream_pairs.ts";
import { anyDelimiter, anySplit } from "./arbitraries.ts";
import {
  byteByByte,
  decode,
  decodeError,
  decodeStrings,
  encode,
  toBytes,
  tooLarge,
  toString,
  truncated,
} from "./encode_decode.ts";

/** Where bytes are first found, by the definition of it. */
function indexOf(bytes: Uint8Array, sequence: Uint8Array): number {
  for (let at = 0; at + sequence.length <= bytes.length; at++) {
    if (sequence.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

const anyMessage = fc.uint8Array({ max: 2, maxLength: 20 });

Deno.test("delimiter() sends a message if, and only if, it is the one that is found before the delimiter", () => {
  fc.assert(
    fc.property(anyDelimiter, anyMessage, (sequence, message) => {
      const encoder = new FrameEncoder(delimiter({ delimiter: sequence }), {});
      const frame = concat([message, sequence]);
      if (indexOf(frame, sequence) === message.length) {
        assertEquals(encoder.encode(message), frame);
      } else {
        assertThrows(
          () => encoder.encode(message),
          RangeError,
          `Cannot send message of ${message.length} bytes: it contains the delimiter at byte ${
            indexOf(frame, sequence)
          }`,
        );
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("delimiter() cuts any bytes where its delimiter stands, in any split", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyDelimiter,
      fc.uint8Array({ max: 2, maxLength: 200 }),
      anySplit,
      async (sequence, bytes, split) => {
        const framing = delimiter({
          delimiter: sequence,
          unterminated: "message",
        });
        const messages: Uint8Array[] = [];
        let rest = bytes;
        for (let at; (at = indexOf(rest, sequence)) !== -1;) {
          messages.push(rest.slice(0, at));
          rest = rest.subarray(at + sequence.length);
        }
        if (rest.length > 0) messages.push(rest.slice());
        assertEquals(await decode(split(bytes), { framing }), { messages });
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("delimiter() sends a string as UTF-8, and takes bytes as they are at the call", async () => {
  const bytes = Uint8Array.of(0, 1);
  const framings = [
    delimiter({ delimiter: "\u{1F32E}" }),
    delimiter({ delimiter: bytes }),
    delimiter({ delimiter: "\0" }),
    delimiter({ delimiter: undefined }),
  ];
  bytes.fill(9);
  const frames = ["a\xf0\x9f\x8c\xae", "a\x00\x01", "a\x00", "a\n"];
  for (const [i, framing] of framings.entries()) {
    assertEquals(
      toString(await encode([toBytes("a")], { framing })),
      frames[i],
    );
  }
});

Deno.test("delimiter() takes a delimiter of 1 to 64 bytes", async () => {
  const framing = delimiter({ delimiter: "-".repeat(63) + "x" });
  const stream = toBytes(`taco${"-".repeat(70)}x`);
  assertEquals(await decodeStrings(byteByByte(stream), { framing }), [
    `taco${"-".repeat(7)}`,
  ]);
  for (const [wrong, length] of [["", 0], ["\xff".repeat(33), 66]] as const) {
    assertThrows(
      () => delimiter({ delimiter: wrong }),
      RangeError,
      `Cannot use delimiter of ${length} bytes: it must have 1 to 64`,
    );
  }
  assertThrows(
    () => delimiter({ delimiter: new Uint8Array(65) }),
    RangeError,
    "Cannot use delimiter of 65 bytes",
  );
});

Deno.test("delimiter() refuses options of a wrong kind", () => {
  const wrong: unknown = 10;
  assertThrows(
    () => delimiter({ delimiter: wrong as string }),
    TypeError,
    "Cannot use delimiter: it is neither a string nor a Uint8Array",
  );
  assertThrows(
    () => delimiter({ unterminated: wrong as "error" }),
    TypeError,
    'Cannot use unterminated: "10" is neither "error" nor "message"',
  );
});

Deno.test("delimiter() leaves a carriage return before the line feed to the message", async () => {
  assertEquals(
    await decodeStrings([toBytes("{}\r\n\r\n")], { framing: delimiter() }),
    ["{}\r", "\r"],
  );
});

Deno.test("delimiter() makes of bytes without one before the end an error or a message, as it is told", async () => {
  for (const end of ["taco cat", "t"]) {
    const stream = toBytes(`a\n${end}`);
    for (const framing of [delimiter(), delimiter({ unterminated: "error" })]) {
      assertEquals(
        await decodeError(stream, { framing }),
        truncated(end.length),
      );
    }
    assertEquals(
      String((await decode([stream], { framing: delimiter() })).error),
      `TruncatedFrameError: Cannot receive message: the stream ended ${end.length} bytes into a frame, without its end`,
    );
    const framing = delimiter({ unterminated: "message" });
    for (const chunks of [[stream], byteByByte(stream)]) {
      assertEquals(await decodeStrings(chunks, { framing }), ["a", end]);
    }
    assertEquals(await decodeStrings([toBytes("a\n")], { framing }), ["a"]);
  }
  // A delimiter of which a part is missing belongs to the message
  const framing = delimiter({ delimiter: "\r\n", unterminated: "message" });
  assertEquals(await decodeStrings([toBytes("a\r")], { framing }), ["a\r"]);
});

Deno.test("delimiter() fails at maxFrameLength bytes and a delimiter's length without a delimiter", async () => {
  for (const unterminated of ["error", "message"] as const) {
    const options = {
      framing: delimiter({ delimiter: "\r\n", unterminated }),
      maxFrameLength: 4,
    };
    const bytes = toBytes("taco\r\ntacos\r\n");
    const decoder = new FrameDecoder(options.framing, options);
    const taken: (string | undefined)[] = [];
    for (const byte of byteByByte(bytes.subarray(0, 11))) {
      decoder.push(byte);
      const message = decoder.next();
      taken.push(message && toString(message));
    }
    assertEquals(taken.filter((message) => message !== undefined), ["taco"]);
    decoder.push(bytes.subarray(11, 12));
    assertThrows(
      () => decoder.next(),
      RangeError,
      'Cannot receive message of at least 5 bytes: maxFrameLength is 4, its frame reads "tacos"',
    );
    assertEquals(await decodeError(bytes, options), tooLarge(5, 4));
  }
  const framing = delimiter({ delimiter: "\r\n", unterminated: "message" });
  assertEquals(
    await decodeError(toBytes("tacos"), { framing, maxFrameLength: 4 }),
    tooLarge(5, 4),
  );
});

/** Counts the bytes that are searched. */
class Counted extends Uint8Array {
  static searched = 0;
  override indexOf(byte: number, from = 0): number {
    const at = super.indexOf(byte, from);
    Counted.searched += (at === -1 ? this.length : at + 1) - from;
    return at;
  }
}

Deno.test("delimiter() looks at each byte of a line once, however small the chunks", () => {
  const length = 10_000;
  for (const sequence of ["\n", "\r\n", "-".repeat(64)]) {
    const framing = delimiter({ delimiter: sequence });
    const bytes = new Counted(length + sequence.length);
    bytes.set(toBytes(sequence), length);
    Counted.searched = 0;
    for (let end = 1; end < bytes.length; end++) {
      assertEquals(framing.decodeHeader(bytes, 0, end, end - 1), undefined);
    }
    assertEquals(
      framing.decodeHeader(bytes, 0, bytes.length, bytes.length - 1),
      { messageOffset: 0, messageLength: length },
    );
    // It goes back for a delimiter that has begun to arrive
    assertLessOrEqual(
      Counted.searched,
      sequence.length * bytes.length + 65 * 65,
    );
  }
});

/** Call a function while bytes that are copied between arrays are counted. */
function countCopied(call: () => void): number {
  const prototype: Uint8Array = Object.getPrototypeOf(Uint8Array.prototype);
  const { set, copyWithin } = prototype;
  let copied = 0;
  prototype.set = function (this: Uint8Array, source, offset) {
    copied += source.length;
    set.call(this, source, offset);
  };
  prototype.copyWithin = function (
    this: Uint8Array,
    target,
    start,
    end = this.length,
  ) {
    copied += end - start;
    return copyWithin.call(this, target, start, end);
  };
  try {
    call();
  } finally {
    Object.assign(prototype, { set, copyWithin });
  }
  return copied;
}

/** Take chunks as the streams do, or as a channel does that reads into the decoder's memory. */
const WAYS: Record<string, (decoder: FrameDecoder, chunk: Uint8Array) => void> =
  {
    pushed: (decoder, chunk) => decoder.push(chunk),
    read(decoder, chunk) {
      const target = decoder.readTarget();
      for (const [i, byte] of chunk.entries()) target[i] = byte;
      decoder.advance(chunk.length);
    },
  };

for (const [way, give] of Object.entries(WAYS)) {
  Deno.test(`FrameDecoder looks for a delimiter at a cost that is linear in the bytes ${way}`, () => {
    for (const length of [2 ** 18, 2 ** 20]) {
      for (const chunkLength of [16, 2048]) {
        const chunk = new Uint8Array(chunkLength);
        let given = 0;
        const inner = delimiter();
        const framing: Framing = {
          ...inner,
          decodeHeader(bytes, start, end, scanned = 0) {
            given += end - start - scanned;
            return inner.decodeHeader(bytes, start, end, scanned);
          },
        };
        const decoder = new FrameDecoder(framing, {});
        const copied = countCopied(() => {
          for (let at = 0; at < length; at += chunkLength) {
            give(decoder, chunk);
            assertEquals(decoder.next(), undefined);
          }
          give(decoder, toBytes("\n"));
          assertEquals(decoder.next()?.length, length);
        });
        assertEquals(given, length + 1);
        assertLessOrEqual(copied, 4 * length);
      }
    }
  });
}

Deno.test("Channel.send() of a message that contains the delimiter rejects, and writes nothing", async () => {
  const [left, right] = byteStreams();
  const options = { framing: delimiter(), serialization: text() };
  await using a = new Channel(left, options);
  await using b = new Channel(right, options);
  const large = "x".repeat(300_000);
  for (const line of ["taco\ncat", "\n", `${large}\n`, `\n${large}`]) {
    await assertRejects(
      () => a.send(line),
      RangeError,
      "contains the delimiter",
    );
  }
  const sent = Promise.all([a.send("taco cat"), a.send(""), a.send(large)]);
  assertEquals(await b.receive(), "taco cat");
  assertEquals(await b.receive(), "");
  assertEquals(await b.receive(), large);
  await sent;
  await a.closeWrite();
  assertEquals(await b.receive(), null);
});
