import type { Connection, DuplexStream } from "./types.ts";
import { type Failure, markHandled } from "./waiters.ts";

/**
 * What is known about a peer besides the bytes that it sends: for a child process, its exit. The
 * layer above registers it by {@linkcode setPeer}.
 */
export interface Peer {
  /** Resolves when the peer has exited, to what to report in place of the end. */
  readonly exited: Promise<Failure | undefined>;
  /** Called at the end of reading. Resolves to what to report in place of the end, if anything. */
  endReading(error?: Failure): Promise<Failure | undefined>;
  /** Called when a write has failed. Resolves to what to report. */
  endWriting(error?: Failure): Promise<Failure>;
}

const peers = new WeakMap<Connection, Peer>();

/** Tell a channel over a connection about its peer, before the channel is made. */
export function setPeer(connection: Connection, peer: Peer) {
  peers.set(connection, peer);
}

/** Reads and writes bytes. It knows nothing about frames. */
export interface Transport {
  readonly peer?: Peer | undefined;
  /** Whether a buffer can be reused as soon as its write has resolved. */
  readonly reusesMemory: boolean;
  /**
   * Read some bytes. Resolves to how many were read into the memory that `target` returns, to
   * bytes in other memory, or to `null` at the end.
   */
  read(target: () => Uint8Array): Promise<number | Uint8Array | null>;
  /** Write some or all of the bytes. Resolves to how many. */
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  /** Cancel reading. Returns whether that ends the stream of bytes. */
  cancel(reason: unknown): boolean;
  /** End both directions; without a reason after a clean shutdown. */
  abort(reason?: unknown): void;
}

export function isConnection(
  stream: DuplexStream | Connection,
): stream is Connection {
  return "read" in stream && typeof stream.read === "function" &&
    "closeWrite" in stream && typeof stream.closeWrite === "function";
}

/** The name of the system's error for a peer that has closed the connection. */
const NOT_CONNECTED = "NotConnected";

/** Throw, unless the peer has closed already: it does not need the end. */
function throwUnlessClosed(error: unknown) {
  if (!(error instanceof Error && error.name === NOT_CONNECTED)) throw error;
}

/**
 * A `Deno.Conn` is read and written without web streams. Its own streams each close both
 * directions, and others cost too much for short messages: 60,000 round trips of 64 bytes took
 * 2.4 s of user time through streams, 1.8 s this way, and 1.6 s by hand without frames.
 */
export function connectionTransport(connection: Connection): Transport {
  let isClosed = false;
  return {
    peer: peers.get(connection),
    reusesMemory: true,
    read: (target) => connection.read(target()),
    write: (bytes) => connection.write(bytes),
    async closeWrite() {
      if (isClosed) return;
      await connection.closeWrite().catch(throwUnlessClosed);
    },
    // A socket cannot stop only the incoming direction; close() discards what arrives.
    cancel: () => false,
    abort() {
      isClosed = true;
      try {
        connection.close();
      } catch {
        // Already closed by other code.
      }
    },
  };
}

export function streamTransport(
  { readable, writable }: DuplexStream,
): Transport {
  if (readable.locked || writable.locked) {
    throw new TypeError("Cannot create channel: the stream is locked");
  }
  const writer = writable.getWriter();
  markHandled(writer.closed);
  // A BYOB read stays pending if a byte stream's source closes without answering it.
  const reader = readable.getReader();
  markHandled(reader.closed);
  return {
    reusesMemory: false,
    async read() {
      const { value, done } = await reader.read();
      if (done) return null;
      if (value instanceof Uint8Array) return value;
      throw new TypeError(
        "Cannot receive message: a chunk is not a Uint8Array",
      );
    },
    async write(bytes) {
      // The stream may transfer the buffer.
      const { length } = bytes;
      await writer.write(bytes);
      return length;
    },
    async closeWrite() {
      try {
        await writer.close();
      } catch {
        // close() of a failed stream does not give the cause; `closed` does.
        await writer.closed.catch(throwUnlessClosed);
      }
    },
    cancel(reason) {
      markHandled(reader.cancel(reason));
      return true;
    },
    abort(reason = peerClosed()) {
      markHandled(reader.cancel(reason));
      markHandled(writer.abort(reason));
    },
  };
}

/** The error of the peer's later writes, over streams in memory. */
function peerClosed(): Error {
  const error = new Error("The peer has closed the channel");
  return Object.assign(error, { name: NOT_CONNECTED });
}
