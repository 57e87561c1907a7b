import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { structured } from "../../channel.ts";
import { assertError, channels, end } from "./serialized_channels.ts";

Deno.test("structured() returns any value that can be cloned", () => {
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
    assertEquals(
      deserialize(new Uint8Array(serialize(message))),
      structuredClone(message),
    );
  }));
});

Deno.test("structured() keeps errors and their causes", () => {
  const { serialize, deserialize } = structured<Error>();
  const error = new RangeError("taco", { cause: new TypeError("cat") });
  const clone = deserialize(new Uint8Array(serialize(error)));
  assertInstanceOf(clone, RangeError);
  assertEquals(clone.message, "taco");
  assertInstanceOf(clone.cause, TypeError);
  assertEquals(clone.cause.message, "cat");
});

Deno.test("structured() keeps cycles and shared references", () => {
  const { serialize, deserialize } = structured<unknown[]>();
  const twice = { a: 1 };
  const message: unknown[] = [twice, twice];
  message.push(message);
  const clone = deserialize(new Uint8Array(serialize(message)));
  assertEquals(clone[0], twice);
  assertStrictEquals(clone[1], clone[0]);
  assertStrictEquals(clone[2], clone);
});

Deno.test("structured() serializes a message synchronously", () => {
  const { serialize, deserialize } = structured<Uint8Array[]>();
  const message = [Uint8Array.of(1, 2, 3)];
  const bytes = new Uint8Array(serialize(message));
  message[0]?.fill(0xee);
  assertEquals(deserialize(bytes), [Uint8Array.of(1, 2, 3)]);
});

Deno.test("structured() returns memory that nothing else uses", () => {
  const { serialize, deserialize } = structured<ArrayBufferView[]>();
  const lengths = [1, 3, 0, 70_000];
  const message = [
    ...lengths.map((length) => new Uint8Array(length).fill(length)),
    Float64Array.of(1.5),
    new DataView(Uint8Array.of(9, 8, 7).buffer, 1),
  ];
  const bytes = new Uint8Array(serialize(message));
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

Deno.test("structured() keeps two views of the same memory", () => {
  const { serialize, deserialize } = structured<Uint8Array[]>();
  const memory = Uint8Array.of(1, 2, 3, 4);
  const [whole, part] = deserialize(
    new Uint8Array(serialize([memory, memory.subarray(1, 3)])),
  );
  assert(whole && part);
  assertStrictEquals(part.buffer, whole.buffer);
  assertEquals(part, Uint8Array.of(2, 3));
});

Deno.test("structured() messages of a Channel can be transferred", async () => {
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

Deno.test("structured() rejects a clone that is truncated anywhere", () => {
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

Deno.test("structured() keeps the name and message of a DOMException anywhere in a message", () => {
  const { serialize, deserialize } = structured<unknown>();
  const exception = new DOMException("gone", "AbortError");
  const caused = Object.assign(new DOMException("", "DataCloneError"), {
    cause: new RangeError("outer", { cause: exception }),
  });
  const twice = [exception, { exception }];
  const descriptors = Object.getOwnPropertyDescriptors(exception);

  const clones = deserialize(
    new Uint8Array(serialize([
      new Error("outer", { cause: exception }),
      new Map([[exception, new Set([exception])]]),
      caused,
      twice,
    ])),
  );
  assert(Array.isArray(clones));
  const [error, map, causedClone, twiceClone] = clones;
  const [[key, set]] = map;
  for (
    const clone of [
      error.cause,
      key,
      ...set,
      causedClone.cause.cause,
      ...twiceClone.slice(0, 1),
      twiceClone[1].exception,
    ]
  ) {
    assertInstanceOf(clone, DOMException);
    assertStrictEquals(clone, error.cause);
    assertEquals(clone.name, "AbortError");
    assertEquals(clone.message, "gone");
    assertEquals(clone.code, 20);
    assertEquals(clone.cause, undefined);
  }
  assertInstanceOf(causedClone, DOMException);
  assertEquals(causedClone.name, "DataCloneError");
  assertEquals(causedClone.message, "");
  assertInstanceOf(causedClone.cause, RangeError);
  assertEquals(Object.getOwnPropertyDescriptors(exception), descriptors);

  const again = deserialize(new Uint8Array(serialize(error.cause)));
  assertInstanceOf(again, DOMException);
  assertEquals(again.name, "AbortError");
  assertEquals(again.message, "gone");
});

Deno.test("structured() rejects platform objects instead of emptying them", async () => {
  const { serialize, deserialize } = structured<unknown>();
  const key = await crypto.subtle.generateKey(
    { name: "AES-GCM", length: 128 },
    true,
    ["encrypt"],
  );
  for (
    const object of [
      new Headers({ taco: "cat" }),
      new Request("http://localhost"),
      new Response("taco"),
      new URLSearchParams("taco=cat"),
      new URL("http://localhost"),
      new Blob(["taco"]),
      new File(["taco"], "cat.txt"),
      new FormData(),
      new Event("taco"),
      AbortSignal.abort(),
      new ReadableStream(),
      new TransformStream(),
      key,
    ]
  ) {
    class Derived extends Headers {}
    for (
      const message of [
        object,
        [object],
        { deep: [{ object }] },
        new Map([[1, object]]),
        new Map([[object, 1]]),
        new Set([object]),
        new Error("taco", { cause: object }),
        new Derived(),
      ]
    ) {
      const error = assertThrows(() => serialize(message));
      assertInstanceOf(error, DOMException);
      const { name } = Object(message === object ? object : {}).constructor;
      const why = message === object ? `${name} could not be cloned` : "";
      assertError(error, "send", "DataCloneError", why);
    }
  }

  class Point {
    x = 1;
    get [Symbol.toStringTag]() {
      return "Point";
    }
  }
  const error = Object.assign(new Error("taco"), { headers: new Headers() });
  const clone = deserialize(new Uint8Array(serialize([new Point(), error])));
  assert(Array.isArray(clone));
  assertEquals(clone[0], { x: 1 });
  assertEquals(clone[1].message, "taco");
});
