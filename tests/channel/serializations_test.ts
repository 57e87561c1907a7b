import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  bytes,
  Channel,
  json,
  type Serialization,
  structured,
  text,
} from "../../channel.ts";
import { assertError, channels, encoder, end } from "./serialized_channels.ts";
import { transformStreams } from "./stream_pairs.ts";

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

for (
  const { name, serialization, good, unsendable, unreceivable } of cases
) {
  Deno.test(`${name} returns what was sent`, () => {
    for (const message of good) {
      const bytes = serialization.serialize(message);
      assertInstanceOf(bytes, Uint8Array);
      assertEquals(serialization.deserialize(bytes.slice()), message);
    }
  });

  Deno.test(`${name} reports why a message cannot be sent`, () => {
    for (const [message, errorName, why] of unsendable) {
      const error = assertThrows(() => serialization.serialize(message));
      assertError(error, "send", errorName, why);
    }
  });

  Deno.test(`${name} reports why bytes cannot be received`, () => {
    for (const [bytes, errorName, why] of unreceivable) {
      const error = assertThrows(() =>
        serialization.deserialize(bytes.slice())
      );
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

Deno.test("Channel iteration can continue after a message that cannot be received", async () => {
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

Deno.test("Channel rejects with what a custom serialization throws, and continues", async () => {
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

Deno.test("Channel constructor throws for a serialization that is not called", () => {
  const [stream] = transformStreams();
  const options = JSON.parse("{}");
  for (const [name, serialization] of Object.entries({ text, json, bytes })) {
    options.serialization = serialization;
    assertThrows(
      () => new Channel(stream, options),
      TypeError,
      `Cannot use serialization: it is a function, call it: ${name}()`,
    );
  }
  assert(!stream.readable.locked);
});

Deno.test("Channel rejects a message that a custom serialization converts to no bytes, and continues", async () => {
  let made: unknown;
  const serialization: Serialization<unknown> = {
    // deno-lint-ignore no-explicit-any -- as who writes JavaScript may
    serialize: () => made as any,
    deserialize: (bytes) => bytes,
  };
  const [ours, theirs] = channels(serialization, text());
  for (made of ["taco cat", undefined, null, [1, 2], new ArrayBuffer(2)]) {
    await assertRejects(
      () => ours.send(0),
      TypeError,
      "Cannot send message: its serialization did not return a Uint8Array",
    );
  }
  made = encoder.encode("taco cat");
  await ours.send(0);
  assertEquals(await theirs.receive(), "taco cat");
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
