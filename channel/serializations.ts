import { giveMemory, takeMemory } from "../framing/memory.ts";
import type {
  AnySerialization,
  BytesOptions,
  ChannelOptions,
  Received,
  Sent,
  Serialization,
} from "./types.ts";

/**
 * Send `Uint8Array`s as they are.
 *
 * Sending throws `TypeError` for anything else.
 *
 * @example
 * ```ts
 * import { bytes } from "@socketpair/socketpair/channel";
 * import { assertEquals } from "@std/assert";
 *
 * const message = new Uint8Array([1, 2, 3]);
 * assertEquals(bytes().deserialize(message), message);
 * ```
 *
 * @example Hash messages without keeping them
 * ```ts
 * import { bytes, Channel } from "@socketpair/socketpair/channel";
 * import { socketPair } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = await socketPair();
 * await using a = new Channel(left);
 * await using b = new Channel(right, { serialization: bytes({ borrow: true }) });
 * await a.send(new Uint8Array([1, 2, 3]));
 * await a.closeWrite();
 *
 * let sum = 0;
 * for await (const view of b) { // good until the loop goes on
 *   for (const byte of view) sum += byte;
 * }
 * assertEquals(sum, 6);
 * ```
 *
 * @param options Whether what is received is borrowed.
 * @returns The serialization; without options the default one of a `Channel`.
 */
export function bytes(
  options: BytesOptions = {},
): Serialization<Uint8Array<ArrayBuffer>, Uint8Array> {
  const { borrow = false } = options;
  return {
    borrows: borrow,
    serialize(message) {
      if (!(message instanceof Uint8Array)) {
        throw new TypeError("Cannot send message: it is not a Uint8Array");
      }
      return message;
    },
    deserialize: (bytes) => bytes,
  };
}

const BYTES: Serialization<unknown, never> = bytes();

/** Return the serialization that options name, or `bytes()`. */
export function serializationOf<S extends AnySerialization>(
  { serialization }: ChannelOptions<S>,
): Serialization<Received<S>, Sent<S>> {
  if (typeof serialization === "function") {
    const { name } = serialization as { name?: unknown };
    throw new TypeError(
      `Cannot use serialization: it is a function, call it: ${name || "f"}()`,
    );
  }
  // TypeScript cannot see that S decides which of the two it is.
  return (serialization ?? BYTES) as Serialization<Received<S>, Sent<S>>;
}

/** What a decoder puts where the bytes are wrong; a text may also hold it. */
const REPLACEMENT = "\ufffd";

/** UTF-16 units of a string that is encoded into memory used again; longer ones are rare. */
const MAX_SCRATCH_UNITS = 5 * 1024 * 1024;

/** The longest string of V8, in UTF-16 units. */
const MAX_STRING_LENGTH = 2 ** 29 - 24;

/** Where the bytes of a text are until they are in a batch: shared by all channels. */
let scratch: Uint8Array<ArrayBuffer> = new Uint8Array(0);

function encodeText(encoder: TextEncoder, message: string): Uint8Array {
  if (message.length > MAX_SCRATCH_UNITS) return encoder.encode(message);
  // A UTF-16 unit takes at most 3 bytes.
  if (scratch.length < 3 * message.length || scratch.length === 0) {
    giveMemory(scratch);
    scratch = takeMemory(3 * message.length);
  }
  return scratch.subarray(0, encoder.encodeInto(message, scratch).written);
}

/**
 * Send strings as UTF-8 ({@link https://www.rfc-editor.org/rfc/rfc3629 | RFC 3629}).
 * A byte-order mark is a character like any other.
 *
 * Sending throws `TypeError` for what is no string, and for a string with a lone
 * surrogate, which UTF-8 cannot express. Receiving throws `TypeError` for bytes that
 * are not UTF-8, and `RangeError` for more than 536,870,888 bytes, which is how many UTF-16
 * units V8's longest string has.
 *
 * It {@link Serialization.borrows | borrows}: the bytes of `serialize()` are good until the
 * next call, be it of another `text()` or `json()`: all of them use the same memory.
 *
 * @example
 * ```ts
 * import { text } from "@socketpair/socketpair/channel";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(text().serialize("\u00e9"), new Uint8Array([0xc3, 0xa9]));
 * assertThrows(() => text().deserialize(new Uint8Array([0xff])), TypeError);
 * ```
 *
 * @returns The serialization.
 */
export function text(): Serialization<string> {
  const encoder = new TextEncoder();
  // Deno decodes 3 to 9 times as fast where it may replace what is wrong: the strict one
  // tells whether it has.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return {
    borrows: true,
    serialize(message) {
      if (typeof message !== "string") {
        throw new TypeError("Cannot send message: it is not a string");
      }
      if (!message.isWellFormed()) {
        throw new TypeError("Cannot send message: it holds a lone surrogate");
      }
      return encodeText(encoder, message);
    },
    deserialize(bytes) {
      try {
        const message = decoder.decode(bytes);
        return message.includes(REPLACEMENT) ? strict.decode(bytes) : message;
      } catch (cause) {
        if (bytes.length > MAX_STRING_LENGTH) {
          throw new RangeError(
            `Cannot receive message of ${bytes.length} bytes: a string holds at most ${MAX_STRING_LENGTH} UTF-16 units`,
            { cause },
          );
        }
        throw new TypeError("Cannot receive message: it is not UTF-8", {
          cause,
        });
      }
    },
  };
}

/**
 * Send what JSON can express ({@link https://www.rfc-editor.org/rfc/rfc8259 | RFC 8259}),
 * as UTF-8. The type is the caller's claim: what the peer sent is not checked
 * against it.
 *
 * Sending throws `TypeError` for what has no JSON form: `undefined`, a function, a
 * symbol, a `bigint`, a cycle. Receiving throws `SyntaxError` for what is not JSON
 * and `TypeError` for what is not UTF-8. Both throw `RangeError` for more than V8's longest
 * string.
 *
 * It {@link Serialization.borrows | borrows}, as {@linkcode text} does.
 *
 * @example
 * ```ts
 * import { json } from "@socketpair/socketpair/channel";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const { serialize, deserialize } = json<{ id: number }>();
 * assertEquals(deserialize(serialize({ id: 7 }).slice()), { id: 7 });
 * assertThrows(() => json().serialize(undefined), TypeError);
 * ```
 *
 * @typeParam In What is received.
 * @typeParam Out What is sent.
 * @returns The serialization.
 */
export function json<In = unknown, Out = In>(): Serialization<In, Out> {
  const strings = text();

  function stringify(message: Out): string {
    let string: string | undefined;
    try {
      string = JSON.stringify(message);
    } catch (cause) {
      if (cause instanceof RangeError && /string length/.test(cause.message)) {
        throw new RangeError(
          `Cannot send message: its JSON form is too long: a string holds at most ${MAX_STRING_LENGTH} UTF-16 units`,
          { cause },
        );
      }
      throw new TypeError(
        `Cannot send message: it has no JSON form: ${messageOf(cause)}`,
        { cause },
      );
    }
    if (string === undefined) {
      throw new TypeError(
        `Cannot send message: ${typeof message} has no JSON form`,
      );
    }
    return string;
  }

  return {
    borrows: true,
    serialize: (message) => strings.serialize(stringify(message)),
    deserialize(bytes) {
      const string = strings.deserialize(bytes);
      try {
        return JSON.parse(string);
      } catch (cause) {
        throw new SyntaxError(
          `Cannot receive message: it is not JSON: ${messageOf(cause)}`,
          { cause },
        );
      }
    },
  };
}

/**
 * Send whatever the
 * {@link https://html.spec.whatwg.org/multipage/structured-data.html | structured clone algorithm}
 * can clone: `Map`, `Set`, `Date`, `BigInt`, errors, typed arrays, cycles, `undefined`.
 * The bytes are V8's own format (`node:v8`), which Node understands too. The type is the
 * caller's claim.
 *
 * **Use it only with peers that you trust with this process**, not with a sandboxed module:
 * V8 does not promise to withstand bytes that were made to harm. A message of 300 bytes, made of
 * sparse arrays, has V8 take gigabytes. To bound what the bytes claim, all of V8's format would have
 * to be parsed before; `json()` has no such claims.
 *
 * Sending and receiving throw `DOMException` with the name `DataCloneError` for what
 * cannot be cloned, such as a function, and for bytes that are no clone. What `node:v8`
 * does not know arrives as a plain object without properties: a `Blob`, a `URL`, a stream.
 * A typed array is cloned with its whole buffer, as everywhere: of a small `Buffer` of
 * `node:buffer`, which shares one with others, send a copy.
 *
 * Bun has no such format (tried: 1.4.5): there, each message is a `DataCloneError`.
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
 * @typeParam In What is received.
 * @typeParam Out What is sent.
 * @returns The serialization.
 */
export function structured<In = unknown, Out = In>(): Serialization<
  In,
  Out
> {
  // Imported, it would cost every child 7 ms.
  const { Deserializer, Serializer } = process.getBuiltinModule("node:v8");
  return {
    borrows: true, // V8 copies the bytes of what it reads
    serialize(message) {
      // Not v8.serialize(): what that makes of two typed arrays shares, once it is
      // read, one buffer, so that transferring one would detach the other.
      try {
        const serializer = new Serializer();
        serializer.writeHeader();
        serializer.writeValue(message);
        return serializer.releaseBuffer();
      } catch (cause) {
        throw dataCloneError("Cannot send message", cause);
      }
    },
    deserialize(bytes) {
      try {
        const deserializer = new Deserializer(bytes);
        deserializer.readHeader();
        return deserializer.readValue();
      } catch (cause) {
        throw dataCloneError("Cannot receive message", cause);
      }
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function dataCloneError(action: string, cause: unknown): DOMException {
  const error = new DOMException(
    `${action}: ${messageOf(cause)}`,
    "DataCloneError",
  );
  return Object.assign(error, { cause });
}
