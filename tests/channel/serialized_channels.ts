import { assertEquals, assertInstanceOf } from "@std/assert";
import { Channel, type Serialization } from "../../channel.ts";

export const encoder = new TextEncoder();

export function assertError(
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

/** Two channels that are connected in memory. */
export function channels<T, U>(
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
export async function end<T, U>(ours: Channel<T>, theirs: Channel<U>) {
  await Promise.all([ours.closeWrite(), theirs.closeWrite()]);
  assertEquals(await Array.fromAsync(ours), []);
  assertEquals(await Array.fromAsync(theirs), []);
}
