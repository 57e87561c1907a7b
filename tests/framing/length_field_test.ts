import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { concat } from "@std/bytes";
import fc from "fast-check";
import {
  FrameTooLargeError,
  lengthField,
  type LengthFieldOptions,
} from "../../framing.ts";
import { anyLengthFieldOptions } from "./arbitraries.ts";
import {
  decode,
  decodeError,
  decodeStrings,
  DEFAULT_MAX_FRAME_LENGTH,
  describe,
  encode,
  syntaxError,
  toBytes,
  tooLarge,
  toString,
} from "./encode_decode.ts";

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
    // Stripped bytes are lost: zeros are sent in their place.
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
      `Cannot send message of ${message.length} bytes: this framing needs at least 5`,
    );
    assert(!(error instanceof FrameTooLargeError));
  }
});

Deno.test("lengthField() refuses a message that its adjustment makes a length below zero of", async () => {
  const framing = lengthField({ lengthFieldLength: 1, lengthAdjustment: 3 });
  const error = await assertRejects(
    () => encode([toBytes("ab")], { framing }),
    RangeError,
    "Cannot send message of 2 bytes: this framing needs at least 3",
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
      // Fewer bytes than initialBytesToStrip.
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

Deno.test("FrameDecoderStream asks whether both sides use the same framing, if a header looks like another one", async () => {
  const hint = "Do both sides use the same framing?";
  const little = lengthField({ endianness: "little" });
  const big = lengthField({ endianness: "big" });
  for (
    const [framing, bytes, isAsked] of [
      [little, '{"jsonrpc":"2.0"}\n', true],
      [little, "Content-Length: 8\r\n", true],
      [little, "\0\0\0\x08taco cat", true],
      [big, "\x08\0\0\0taco cat", true],
      [big, "8:taco cat,", true],
      // A message of 70,000,000 bytes
      [big, "\x04\x2c\x1d\x80", false],
      [little, "\x80\x1d\x2c\x04", false],
    ] as const
  ) {
    const { error } = await decode([toBytes(bytes)], { framing });
    assertInstanceOf(error, FrameTooLargeError);
    assertEquals(error.message.endsWith(hint), isAsked, error.message);
  }
});
