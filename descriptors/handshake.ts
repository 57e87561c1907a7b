import { HandshakeServer } from "../pair/handshake.ts";
import { libc } from "./libc.ts";
import { DescriptorSocket } from "./descriptor_socket.ts";
import { accept, openUnixSocket, POLLIN, read, wait } from "./unix_socket.ts";

/** Tells a child the path of the second socket. */
export const PATH_VARIABLE = "SOCKETPAIR_DESCRIPTORS_PATH";

/** How many connections wait to be accepted. */
const BACKLOG = 64;

const SHUT_RDWR = 2;

/** A connection that was accepted, until it has sent the token. */
class AcceptedSocket {
  readonly descriptor: number;
  #isClosed = false;
  #waiting: Promise<void> | undefined;

  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (!this.#isClosed) {
      const bytes = read(this.descriptor, buffer.length);
      if (bytes !== undefined) {
        buffer.set(bytes);
        return bytes.length || null;
      }
      await (this.#waiting = wait(this.descriptor, POLLIN));
    }
    return null;
  }

  /** Resolves when no thread waits: `deno test` would report one. */
  async close() {
    this.#isClosed = true;
    libc().close(this.descriptor);
    await this.#waiting;
  }
}

/** Listens on a Unix socket with the C library, because Deno keeps its descriptors to itself. */
class DescriptorListener implements AsyncIterable<AcceptedSocket> {
  readonly #descriptor: number;
  #isClosed = false;

  constructor(path: string) {
    this.#descriptor = openUnixSocket("bind", path);
    libc().listen(this.#descriptor, BACKLOG);
  }

  async *[Symbol.asyncIterator]() {
    while (!this.#isClosed) {
      const descriptor = accept(this.#descriptor);
      if (descriptor !== undefined) yield new AcceptedSocket(descriptor);
      else await wait(this.#descriptor, POLLIN);
    }
  }

  close() {
    this.#isClosed = true;
    // Ends the wait immediately on Linux.
    libc().shutdown(this.#descriptor, SHUT_RDWR);
    libc().close(this.#descriptor);
  }
}

/** Wait for the connection that sends the token. */
export function listenForDescriptors(
  { directory, token }: { directory: string; token: string },
): { env: Record<string, string>; server: HandshakeServer<AcceptedSocket> } {
  const path = `${directory}/d`;
  const endpoint = {
    listener: new DescriptorListener(path),
    address: { path },
  };
  return {
    env: { [PATH_VARIABLE]: path },
    server: new HandshakeServer(endpoint, token),
  };
}

/** Connect to the parent, and send it the token. */
export function connectTo(path: string, token: string): DescriptorSocket {
  const socket = openUnixSocket("connect", path);
  const bytes = new TextEncoder().encode(token);
  // It fits into the socket's buffer. The next operation reports an error.
  libc().write(socket, bytes, BigInt(bytes.length));
  return new DescriptorSocket(socket);
}
