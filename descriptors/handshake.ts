import { equalTokens } from "../pair/handshake.ts";
import { Libc } from "./libc.ts";
import { DescriptorSocket } from "./socket.ts";
import { POLLIN } from "./structures.ts";

/** Tells a child the path of the socket that it connects to the second time. */
export const PATH_VARIABLE = "SOCKETPAIR_DESCRIPTORS_PATH";

/** Connections that may wait for their token; for one more, the one that waits longest is dropped. */
const MAX_CANDIDATES = 32;

/** Waits for the one connection that brings the token. */
export class DescriptorHandshake {
  /** What the child sends and receives descriptors by, once it has connected. */
  descriptors: DescriptorSocket | undefined;
  readonly #libc: Libc;
  #token = new Uint8Array();
  #listener = -1;
  /** What each one has sent of its token, the longest waiting first. */
  readonly #candidates = new Map<number, Uint8Array>();
  #connected: Promise<void> | undefined;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Listen. Returns what the start of a child needs to know of it. */
  open({ directory, token }: { directory: string; token: string }) {
    const path = `${directory}/d`;
    this.#token = new TextEncoder().encode(token);
    this.#listener = this.#libc.listen(path, MAX_CANDIDATES);
    return {
      env: { [PATH_VARIABLE]: path },
      connected: (signal: AbortSignal) =>
        this.#connected = this.#connect(signal),
      close: () => this.#close(),
    };
  }

  async #connect(signal: AbortSignal) {
    for (;;) {
      // A child that has come is let in even when the time is up, or it has ended.
      const socket = this.#admit();
      if (socket !== undefined) {
        this.descriptors = new DescriptorSocket(socket);
        return;
      }
      signal.throwIfAborted();
      const sockets = [this.#listener, ...this.#candidates.keys()];
      await this.#libc.poller.wait(sockets, POLLIN, signal);
    }
  }

  /** Let in the one whose token has come, and drop those who have none or a wrong one. */
  #admit(): number | undefined {
    for (let count = 0; count < MAX_CANDIDATES; count++) {
      const socket = this.#libc.accept(this.#listener);
      if (socket === undefined) break;
      this.#candidates.set(socket, new Uint8Array());
    }
    for (const [socket, start] of this.#candidates) {
      const token = this.#receiveToken(socket, start);
      if (token !== undefined && token.length < this.#token.length) {
        this.#candidates.set(socket, token);
      } else if (token !== undefined && equalTokens(token, this.#token)) {
        this.#candidates.delete(socket);
        return socket;
      } else {
        this.#drop(socket);
      }
    }
    for (const longest of this.#candidates.keys()) {
      if (this.#candidates.size <= MAX_CANDIDATES) break;
      this.#drop(longest);
    }
    return undefined;
  }

  /** Receive more of a token; `undefined` where no more will come. */
  #receiveToken(socket: number, start: Uint8Array): Uint8Array | undefined {
    try {
      const missing = this.#token.length - start.length;
      const bytes = this.#libc.receiveBytes(socket, missing);
      if (bytes === undefined) return start;
      if (bytes.length === 0) return undefined;
      return Uint8Array.of(...start, ...bytes);
    } catch {
      return undefined;
    }
  }

  #drop(socket: number) {
    this.#candidates.delete(socket);
    this.#libc.close(socket);
  }

  async #close() {
    await this.#connected?.catch(() => {});
    for (const candidate of this.#candidates.keys()) this.#drop(candidate);
    this.#libc.close(this.#listener);
    // The path goes with the directory.
  }
}

/** Connect to the parent, and send it the token. */
export function connectTo(path: string, token: string): DescriptorSocket {
  using libc = Libc.use();
  const socket = libc.connect(path);
  try {
    // The buffer of a new socket has room for it.
    libc.send(socket, new TextEncoder().encode(token));
    return new DescriptorSocket(socket);
  } catch (error) {
    libc.close(socket);
    throw error;
  }
}
