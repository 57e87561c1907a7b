import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import {
  bytes,
  Channel,
  json,
  type Serialization,
  structured,
  text,
} from "../channel.ts";
import { lengthField } from "../framing.ts";
import { socketPair } from "../pair.ts";

const encoder = new TextEncoder();

const cycle: { self?: unknown } = {};
cycle.self = cycle;

interface Case {
  name: string;
  serialization: Serialization<unknown>;
  good: unknown[];
  /** What cannot be sent: with the name of the error, and what its message says. */
  unsendable: [unknown, string, string][];
  /** What cannot be received. */
  unreceivable: [Uint8Array, string, string][];
}
const notUtf8 = [
  [0xff],
  [0x61, 0x80],
  [0xe2, 0x82],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
].map((bytes): [Uint8Array, string, string] => [
  Uint8Array.from(bytes),
  "TypeError",
  "it is not UTF-8",
]);
const cases: Case[] = [
  {
    name: "bytes()",
    serialization: bytes(),
    good: [encoder.encode("taco cat"), new Uint8Array(), Uint8Array.of(0xff)],
    unsendable: [
      "taco cat",
      undefined,
      null,
      [1, 2],
      new ArrayBuffer(2),
      new DataView(new ArrayBuffer(2)),
      new Uint16Array(2),
      new Uint8ClampedArray(2),
    ].map((message) => [message, "TypeError", "it is not a Uint8Array"]),
    unreceivable: [],
  },
  {
    name: "text()",
    serialization: text(),
    good: [
      "taco cat",
      "",
      "\0",
      "é€😀\u{10ffff}",
      "\ufeff",
      "\ufeff\ufeffa\ufeff",
    ],
    unsendable: [
      ...["\ud800", "\udc00", "a\udbffb", "\udc00\ud800", "😀\ud83d"].map((
        message,
      ): [unknown, string, string] => [
        message,
        "TypeError",
        "it holds a lone surrogate",
      ]),
      ...[undefined, null, 1, new String("a"), ["a"], new Uint8Array(1)].map((
        message,
      ): [unknown, string, string] => [
        message,
        "TypeError",
        "it is not a string",
      ]),
    ],
    unreceivable: notUtf8,
  },
  {
    name: "json()",
    serialization: json(),
    good: [
      { id: 7, nested: [{ a: null }, "é€😀", true, -1.5e300] },
      null,
      false,
      0,
      "",
      "\ud800",
      [],
    ],
    unsendable: [
      [undefined, "TypeError", "undefined has no JSON form"],
      [() => 1, "TypeError", "function has no JSON form"],
      [Symbol("a"), "TypeError", "symbol has no JSON form"],
      [{ toJSON: () => undefined }, "TypeError", "object has no JSON form"],
      [1n, "TypeError", "it has no JSON form: "],
      [{ deep: [1n] }, "TypeError", "it has no JSON form: "],
      [cycle, "TypeError", "it has no JSON form: "],
    ],
    unreceivable: [
      ...notUtf8,
      ...["", " ", "{", "undefined", "NaN", "'a'", "{} {}", "[1,]", "\ufeff1"]
        .map((string): [Uint8Array, string, string] => [
          encoder.encode(string),
          "SyntaxError",
          "it is not JSON: ",
        ]),
    ],
  },
  {
    name: "structured()",
    serialization: structured(),
    good: [
      new Map<unknown, unknown>([["a", 1n], [{ k: 1 }, new Set([NaN, -0])]]),
      undefined,
      null,
      new Date(5),
      /taco/gi,
      "é€😀\ud800",
      [1, , 3],
      Object(1n),
      new Float64Array([1.5, Infinity]),
      new Uint8Array([1, 2, 3]).buffer,
    ],
    unsendable: [
      () => 1,
      Symbol("a"),
      { deep: [() => 1] },
      new Map([[1, () => 1]]),
      new WeakMap(),
      new WeakRef({}),
      Promise.resolve(),
      new Proxy({}, {}),
      new SharedArrayBuffer(8),
      new Uint8Array(new SharedArrayBuffer(8)),
    ].map((message) => [message, "DataCloneError", ""]),
    unreceivable: [
      "",
      "taco cat",
      "\x00",
      "\xff",
      "\xff\x0f",
      "\xff\xff\xff\xff",
      '\xff\x0f"\x05tac',
    ].map((string) => [
      Uint8Array.from(string, (character) => character.charCodeAt(0)),
      "DataCloneError",
      "",
    ]),
  },
];

function assertError(
  error: unknown,
  doing: "send" | "receive",
  name: string,
  why: string,
) {
  assertInstanceOf(error, Error);
  assertEquals(error.name, name, String(error));
  const begin = `Cannot ${doing} message: ${why}`;
  assertEquals(error.message.slice(0, begin.length), begin);
}

for (
  const { name, serialization, good, unsendable, unreceivable } of cases
) {
  Deno.test(`${name} gives back what was sent`, () => {
    for (const message of good) {
      const bytes = serialization.serialize(message);
      assertInstanceOf(bytes, Uint8Array);
      assertEquals(serialization.deserialize(bytes.slice()), message);
    }
  });

  Deno.test(`${name} says of a message that it cannot be sent, and why`, () => {
    for (const [message, errorName, why] of unsendable) {
      const error = assertThrows(() => serialization.serialize(message));
      assertError(error, "send", errorName, why);
    }
  });

  Deno.test(`${name} says of bytes that they cannot be received, and why`, () => {
    for (const [bytes, errorName, why] of unreceivable) {
      const error = assertThrows(() => serialization.deserialize(bytes));
      assertError(error, "receive", errorName, why);
      assert("cause" in error, "The cause is missing");
      // Nothing of them is left to spoil the next message.
      for (const message of good) {
        const bytes = serialization.serialize(message).slice();
        assertEquals(serialization.deserialize(bytes), message);
      }
    }
  });

  Deno.test(`Channel.send() of what ${name} refuses writes nothing and leaves both directions usable`, async () => {
    const [ours, theirs] = channels(serialization, serialization);
    for (const [bad, errorName, why] of unsendable) {
      const sent = [good[0], bad, good[1], bad, bad, good[2]].map((message) =>
        ours.send(message)
      );
      const outcomes = await Promise.allSettled(sent);
      for (const i of [1, 3, 4]) {
        const outcome = outcomes[i];
        assert(outcome?.status === "rejected");
        assertError(outcome.reason, "send", errorName, why);
      }
      for (const message of good.slice(0, 3)) {
        assertEquals(await theirs.receive(), message);
        await theirs.send(message);
        assertEquals(await ours.receive(), message);
      }
    }
    await end(ours, theirs);
  });

  Deno.test(`Channel.receive() of what ${name} refuses loses that message only and leaves both directions usable`, async () => {
    const [ours, theirs] = channels(serialization, bytes());
    const [message] = good;
    const goodBytes = serialization.serialize(message);
    for (const [bad, errorName, why] of unreceivable) {
      // Asked for before it comes, and after.
      const early = [1, 2].map(() => ours.receive());
      for (const bytes of [bad, goodBytes, bad, goodBytes]) {
        await theirs.send(bytes);
      }
      const late = [3, 4].map(() => ours.receive());
      const outcomes = await Promise.allSettled([...early, ...late]);
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome.status === "fulfilled") {
          assert(i % 2 === 1);
          assertEquals(outcome.value, message);
        } else {
          assert(i % 2 === 0);
          assertError(outcome.reason, "receive", errorName, why);
        }
      }
      await ours.send(message);
      assertEquals(
        await theirs.receive(),
        new Uint8Array(goodBytes),
      );
    }
    await end(ours, theirs);
  });
}

/** Two channels that are connected in memory. */
function channels<T, U>(
  ours: Serialization<T>,
  theirs: Serialization<U>,
): [Channel<T>, Channel<U>] {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  return [
    new Channel(
      { readable: back.readable, writable: there.writable },
      { serialization: ours },
    ),
    new Channel(
      { readable: there.readable, writable: back.writable },
      { serialization: theirs },
    ),
  ];
}

/** End both directions: nothing that was sent is left over. */
async function end<T, U>(ours: Channel<T>, theirs: Channel<U>) {
  await Promise.all([ours.closeWrite(), theirs.closeWrite()]);
  assertEquals(await Array.fromAsync(ours), []);
  assertEquals(await Array.fromAsync(theirs), []);
}

Deno.test("Channel iterates on after a message that cannot be received", async () => {
  const [ours, theirs] = channels(json(), bytes());
  for (const string of ["1", "{", "2"]) {
    await theirs.send(encoder.encode(string));
  }
  const closing = theirs.closeWrite();
  const received: unknown[] = [];
  await assertRejects(async () => {
    for await (const message of ours) received.push(message);
  }, SyntaxError);
  for await (const message of ours) received.push(message);
  assertEquals(received, [1, 2]);
  await closing;
  await end(ours, theirs);
});

Deno.test("Channel rejects with what a serialization of a user's own throws, and goes on", async () => {
  const reason = new Error("of its own");
  let failing = false;
  const identity = (bytes: Uint8Array) => {
    if (failing) throw reason;
    return bytes;
  };
  const [ours, theirs] = channels({
    serialize: identity,
    deserialize: identity,
  }, text());
  await theirs.send("lost");
  await theirs.send("taco cat");
  failing = true;
  const sending = assertRejects(() => ours.send(new Uint8Array(1)));
  assertStrictEquals(await sending, reason);
  const receiving = assertRejects(() => ours.receive());
  assertStrictEquals(await receiving, reason);
  failing = false;
  assertEquals(await ours.receive(), encoder.encode("taco cat"));
  await ours.send(encoder.encode("tac ocat"));
  assertEquals(await theirs.receive(), "tac ocat");
  await end(ours, theirs);
});

Deno.test("Channel sends Uint8Arrays without a serialization", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const channel = new Channel({ readable, writable });
  await channel.send(encoder.encode("taco cat"));
  assertEquals(await channel.receive(), encoder.encode("taco cat"));
  await channel.close();
});

Deno.test("bytes() copies nothing", () => {
  const { serialize, deserialize } = bytes();
  const message = Uint8Array.of(1, 2, 3);
  assertStrictEquals(serialize(message), message);
  assertStrictEquals(deserialize(message), message);
});

Deno.test("text() keeps a byte-order mark, as the three bytes that it is", () => {
  const { serialize, deserialize } = text();
  const message = Uint8Array.of(0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 0x61);
  assertEquals(deserialize(message), "\ufeff\ufeffa");
  assertEquals(serialize("\ufeff\ufeffa"), message);
});

Deno.test("text() gives back any well-formed string and refuses any other", () => {
  const { serialize, deserialize } = text();
  fc.assert(fc.property(fc.string({ unit: "binary" }), (message) => {
    assertEquals(deserialize(serialize(message)), message);
  }));
  const codeUnits = fc.array(
    fc.oneof(fc.integer({ min: 0xd7ff, max: 0xe000 }), fc.nat(0xffff)),
    { maxLength: 8 },
  );
  fc.assert(fc.property(codeUnits, (codes) => {
    const message = String.fromCharCode(...codes);
    if (message.isWellFormed()) {
      assertEquals(deserialize(serialize(message)), message);
    } else assertThrows(() => serialize(message), TypeError);
  }));
});

Deno.test("text() makes of any bytes the string whose bytes they are, or TypeError", () => {
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

Deno.test("text() tells a replacement character from bytes that are wrong", () => {
  const { serialize, deserialize } = text();
  for (const message of ["\ufffd", "a\ufffdb", "\u{1f600}\ufffd\u{1f600}"]) {
    assertEquals(deserialize(serialize(message)), message);
  }
  const wrong = Uint8Array.of(...serialize("\ufffd"), 0xef, 0xbf);
  assertThrows(() => deserialize(wrong), TypeError);
});

Deno.test("text() and json() give each message bytes of its own", () => {
  for (const { serialize } of [text(), json<string>()]) {
    const first = serialize("taco cat");
    assert(first.buffer !== serialize("tac ocat").buffer);
    assertEquals(first, serialize("taco cat"));
  }
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

Deno.test("Channel of text() over a connection writes what was sent, whatever is sent next", async () => {
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

Deno.test("Channel of json() may be sent to by toJSON() of a message", async () => {
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

Deno.test("Channel gives a serialization of a user's own bytes to keep, beside text() too", async () => {
  const deserialize = (bytes: Uint8Array) => bytes;
  const serializations: Serialization<unknown>[] = [
    {
      serialize: text().serialize as Serialization<unknown>["serialize"],
      deserialize,
    },
    Object.assign(text() as Serialization<unknown>, { deserialize }),
    { ...json<unknown>(), deserialize },
  ];
  for (const serialization of serializations) {
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
  }
});

Deno.test("json() sends the UTF-8 of JSON.stringify()", () => {
  assertEquals(
    json().serialize({ a: ["é", undefined], b: undefined, c: new Date(0) }),
    encoder.encode('{"a":["é",null],"c":"1970-01-01T00:00:00.000Z"}'),
  );
});

Deno.test("json() tells what toJSON() of a message threw", () => {
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

Deno.test("json() gives back any value of JSON", () => {
  const { serialize, deserialize } = json();
  fc.assert(fc.property(fc.jsonValue(), (message) => {
    // JSON has no negative zero.
    const expected: unknown = JSON.parse(JSON.stringify(message));
    assertEquals(deserialize(serialize(message)), expected);
  }));
});

Deno.test("structured() gives back any value that can be cloned", () => {
  const { serialize, deserialize } = structured();
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withBoxedValues: true,
  });
  fc.assert(fc.property(anything, (message) => {
    assertEquals(deserialize(serialize(message)), structuredClone(message));
  }));
});

Deno.test("structured() keeps errors and their causes", () => {
  const { serialize, deserialize } = structured<Error>();
  const error = new RangeError("taco", { cause: new TypeError("cat") });
  const clone = deserialize(serialize(error));
  assertInstanceOf(clone, RangeError);
  assertEquals(clone.message, "taco");
  assertInstanceOf(clone.cause, TypeError);
  assertEquals(clone.cause.message, "cat");
});

Deno.test("structured() keeps cycles and what is there twice", () => {
  const { serialize, deserialize } = structured<unknown[]>();
  const twice = { a: 1 };
  const message: unknown[] = [twice, twice];
  message.push(message);
  const clone = deserialize(serialize(message));
  assertEquals(clone[0], twice);
  assertStrictEquals(clone[1], clone[0]);
  assertStrictEquals(clone[2], clone);
});

Deno.test("structured() sends a message as it is at the call", () => {
  const { serialize, deserialize } = structured<Uint8Array[]>();
  const message = [Uint8Array.of(1, 2, 3)];
  const bytes = serialize(message);
  message[0]?.fill(0xee);
  assertEquals(deserialize(bytes), [Uint8Array.of(1, 2, 3)]);
});

Deno.test("structured() hands out no memory of ours, nor any twice", () => {
  const { serialize, deserialize } = structured<ArrayBufferView[]>();
  const lengths = [1, 3, 0, 70_000];
  const message = [
    ...lengths.map((length) => new Uint8Array(length).fill(length)),
    Float64Array.of(1.5),
    new DataView(Uint8Array.of(9, 8, 7).buffer, 1),
  ];
  const bytes = serialize(message);
  const clone = deserialize(bytes);
  bytes.fill(0xee);
  new Uint8Array(bytes.buffer).fill(0xee);
  assertEquals(clone, message);

  const buffers = [bytes, ...message, ...clone].map(({ buffer }) => buffer);
  assertEquals(new Set(buffers).size, buffers.length);
  for (const [i, { buffer }] of clone.entries()) {
    assertInstanceOf(buffer, ArrayBuffer);
    structuredClone(buffer, { transfer: [buffer] });
    assertEquals(clone.slice(i + 1), message.slice(i + 1));
  }
});

Deno.test("structured() keeps that two views are of the same memory", () => {
  const { serialize, deserialize } = structured<Uint8Array[]>();
  const memory = Uint8Array.of(1, 2, 3, 4);
  const [whole, part] = deserialize(serialize([memory, memory.subarray(1, 3)]));
  assert(whole && part);
  assertStrictEquals(part.buffer, whole.buffer);
  assertEquals(part, Uint8Array.of(2, 3));
});

Deno.test("structured() messages of a Channel may be transferred", async () => {
  const [ours, theirs] = channels(
    structured<Uint8Array<ArrayBuffer>[]>(),
    structured<Uint8Array<ArrayBuffer>[]>(),
  );
  const messages = [1, 2].map((
    byte,
  ) => [Uint8Array.of(byte), Uint8Array.of(byte)]);
  for (const message of messages) await ours.send(message);
  for (const message of messages) {
    const received = await theirs.receive();
    assertEquals(received, message);
    const [first, second] = received ?? [];
    assert(first && second);
    structuredClone(first, { transfer: [first.buffer] });
    assertEquals(first.length, 0);
    assertEquals(second, message[1]!);
  }
  await end(ours, theirs);
});

Deno.test("structured() refuses a clone that is cut anywhere", () => {
  const { serialize, deserialize } = structured();
  const bytes = serialize({
    map: new Map([["taco", [1, 2n, "cat"]]]),
    memory: Uint8Array.of(1, 2, 3),
  });
  for (let length = 0; length < bytes.length; length++) {
    const error = assertThrows(() => deserialize(bytes.slice(0, length)));
    assertInstanceOf(error, DOMException);
    assertError(error, "receive", "DataCloneError", "");
  }
});
