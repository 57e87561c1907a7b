import { assertEquals, assertInstanceOf } from "@std/assert";
import { varint } from "../../framing.ts";
import {
  byteByByte,
  decode,
  decodeError,
  decodeStrings,
  DEFAULT_MAX_FRAME_LENGTH,
  encode,
  syntaxError,
  toBytes,
  tooLarge,
  toString,
} from "./encode_decode.ts";

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

Deno.test("varint() with allowOverlong reads a length that takes more bytes than it needs", async () => {
  const framing = varint({ allowOverlong: true });
  for (
    const header of [
      "\x08",
      "\x88\x00",
      "\x88\x80\x00",
      "\x88\x80\x80\x80\x80\x80\x80\x80\x80\x00",
    ]
  ) {
    const stream = toBytes(`${header}taco cat\x80\x00`);
    for (const chunks of [[stream], byteByByte(stream)]) {
      assertEquals(await decodeStrings(chunks, { framing }), ["taco cat", ""]);
    }
  }
});

Deno.test("varint() with allowOverlong refuses more than 10 bytes and 64 bits, and writes no more than is needed", async () => {
  const framing = varint({ allowOverlong: true });
  for (const last of ["\x02", "\x80", "\xff"]) {
    assertEquals(
      await decodeError(toBytes("\x80".repeat(9) + last), { framing }),
      syntaxError(9),
    );
  }
  assertEquals(
    await decodeError(toBytes("\x80".repeat(9) + "\x01"), { framing }),
    tooLarge(2 ** 63, DEFAULT_MAX_FRAME_LENGTH),
  );
  assertEquals(
    toString(await encode([toBytes("taco cat")], { framing })),
    "\x08taco cat",
  );
});

Deno.test("varint() shows the header in its errors", async () => {
  for (
    const [stream, message] of [
      [
        "\x88\x80\x00taco cat",
        'Cannot decode frame: its varint length takes 3 bytes where fewer suffice, its header reads "\\x88\\x80\\x00"',
      ],
      [
        "\xff".repeat(12),
        `Cannot decode frame: its varint length is over 64 bits, its header reads "${
          "\\xff".repeat(10)
        }"`,
      ],
      [
        // "hello", read as a length of 104 bytes
        "hello",
        "Cannot receive message: the stream ended 5 bytes into a frame of 105",
      ],
    ] as const
  ) {
    const { error } = await decode([toBytes(stream)], { framing: varint() });
    assertInstanceOf(error, Error);
    assertEquals(error.message, message);
  }
});
