import { HandshakeServer } from "../pair/handshake.ts";
import { Libc } from "./libc.ts";
import { DescriptorSocket } from "./socket.ts";
import { POLLIN } from "./structures.ts";

/** Tells a child the path of the second socket. */
export const PATH_VARIABLE = "SOCKETPAIR_DESCRIPTORS_PATH";

/** How many connections wait to be accepted. */
const BACKLOG = 64;

/** A connection that was accepted, until it has sent the token. */
class AcceptedSocket {
  readonly #libc = Libc.use();
  readonly #descriptor: number;
  readonly #closed = new AbortController();
  #waiting: Promise<void> | undefined;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const bytes = this.#libc.read(this.#descriptor, buffer.length);
      if (bytes !== undefined) {
        buffer.set(bytes);
        return bytes.length || null;
      }
      this.#waiting = this.#libc.wait(this.#descriptor, POLLIN, signal);
      await this.#waiting;
    }
    return null;
  }

  async close() {
    this.#closed.abort();
    await this.#waiting;
    using libc = this.#libc;
    libc.close(this.#descriptor);
  }

  /** Make it one that sends and receives descriptors. */
  admit(): DescriptorSocket {
    using _libc = this.#libc;
    return new DescriptorSocket(this.#descriptor);
  }
}

/** Listens on a Unix socket with the C library, because Deno keeps its descriptors to itself. */
class DescriptorListener implements AsyncIterable<AcceptedSocket> {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #closed = new AbortController();

  constructor(libc: Libc, path: string) {
    this.#libc = libc;
    this.#descriptor = libc.listen(path, BACKLOG);
  }

  async *[Symbol.asyncIterator]() {
    const { signal } = this.#closed;
    try {
      while (!signal.aborted) {
        const descriptor = this.#libc.accept(this.#descriptor);
        if (descriptor !== undefined) {
          yield new AcceptedSocket(descriptor);
        } else await this.#libc.wait(this.#descriptor, POLLIN, signal);
      }
    } finally {
      this.#libc.close(this.#descriptor);
    }
  }

  close() {
    this.#closed.abort();
  }
}

/** Wait for the connection that sends the token. */
export function listenForDescriptors(
  libc: Libc,
  path: string,
  token: string,
): HandshakeServer<AcceptedSocket> {
  const listener = new DescriptorListener(libc, path);
  return new HandshakeServer({ listener, address: { path } }, token);
}

/** Connect to the parent, and send it the token. */
export function connectTo(path: string, token: string): DescriptorSocket {
  using libc = Libc.use();
  const socket = libc.openSocket("connect", path);
  libc.write(socket, new TextEncoder().encode(token));
  return new DescriptorSocket(socket);
}
