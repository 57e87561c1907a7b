import { equalTokens } from "../pair/handshake.ts";
import { Libc } from "./libc.ts";
import { DescriptorSocket } from "./socket.ts";
import { POLLIN } from "./structures.ts";

/** Tells a child the path of the second socket. */
export const PATH_VARIABLE = "SOCKETPAIR_DESCRIPTORS_PATH";

/** The number of connections whose token is incomplete. A new one replaces the oldest. */
const MAX_CANDIDATES = 32;

/** Waits for the connection that sends the token. */
export class DescriptorHandshake {
  /** Set when the child has connected. */
  descriptors: DescriptorSocket | undefined;
  readonly #libc: Libc;
  /** The part of the token that each connection has sent, the oldest connection first. */
  readonly #candidates = new Map<number, Uint8Array>();

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Listen, and return what `spawn()` needs to know about the second connection. */
  open({ directory, token }: { directory: string; token: string }) {
    const path = `${directory}/d`;
    const expected = new TextEncoder().encode(token);
    const listener = this.#libc.listen(path, MAX_CANDIDATES);
    let connected: Promise<void> | undefined;
    return {
      env: { [PATH_VARIABLE]: path },
      connected: (signal: AbortSignal) =>
        connected = this.#connect(listener, expected, signal),
      // The socket's path is deleted with its directory.
      close: async () => {
        await connected?.catch(() => {});
        for (const socket of this.#candidates.keys()) this.#libc.close(socket);
        this.#libc.close(listener);
      },
    };
  }

  async #connect(listener: number, expected: Uint8Array, signal: AbortSignal) {
    for (;;) {
      const socket = this.#admit(listener, expected);
      if (socket !== undefined) {
        this.descriptors = new DescriptorSocket(socket);
        return;
      }
      // Only now: a child that connected before the signal aborted is admitted.
      signal.throwIfAborted();
      const sockets = [listener, ...this.#candidates.keys()];
      await this.#libc.poller.wait(sockets, POLLIN, signal);
    }
  }

  /** Get the connection that has sent the token, and close those that sent another one. */
  #admit(listener: number, expected: Uint8Array): number | undefined {
    for (let count = 0; count < MAX_CANDIDATES; count++) {
      const socket = this.#libc.accept(listener);
      if (socket === undefined) break;
      this.#candidates.set(socket, new Uint8Array());
    }
    for (const [socket, start] of this.#candidates) {
      const bytes = this.#libc.read(socket, expected.length - start.length);
      if (bytes === undefined) continue;
      const token = Uint8Array.of(...start, ...bytes);
      this.#candidates.set(socket, token);
      if (bytes.length > 0 && token.length < expected.length) continue;
      this.#candidates.delete(socket);
      if (equalTokens(token, expected)) return socket;
      this.#libc.close(socket);
    }
    for (const oldest of this.#candidates.keys()) {
      if (this.#candidates.size <= MAX_CANDIDATES) break;
      this.#candidates.delete(oldest);
      this.#libc.close(oldest);
    }
    return undefined;
  }
}

/** Connect to the parent, and send it the token. */
export function connectTo(path: string, token: string): DescriptorSocket {
  using libc = Libc.use();
  const socket = libc.openSocket("connect", path);
  libc.write(socket, new TextEncoder().encode(token));
  return new DescriptorSocket(socket);
}
