import { messageOf } from "./serializations.ts";
import type { Serialization } from "./types.ts";

/**
 * Send values that the
 * {@link https://html.spec.whatwg.org/multipage/structured-data.html | structured clone algorithm}
 * can clone: `Map`, `Set`, `Date`, `BigInt`, errors, typed arrays, cycles, `undefined`.
 * The bytes are V8's own format (`node:v8`). The type is the caller's claim.
 *
 * **Use it only with peers that you trust with this process**, not with a sandboxed module: V8 does
 * not harden its deserializer against malicious input. A message of 300 bytes that is made of
 * sparse arrays can make it allocate gigabytes. `json()` has no such messages.
 *
 * Sending and receiving throw `DOMException` with the name `DataCloneError` for values that cannot
 * be cloned, such as functions, and for bytes that are not a clone. This includes objects of the
 * platform that `node:v8` would turn into empty objects: `Headers`, `URL`, `Blob`, `CryptoKey`,
 * `AbortSignal`, streams. A `DOMException` keeps its name and message, also as the `cause` of an
 * error; in a Node peer without this module it is an `Error` with that message. A typed array is
 * cloned with its whole buffer, as `structuredClone()` does: of a small `Buffer` of `node:buffer`,
 * which shares its memory with others, send a copy.
 *
 * Node 20, 22 and 24 read these messages. From Node 22 and 24 everything arrives; from Node 20
 * everything but an `Error` with a `cause`, which is a `DataCloneError` here. (Tried: 20.20, 22.23
 * and 24.22.) Bun has no such format (tried: 1.4.5): there, each message is a `DataCloneError`.
 *
 * @example
 * ```ts
 * import { structured } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const { serialize, deserialize } = structured<Map<string, bigint>>();
 * const message = new Map([["id", 7n]]);
 * assertEquals(deserialize(serialize(message).slice()), message);
 * ```
 *
 * @typeParam In The type of the messages that are received.
 * @typeParam Out The type of the messages that are sent.
 * @returns The serialization.
 */
export function structured<In = unknown, Out = In>(): Serialization<
  In,
  Out
> {
  // Importing node:v8 statically would cost every child 7 ms.
  const { Deserializer, Serializer } = process.getBuiltinModule("node:v8");
  return {
    borrows: true, // V8 copies the bytes of what it reads
    serialize(message) {
      const restorers: (() => void)[] = [];
      // v8.serialize() makes two typed arrays share one buffer once they are read, so that
      // transferring one would detach the other.
      try {
        forEachObject(message, (object) => {
          if (object instanceof DOMException) restorers.push(expose(object));
          else refusePlatformObject(object);
        });
        const serializer = new Serializer();
        serializer.writeHeader();
        if (restorers.length > 0) serializer.writeRawBytes(HAS_EXCEPTIONS);
        serializer.writeValue(message);
        return serializer.releaseBuffer();
      } catch (cause) {
        throw dataCloneError("Cannot send message", cause);
      } finally {
        for (const restore of restorers) restore();
      }
    },
    deserialize(bytes) {
      try {
        const deserializer = new Deserializer(bytes);
        deserializer.readHeader();
        const message = deserializer.readValue();
        if (bytes[2] === 0 && bytes[3] === 0) {
          forEachObject(message, toException);
        }
        return message;
      } catch (cause) {
        throw dataCloneError("Cannot receive message", cause);
      }
    },
  };
}

/**
 * Two bytes of padding after V8's header of two bytes: the message has `DOMException`s. V8 skips
 * padding, and never writes more than one byte of it.
 */
const HAS_EXCEPTIONS = new Uint8Array(2);

/** The key of a `DOMException`'s name in what is sent as its cause. */
const NAME = "DOMException.name";

/** Classes with a `Symbol.toStringTag` whose instances V8 clones. */
const CLONED = ["Map", "Set", "BigInt", "ArrayBuffer", "DataView"];

/** Visit each object that V8 clones. */
function forEachObject(message: unknown, visit: (object: object) => void) {
  const seen = new Set<object>();
  const found: object[] = [];
  const add = (value: unknown) => {
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    found.push(value);
  };
  add(message);
  for (let object; (object = found.pop()) !== undefined;) {
    visit(object);
    // Of an error V8 clones only the cause; the items of a typed array are not objects.
    if (object instanceof Error) add(object.cause);
    else if (!ArrayBuffer.isView(object)) {
      if (object instanceof Map) {
        for (const entry of object) entry.forEach(add);
      } else if (object instanceof Set) object.forEach(add);
      for (const value of Object.values(object)) add(value);
    }
  }
}

/** Throw for an object of the platform, which V8 would make an empty object. */
function refusePlatformObject(object: object) {
  for (
    let prototype = Object.getPrototypeOf(object);
    prototype !== null && prototype !== Object.prototype &&
    prototype !== Array.prototype;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    const name = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag)
      ?.value;
    if (
      typeof name === "string" && !CLONED.includes(name) &&
      Reflect.get(globalThis, name)?.prototype === prototype
    ) throw new TypeError(`${name} could not be cloned`);
  }
}

/**
 * Give a `DOMException` the properties of its own that V8 clones of an error.
 *
 * @returns A function that takes them away.
 */
function expose(exception: DOMException): () => void {
  const before = ["message", "cause"].map((key) =>
    [key, Object.getOwnPropertyDescriptor(exception, key)] as const
  );
  const cause = { [NAME]: exception.name, cause: exception.cause };
  Object.defineProperties(exception, {
    message: { value: exception.message, configurable: true },
    cause: { value: cause, configurable: true },
  });
  return () => {
    for (const [key, descriptor] of before) {
      if (descriptor) Object.defineProperty(exception, key, descriptor);
      else Reflect.deleteProperty(exception, key);
    }
  };
}

/** Make an error that was a `DOMException` one again. */
function toException(object: object) {
  if (!(object instanceof Error) || typeof object.cause !== "object") return;
  const { cause } = object;
  if (cause === null || !Object.hasOwn(cause, NAME)) return;
  const name = String(Reflect.get(cause, NAME));
  Object.setPrototypeOf(object, DOMException.prototype);
  Object.defineProperties(object, {
    name: { value: name, configurable: true },
    code: { value: new DOMException("", name).code, configurable: true },
    cause: { value: Reflect.get(cause, "cause") },
  });
}

function dataCloneError(action: string, cause: unknown): DOMException {
  const message = `${action}: ${messageOf(cause)}`;
  const error = new DOMException(message, "DataCloneError");
  return Object.assign(error, { cause });
}
