import type { Connection, DuplexStream } from "./types.ts";
import { type Failure, markHandled } from "./waiting.ts";

/**
 * What is known about a peer besides the bytes that it sends: for a child process, its exit. The
 * layer above registers it by {@linkcode setPeer}.
 */
export interface Peer {
  /** Resolves when the peer has gone, to what to report in place of the end. */
  readonly gone: Promise<Failure | undefined>;
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

/** How bytes come and go. It knows nothing of frames. */
export interface Transport {
  readonly peer?: Peer | undefined;
  /** Whether what is written is not looked at any more once it has been written. */
  readonly reusesMemory: boolean;
  /**
   * Read some bytes: how many came into the memory that `target` returns, or the bytes,
   * which are elsewhere; `null` at the end.
   */
  read(target: () => Uint8Array): Promise<number | Uint8Array | null>;
  /** Write some bytes or all, and return how many. */
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  /** End reading. Returns whether that ends the stream of bytes. */
  cancel(reason: unknown): boolean;
  /** End both. */
  abort(reason: unknown): void;
}

export function isConnection(
  stream: DuplexStream | Connection,
): stream is Connection {
  return "read" in stream && typeof stream.read === "function" &&
    "closeWrite" in stream && typeof stream.closeWrite === "function";
}

/**
 * A `Deno.Conn` is read and written without web streams: its own each close both
 * directions, and others cost too much where messages are short. 60,000 round trips of 64
 * bytes took both sides 2.4 s of user time through streams made of `read()` and `write()`,
 * 1.8 so, and 1.6 by hand without frames.
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
      try {
        await connection.closeWrite();
      } catch (error) {
        // The peer has left: it needs no telling, and nothing is lost by it.
        if (!(error instanceof Error && error.name === "NotConnected")) {
          throw error;
        }
      }
    },
    // It cannot end one direction of the peer's: close() drops what comes.
    cancel: () => false,
    abort() {
      isClosed = true;
      try {
        connection.close();
      } catch {
        // Somebody else has closed it.
      }
    },
  };
}

/** Bytes that are read at once from a byte stream. */
const BUFFER_LENGTH = 64 * 1024;

export function streamTransport(
  { readable, writable }: DuplexStream,
): Transport {
  if (readable.locked || writable.locked) {
    throw new TypeError("Cannot make channel: the stream is locked");
  }
  const writer = writable.getWriter();
  markHandled(writer.closed);
  const reader = readerOf(readable);
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
      // The stream may transfer it.
      const { length } = bytes;
      await writer.write(bytes);
      return length;
    },
    async closeWrite() {
      try {
        await writer.close();
      } catch {
        // Of a stream that has failed or ended it says only that, and closed says why.
        await writer.closed;
      }
    },
    cancel(reason) {
      markHandled(reader.cancel(reason));
      return true;
    },
    abort(reason) {
      markHandled(reader.cancel(reason));
      markHandled(writer.abort(reason));
    },
  };
}

/** The part of both kinds of reader that a transport uses. */
interface Reader {
  readonly closed: Promise<unknown>;
  read(): Promise<ReadableStreamReadResult<Uint8Array>>;
  cancel(reason: unknown): Promise<void>;
}

function readerOf(readable: ReadableStream<Uint8Array>): Reader {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = readable.getReader({ mode: "byob" });
  } catch {
    // Not a byte stream.
    return readable.getReader();
  }
  return {
    closed: reader.closed,
    // Fresh memory, as a message may be lent from what was read before.
    read: () => reader.read(new Uint8Array(BUFFER_LENGTH)),
    cancel: (reason) => reader.cancel(reason),
  };
}
