/** A channel that says on standard error what happens to it, if `SOCKETPAIR_DEBUG` is 1. */

import {
  type AnySerialization,
  Channel,
  type ChannelOptions,
  type Connection,
  type DuplexStream,
  type Received,
  type Sent,
  type Serialization,
} from "../channel.ts";
import { serializationOf } from "../channel/serializations.ts";
import { log, messageOf } from "./environment.ts";

export function openChannel<S extends AnySerialization>(
  stream: Connection | DuplexStream,
  options: ChannelOptions<S>,
): Channel<Received<S>, Sent<S>> {
  const serialization = serializationOf(options);
  const channel = new Channel(stream, {
    ...options,
    serialization: log ? traced(serialization, log) : serialization,
  });
  if (!log) return channel;
  channel.closed.then(
    () => log?.("closed"),
    (error) => log?.(`failed: ${messageOf(error)}`),
  );
  return channel;
}

function traced<In, Out>(
  serialization: Serialization<In, Out>,
  log: (line: string) => void,
): Serialization<In, Out> {
  return {
    borrows: serialization.borrows,
    serialize(message) {
      const bytes = serialization.serialize(message);
      log(`sent frame of ${bytes.length} bytes`);
      return bytes;
    },
    deserialize(bytes) {
      log(`received frame of ${bytes.length} bytes`);
      return serialization.deserialize(bytes);
    },
  };
}
