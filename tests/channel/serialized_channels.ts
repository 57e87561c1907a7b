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
export function channels<In, Out, TheirIn, TheirOut>(
  ours: Serialization<In, Out>,
  theirs: Serialization<TheirIn, TheirOut>,
): [Channel<In, Out>, Channel<TheirIn, TheirOut>] {
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
export async function end<In, Out, TheirIn, TheirOut>(
  ours: Channel<In, Out>,
  theirs: Channel<TheirIn, TheirOut>,
) {
  await Promise.all([ours.closeWrite(), theirs.closeWrite()]);
  assertEquals(await Array.fromAsync(ours), []);
  assertEquals(await Array.fromAsync(theirs), []);
}
