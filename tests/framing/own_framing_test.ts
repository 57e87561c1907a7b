import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  FrameEncoderStream,
  FrameTooLargeError,
  type Framing,
  netstring,
  varint,
} from "../../framing.ts";
import {
  byteByByte,
  decode,
  decodeError,
  decodeStrings,
  describe,
  encode,
  syntaxError,
  toBytes,
  tooLarge,
  toString,
  truncated,
} from "./encode_decode.ts";
import { checked, line } from "./own_framing.ts";

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

Deno.test("Custom Framing: errors have their position in the stream", async () => {
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

Deno.test("Framing with a trailer but no encodeTrailer() is a TypeError", () => {
  const { encodeTrailer: _, ...framing } = checked;
  assertThrows(
    () => new FrameEncoderStream({ framing }),
    TypeError,
    "encodeTrailer",
  );
});

Deno.test("Framing.decodeHeader() that finds a frame of 0 bytes is an error, not an endless loop", async () => {
  const framing: Framing = {
    maxHeaderLength: 1,
    encodeHeader: () => 0,
    decodeHeader: () => ({ messageOffset: 0, messageLength: 0 }),
  };
  const { error } = await decode([toBytes("a")], { framing });
  assertInstanceOf(error, TypeError);
});

Deno.test("Framing of a user's own may look for the end of a message itself", async () => {
  const options = { framing: line };
  const messages = ["taco cat", "", ">", "\n"];
  const stream = await encode(messages.map(toBytes), options);
  assertEquals(toString(stream), ">taco cat;>;>>;>\n;");
  for (const chunks of [[stream], byteByByte(stream)]) {
    assertEquals(await decodeStrings(chunks, options), messages);
  }
  await assertRejects(
    () => encode([toBytes("a;b")], options),
    RangeError,
    "semicolon",
  );
  assertEquals(await decodeError(toBytes(">a;b;"), options), syntaxError(3));
});

Deno.test("Framing.scansMessage lets a frame grow to maxFrameLength and not over it", async () => {
  const options = { framing: line, maxFrameLength: 8 };
  for (
    const chunks of [[toBytes(">taco cat;")], byteByByte(toBytes(">taco cat;"))]
  ) {
    assertEquals(await decodeStrings(chunks, options), ["taco cat"]);
  }
  for (const stream of [">taco cats;", ">taco cats", ">taco cats;>;"]) {
    assertEquals(await decodeError(toBytes(stream), options), tooLarge(9, 8));
  }
});

Deno.test("Framing.decodeEnd() interprets an incomplete frame at the end of the stream", async () => {
  const options = { framing: line, maxFrameLength: 8 };
  for (
    const [stream, messages] of [
      [">a;>taco cat", ["a", "taco cat"]],
      [">a;>", ["a", ""]],
      [">a;", ["a"]],
      ["", []],
    ] as const
  ) {
    const bytes = toBytes(stream);
    for (const chunks of [[bytes], byteByByte(bytes)]) {
      assertEquals(await decodeStrings(chunks, options), [...messages]);
    }
  }
  assertEquals(
    await decodeError(toBytes(">taco cats"), options),
    tooLarge(9, 8),
  );
  const { decodeEnd: _, ...strict } = line;
  assertEquals(
    await decodeError(toBytes(">a;>b"), { framing: strict }),
    truncated(2),
  );
});

Deno.test("Framing.decodeHeader() gets the number of bytes it was given before", async () => {
  const calls: [length: number, scanned: number | undefined][] = [];
  const framing: Framing = {
    ...line,
    decodeHeader(bytes, start, end, scanned) {
      if (scanned !== end - start) calls.push([end - start, scanned]);
      return line.decodeHeader(bytes, start, end, scanned);
    },
  };
  const chunks = [">ta", "co", " cat;>", "a;"].map(toBytes);
  assertEquals(await decodeStrings(chunks, { framing }), ["taco cat", "a"]);
  assertEquals(calls, [[3, 0], [5, 3], [11, 5], [1, 0], [3, 1]]);
});
