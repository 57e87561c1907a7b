import { quote } from "../framing/errors.ts";
import { giveMemory, takeMemory } from "../framing/memory.ts";
import { checkWith, type StandardSchemaV1 } from "./schema.ts";
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
 * for await (const view of b) { // valid until the next step
 *   for (const byte of view) sum += byte;
 * }
 * assertEquals(sum, 6);
 * ```
 *
 * @param options Whether received messages are borrowed.
 * @returns The serialization. Without options it is the default one of a `Channel`.
 */
export function bytes(
  options: BytesOptions = {},
): Serialization<Uint8Array<ArrayBuffer>, Uint8Array> {
  const { borrow = false } = options;
  return {
    borrows: borrow,
    serialize(message) {
      if (!(message instanceof Uint8Array)) {
        throw new TypeError(
          "Cannot send message: it is not a Uint8Array, as bytes(), the default serialization, requires: set another one in the options, such as text() or json()",
        );
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

/** A decoder replaces invalid bytes with this character, which a text may also contain. */
const REPLACEMENT = "\ufffd";

/** The longest string, in UTF-16 units, that is encoded into the reused buffer. */
const MAX_SCRATCH_UNITS = 5 * 1024 * 1024;

/** The longest string of V8, in UTF-16 units. */
const MAX_STRING_LENGTH = 2 ** 29 - 24;

/** The bytes of a text until they are copied into a batch. All channels share this buffer. */
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
 * Sending throws `TypeError` for values that are not strings, and for strings with a lone
 * surrogate, which UTF-8 cannot express. Receiving throws `TypeError` for bytes that
 * are not UTF-8, and `RangeError` for more than 536,870,888 bytes, the number of UTF-16
 * units of V8's longest string.
 *
 * It {@link Serialization.borrows | borrows}: the bytes that `serialize()` returns are valid until
 * its next call, or that of any other `text()` or `json()`, because all of them use the same buffer.
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
  // Deno decodes 3 to 9 times as fast if it may replace invalid bytes. The strict decoder then
  // tells whether it did.
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
        throw new TypeError(
          `Cannot receive message: it is not UTF-8: ${excerptOf(bytes)}`,
          { cause },
        );
      }
    },
  };
}

/** Schemas for {@linkcode json}. */
export interface JsonSchemas<
  Receive extends StandardSchemaV1,
  Send extends StandardSchemaV1,
> {
  /** Checks messages that are received, which become what the schema makes of them. */
  receive: Receive;
  /**
   * Checks messages that are sent. They are sent as they are, not as what the schema makes of
   * them: that is for the receiver.
   *
   * @default {receive}
   */
  send?: Send | undefined;
}

/**
 * Send values that JSON can express ({@link https://www.rfc-editor.org/rfc/rfc8259 | RFC 8259}),
 * as UTF-8.
 *
 * Without schemas, the types are the caller's claim: messages are not checked against them. With
 * schemas of a library that follows {@link https://standardschema.dev | Standard Schema}, such as
 * Zod, Valibot and ArkType, they are checked, and the types are those of the schemas. A message
 * that does not fit rejects its `receive()` or `send()` with {@linkcode InvalidMessageError}, and
 * the channel goes on. An asynchronous schema rejects with `TypeError`.
 *
 * Sending throws `TypeError` for values that have no JSON form: `undefined`, functions, symbols,
 * `bigint`s, cycles. Receiving throws `SyntaxError` for bytes that are not JSON and `TypeError`
 * for bytes that are not UTF-8. Both throw `RangeError` for more than V8's longest string.
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
 * @typeParam In The type of the messages that are received.
 * @typeParam Out The type of the messages that are sent.
 * @returns The serialization.
 */
export function json<In = unknown, Out = In>(): Serialization<In, Out>;
/**
 * Send values that JSON can express, and check them with schemas.
 *
 * @example
 * ```ts ignore
 * import { connectToParent, json } from "@socketpair/socketpair";
 * import * as z from "zod";
 *
 * const Order = z.object({ dish: z.string(), count: z.int().default(1) });
 * const Receipt = z.object({ price: z.number() });
 * const parent = await connectToParent({
 *   serialization: json({ receive: Order, send: Receipt }),
 * });
 * ```
 *
 * @typeParam Receive The schema of the messages that are received.
 * @typeParam Send The schema of the messages that are sent.
 * @param schemas The schemas.
 * @returns The serialization.
 */
export function json<
  Receive extends StandardSchemaV1,
  Send extends StandardSchemaV1 = Receive,
>(
  schemas: JsonSchemas<Receive, Send>,
): Serialization<
  StandardSchemaV1.InferOutput<Receive>,
  StandardSchemaV1.InferInput<Send>
>;
export function json(
  schemas?: JsonSchemas<StandardSchemaV1, StandardSchemaV1>,
): Serialization<unknown> {
  const strings = text();
  const plain: Serialization<unknown> = {
    borrows: true,
    serialize: (message) => strings.serialize(stringify(message)),
    deserialize: (bytes) => parse(strings.deserialize(bytes), bytes),
  };
  if (schemas === undefined) return plain;
  const { receive, send = receive } = schemas;
  return {
    borrows: true,
    serialize(message) {
      checkWith(send, message, "Cannot send message");
      return plain.serialize(message);
    },
    deserialize: (bytes) =>
      checkWith(receive, plain.deserialize(bytes), "Cannot receive message"),
  };
}

function stringify(message: unknown): string {
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

function parse(string: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(string);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot receive message: it is not JSON: ${excerptOf(bytes)}`,
      { cause },
    );
  }
}

function excerptOf(bytes: Uint8Array): string {
  return `${quote(bytes)} (${bytes.length} bytes)`;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
