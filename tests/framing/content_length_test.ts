import {
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { concat } from "@std/bytes";
import { contentLength, FrameSyntaxError } from "../../framing.ts";
import { FrameDecoder } from "../../framing/decoder.ts";
import {
  byteByByte,
  decode,
  decodeError,
  decodeStrings,
  describe,
  encode,
  split,
  syntaxError,
  toBytes,
  tooLarge,
  toString,
} from "./encode_decode.ts";

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
    assertInstanceOf(error, FrameSyntaxError);
    assertStringIncludes(error.message, 'it reads "XX: xxx');
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

Deno.test("contentLength() fails at the first line that is not a header, as soon as it arrives", () => {
  const long = "x".repeat(3000);
  for (
    const [stream, offset, message] of [
      [
        "Server listening\r\n",
        0,
        'a line is not of the form `name: value`: "Server listening"',
      ],
      [
        "Server listening\n",
        0,
        'a line does not end in \\r\\n: "Server listening"',
      ],
      [
        "time=10:23:49 level=info\n",
        0,
        'a line does not end in \\r\\n: "time=10:23:49 level=info"',
      ],
      ["\n", 0, 'a line does not end in \\r\\n: ""'],
      [
        "PNG\x1a\0",
        0,
        'a line is not of the form `name: value`: "PNG\\x1a"',
      ],
      [
        "X: \0\r\nC\0o\0",
        6,
        'a line is not of the form `name: value`: "C\\x00"',
      ],
      [
        "\0\0\0\x08taco cat\n",
        0,
        'a line is not of the form `name: value`: "\\x00"',
      ],
      ["\r\n", 0, 'a line is not of the form `name: value`: ""'],
      [
        'say "caf\xe9"\r\n',
        0,
        'a line is not of the form `name: value`: "say \\"caf\\xe9\\""',
      ],
      [
        `${long}\n`,
        0,
        `a line does not end in \\r\\n: "${"x".repeat(60)}" ...`,
      ],
      [
        "X: y\r\nready\r\n",
        6,
        'a line is not of the form `name: value`: "ready"',
      ],
      [
        "Content-Length: 2\r\nContent-Length: 2\r\n",
        19,
        'it has more than one Content-Length: "Content-Length: 2"',
      ],
    ] as const
  ) {
    const bytes = toBytes(`Content-Length: 3\r\n\r\ncat${stream}`);
    for (const chunkLength of [1, 5, bytes.length]) {
      const decoder = new FrameDecoder(contentLength(), {});
      const messages: string[] = [];
      let error: unknown;
      // The stream does not end here: the program would go on, and wait
      for (let at = 0; at < bytes.length; at += chunkLength) {
        decoder.push(bytes.subarray(at, at + chunkLength));
        try {
          let next;
          while ((next = decoder.next())) messages.push(toString(next));
        } catch (reason) {
          error = reason;
          break;
        }
      }
      assertEquals(messages, ["cat"]);
      assertInstanceOf(error, FrameSyntaxError, stream);
      const hint = message.startsWith("a line")
        ? ". Does the program log to its standard output, or use another framing?"
        : "";
      assertEquals(
        error.message,
        `Cannot decode header block: ${message}${hint}`,
      );
      assertEquals(error.offset, 24 + offset);
    }
  }
});
