/** The connection to a child, and the channel over it. */

import {
  bytes,
  Channel,
  type ChannelOptions,
  type Connection,
  type Serialization,
} from "../channel.ts";
import { log, messageOf } from "./environment.ts";

const DISCARD_BUFFER_LENGTH = 65_536;

/**
 * A connection that can outlive its channel: once {@linkcode drain} was called, and sending
 * has ended, the channel's `close()` leaves the child free to send, and what comes is
 * discarded until the child closes.
 */
export class DrainableConnection implements Connection {
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  readonly #conn: Connection;
  readonly #closed = Promise.withResolvers<void>();
  #isDraining = false;
  #hasSendingEnded = false;

  constructor(conn: Connection) {
    this.#conn = conn;
    this.closed = this.#closed.promise;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return this.#conn.read(buffer);
  }

  write(bytes: Uint8Array): Promise<number> {
    const writing = this.#conn.write(bytes);
    writing.catch(() => this.#hasSendingEnded = true);
    return writing;
  }

  closeWrite(): Promise<void> {
    this.#hasSendingEnded = true;
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#isDraining && this.#hasSendingEnded) void this.#discard();
    else this.destroy();
  }

  /** From now on {@linkcode close} discards what still comes before it closes. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Close both directions now. */
  destroy(): void {
    try {
      this.#conn.close();
    } catch {
      // It is closed.
    }
    this.#closed.resolve();
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }

  async #discard() {
    const buffer = new Uint8Array(DISCARD_BUFFER_LENGTH);
    try {
      while (await this.#conn.read(buffer) !== null);
    } catch {
      // Why there is no more does not matter.
    }
    this.destroy();
  }
}

/** Make a channel over a connection; with `SOCKETPAIR_DEBUG` it is traced. */
export function openChannel<In, Out>(
  connection: Connection,
  options: ChannelOptions<In, Out>,
): Channel<In, Out> {
  const serialization = serializationOf(options);
  if (!log) return new Channel(connection, { ...options, serialization });
  const channel = new Channel(connection, {
    ...options,
    serialization: traced(serialization, log),
  });
  channel.closed.then(
    () => log?.("closed"),
    (error) => log?.(`failed: ${messageOf(error)}`),
  );
  return channel;
}

/** Without a serialization the types are those of bytes(), as the overloads say. */
export function serializationOf<In, Out>(
  { serialization }: ChannelOptions<In, Out>,
): Serialization<In, Out> {
  const unknown: Serialization<unknown, never> = bytes();
  return serialization ?? unknown as Serialization<In, Out>;
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
