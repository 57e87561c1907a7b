import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { Channel, json, type Serialization, text } from "../../channel.ts";
import { lengthField } from "../../framing.ts";
import { socketPair } from "../../pair.ts";
import { assertError, channels, encoder, end } from "./serialized_channels.ts";

Deno.test("text() keeps a byte-order mark as three bytes", () => {
  const { serialize, deserialize } = text();
  const message = Uint8Array.of(0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 0x61);
  assertEquals(deserialize(message), "\ufeff\ufeffa");
  assertEquals(serialize("\ufeff\ufeffa"), message);
});

Deno.test("text() returns any well-formed string and rejects any other", () => {
  const { serialize, deserialize } = text();
  fc.assert(fc.property(fc.string({ unit: "binary" }), (message) => {
    assertEquals(deserialize(new Uint8Array(serialize(message))), message);
  }));
  const codeUnits = fc.array(
    fc.oneof(fc.integer({ min: 0xd7ff, max: 0xe000 }), fc.nat(0xffff)),
    { maxLength: 8 },
  );
  fc.assert(fc.property(codeUnits, (codes) => {
    const message = String.fromCharCode(...codes);
    if (message.isWellFormed()) {
      assertEquals(deserialize(new Uint8Array(serialize(message))), message);
    } else assertThrows(() => serialize(message), TypeError);
  }));
});

Deno.test("text() decodes any UTF-8 and throws TypeError for other bytes", () => {
  const { serialize, deserialize } = text();
  const near = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.array(
      fc.constantFrom(0x61, 0x80, 0xbb, 0xbf, 0xc3, 0xe2, 0xed, 0xef, 0xf0),
      { maxLength: 12 },
    ).map((bytes) => Uint8Array.from(bytes)),
  );
  fc.assert(
    fc.property(near, (bytes) => {
      let message;
      try {
        message = deserialize(bytes);
      } catch (error) {
        return assertError(error, "receive", "TypeError", "it is not UTF-8");
      }
      assertEquals(serialize(message), bytes);
    }),
    { numRuns: 300 },
  );
});

Deno.test("text() distinguishes a replacement character from invalid bytes", () => {
  const { serialize, deserialize } = text();
  for (const message of ["\ufffd", "a\ufffdb", "\u{1f600}\ufffd\u{1f600}"]) {
    assertEquals(deserialize(new Uint8Array(serialize(message))), message);
  }
  const wrong = Uint8Array.of(...serialize("\ufffd"), 0xef, 0xbf);
  assertThrows(() => deserialize(wrong), TypeError);
});

Deno.test("Channel of text() or json() sends strings of any length and alphabet", async () => {
  const lengths = [0, 1, 64, 21_845, 21_846, 32_768, 65_535, 65_536, 65_537];
  for (const serialization of [text(), json<string>()]) {
    const [ours, theirs] = channels(serialization, serialization);
    for (const character of ["x", "\u00e9", "\u4e2d", "\u{1f600}"]) {
      const messages = [...lengths, 300_000].map((length) =>
        character.repeat(Math.ceil(length / character.length))
      );
      const sent = messages.map((message) => ours.send(message));
      for (const message of messages) {
        assert(await theirs.receive() === message, `${message.length}`);
      }
      await Promise.all(sent);
    }
    await end(ours, theirs);
  }
});

Deno.test("Channel of text() over a connection writes each message unchanged by the next one", async () => {
  // Frames that no batch has room for are not copied.
  const roomy = { ...lengthField(), maxHeaderLength: 300_000 };
  for (const framing of [lengthField(), roomy]) {
    const options = { framing, serialization: text(), highWaterMark: 0 };
    const [left, right] = await socketPair();
    await using ours = new Channel(left, options);
    await using theirs = new Channel(right, options);
    const messages = ["a", "b", "c".repeat(65_536), "d", "e".repeat(400_000)];
    const sent = messages.map((message) => ours.send(message));
    for (const message of messages) {
      assert(await theirs.receive() === message, message.slice(0, 1));
    }
    await Promise.all(sent);
  }
});

Deno.test("Channel of json() can be sent to by toJSON() of a message", async () => {
  const serialization = json<unknown>();
  const [ours, theirs] = channels(serialization, serialization);
  let inner;
  const message = {
    toJSON() {
      inner = ours.send("inner");
      return "outer";
    },
  };
  await ours.send(message);
  await inner;
  assertEquals(await theirs.receive(), "inner");
  assertEquals(await theirs.receive(), "outer");
  await end(ours, theirs);
});

Deno.test("Channel passes bytes that can be kept to a serialization that does not borrow", async () => {
  const serialization: Serialization<Uint8Array, string> = {
    serialize: text().serialize,
    deserialize: (bytes) => bytes,
  };
  const [ours, theirs] = channels(serialization, text());
  const sent = ["taco cat", "tac ocat"].map((text) => theirs.send(text));
  const received = [await ours.receive(), await ours.receive()];
  await Promise.all(sent);
  assertEquals(received, [
    encoder.encode("taco cat"),
    encoder.encode("tac ocat"),
  ]);
  for (const bytes of received) {
    assertInstanceOf(bytes, Uint8Array);
    assertEquals(bytes.buffer.byteLength, bytes.byteLength);
  }
  await end(ours, theirs);
});

Deno.test("json() sends the UTF-8 of JSON.stringify()", () => {
  assertEquals(
    json().serialize({ a: ["é", undefined], b: undefined, c: new Date(0) }),
    encoder.encode('{"a":["é",null],"c":"1970-01-01T00:00:00.000Z"}'),
  );
});

Deno.test("json() reports what toJSON() of a message threw", () => {
  const reason = new RangeError("of its own");
  const message = {
    toJSON() {
      throw reason;
    },
  };
  const error = assertThrows(() => json().serialize(message), TypeError);
  assertError(error, "send", "TypeError", "it has no JSON form: of its own");
  assertStrictEquals(error.cause, reason);
});

Deno.test("json() returns any value of JSON", () => {
  const { serialize, deserialize } = json();
  fc.assert(fc.property(fc.jsonValue(), (message) => {
    // JSON has no negative zero.
    const expected: unknown = JSON.parse(JSON.stringify(message));
    assertEquals(deserialize(new Uint8Array(serialize(message))), expected);
  }));
});

Deno.test("text() and json() throw RangeError for a message over V8's longest string", () => {
  const bytes = new Uint8Array(2 ** 29 - 23).fill(0x61);
  for (const { deserialize } of [text(), json()]) {
    assertThrows(
      () => deserialize(bytes),
      RangeError,
      "Cannot receive message of 536870889 bytes: a string holds at most 536870888 UTF-16 units",
    );
  }
  const half = "x".repeat(2 ** 28);
  assertThrows(
    () => json<string[]>().serialize([half, half]),
    RangeError,
    "Cannot send message: its JSON form is too long: a string holds at most 536870888 UTF-16 units",
  );
});

Deno.test("json() and text() report what is wrong with bytes, and show them", () => {
  const long = "[".repeat(70);
  const cases: [bytes: string, shown: string][] = [
    ["", '"" (0 bytes)'],
    ["\r", '"\\r" (1 bytes)'],
    ['\ufeff{"n":1}', '"\\xef\\xbb\\xbf{\\"n\\":1}" (10 bytes)'],
    ["taco", '"taco" (4 bytes)'],
    ["\x07", '"\\x07" (1 bytes)'],
    [long, `"${long.slice(0, 60)}" ... (70 bytes)`],
  ];
  for (const [string, shown] of cases) {
    const error = assertThrows(
      () => json().deserialize(encoder.encode(string)),
      SyntaxError,
    );
    assertEquals(
      error.message,
      `Cannot receive message: it is not JSON: ${shown}`,
    );
    assertInstanceOf(error.cause, SyntaxError);
  }
  for (const { deserialize } of [text(), json()]) {
    const error = assertThrows(
      () => deserialize(Uint8Array.of(0x7b, 0xff, 0xfe)),
      TypeError,
    );
    assertEquals(
      error.message,
      'Cannot receive message: it is not UTF-8: "{\\xff\\xfe" (3 bytes)',
    );
  }
});
