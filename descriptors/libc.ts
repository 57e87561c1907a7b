import os from "node:os";
import { closeOnExec, errnoOf, loadLibrary, systemError } from "./library.ts";
import { type Message, MessageBuffer } from "./message.ts";
import { Poller } from "./polling.ts";
import * as c from "./structures.ts";

/** What a process can have open by Linux's own default limit. */
const MAX_DESCRIPTORS = 2 ** 20;

/**
 * The C library, loaded while somebody uses it.
 *
 * What could block is called only when `poll()` says that it will not, on the thread of
 * JavaScript: so `errno` is its own, and no other thread ever holds a message.
 */
export class Libc implements Disposable {
  static #shared: Libc | undefined;
  static #users = 0;

  readonly #library = loadLibrary();
  readonly #symbols = this.#library.symbols;
  readonly #message = new MessageBuffer();
  readonly #pollEntry = new DataView(new ArrayBuffer(c.POLLFD_SIZE));
  #poller: Poller | undefined;

  /** Get the library, which stays loaded until whatever got it is disposed. */
  static use(): Libc {
    Libc.#shared ??= new Libc();
    Libc.#users++;
    return Libc.#shared;
  }

  [Symbol.dispose](): void {
    if (--Libc.#users > 0) return;
    Libc.#shared = undefined;
    this.#poller?.[Symbol.dispose]();
    this.#library.close();
  }

  /** Made when first needed, as it takes two descriptors. */
  get poller(): Poller {
    return this.#poller ??= new Poller(this.#symbols);
  }

  /** Throw what went wrong, unless it is only that nothing can be done now. */
  #throwUnlessLater(action: string): undefined {
    const code = errnoOf(this.#symbols);
    const { EAGAIN, EINTR } = os.constants.errno;
    if (code === EAGAIN || code === EINTR) return;
    throw systemError(this.#symbols, action, code);
  }

  close(descriptor: number): void {
    const failed = this.#symbols.close(descriptor) === -1;
    // Whatever else it says, it has closed.
    if (failed && errnoOf(this.#symbols) === os.constants.errno.EBADF) {
      throw new Deno.errors.BadResource(
        `Cannot close descriptor ${descriptor}: it is not open`,
      );
    }
  }

  /** How it was opened: `O_ACCMODE`, `O_APPEND`. Throws unless it is open. */
  flags(action: string, descriptor: number): number {
    checkDescriptor(action, descriptor);
    const flags = this.#symbols.fcntl(descriptor, c.F_GETFL);
    if (flags !== -1) return flags;
    throw new Deno.errors.BadResource(
      `${action} ${descriptor}: it is not open`,
    );
  }

  /** Where it will be read or written next; `undefined` where there is no such thing. */
  position(descriptor: number): bigint | undefined {
    const position = this.#symbols.lseek(descriptor, 0n, Deno.SeekMode.Current);
    return position === -1n ? undefined : position;
  }

  /** One more than the highest number that a descriptor can have. */
  maxDescriptors(): number {
    return Math.min(this.#symbols.getdtablesize(), MAX_DESCRIPTORS);
  }

  /** The address of a socket, or of its peer; `undefined` where there is none. */
  address(
    get: "getsockname" | "getpeername",
    descriptor: number,
  ): c.Address | undefined {
    const bytes = new Uint8Array(c.SOCKADDR_SIZE);
    const length = new Uint32Array([bytes.length]);
    const failed = this.#symbols[get](descriptor, bytes, length) === -1;
    return failed ? undefined : c.readAddress(bytes);
  }

  isListening(descriptor: number): boolean {
    return this.address("getsockname", descriptor) !== undefined &&
      this.address("getpeername", descriptor) === undefined &&
      // A connection that was reset has no address either. SO_ACCEPTCONN would tell,
      // but not on macOS.
      (this.poll(descriptor, 0) & c.POLLHUP) === 0;
  }

  toAddress(hostname: string, port: number): c.Address {
    const family = hostname.includes(":") ? c.AF_INET6 : c.AF_INET;
    const host = new Uint8Array(family === c.AF_INET ? 4 : 16);
    const text = new TextEncoder().encode(`${hostname}\0`);
    this.#symbols.inet_pton(family, text, host);
    return { family, port, host };
  }

  /** Listen on a Unix socket for up to `backlog` connections that nobody has accepted. */
  listen(path: string, backlog: number): number {
    const { bind, listen } = this.#symbols;
    return this.#openSocket(`Cannot listen on "${path}"`, (socket) => {
      const address = c.unixAddress(path);
      return bind(socket, address, address.length) !== -1 &&
        listen(socket, backlog) !== -1;
    });
  }

  /** Connect to a Unix socket. */
  connect(path: string): number {
    const { connect } = this.#symbols;
    return this.#openSocket(`Cannot connect to "${path}"`, (socket) => {
      const address = c.unixAddress(path);
      return connect(socket, address, address.length) !== -1;
    });
  }

  #openSocket(action: string, prepare: (socket: number) => boolean): number {
    const type = c.SOCK_STREAM | c.SOCK_CLOEXEC | c.SOCK_NONBLOCK;
    const socket = this.#symbols.socket(c.AF_UNIX, type, 0);
    if (socket === -1) throw systemError(this.#symbols, action);
    closeOnExec(this.#symbols, socket);
    if (prepare(socket)) return socket;
    const error = systemError(this.#symbols, action);
    this.close(socket);
    throw error;
  }

  /** Accept a connection, if there is one. */
  accept(listener: number): number | undefined {
    if (this.poll(listener, c.POLLIN) === 0) return undefined;
    const flags = c.SOCK_CLOEXEC | c.SOCK_NONBLOCK;
    const socket = this.#symbols.accept(listener, null, null, flags);
    if (socket === -1) {
      return this.#throwUnlessLater("Cannot accept connection");
    }
    closeOnExec(this.#symbols, socket);
    return socket;
  }

  /** Send bytes, and a descriptor with them, unless that would block. */
  send(
    socket: number,
    bytes: Uint8Array,
    descriptor?: number,
  ): number | undefined {
    // macOS has no c.MSG_DONTWAIT for sending.
    if (this.poll(socket, c.POLLOUT) === 0) return undefined;
    this.#message.write(bytes, descriptor);
    const flags = c.MSG_DONTWAIT | c.MSG_NOSIGNAL;
    const sent = this.#symbols.sendmsg(socket, this.#message.bytes, flags);
    if (sent !== -1) return sent;
    return this.#throwUnlessLater(
      descriptor === undefined
        ? "Cannot send"
        : `Cannot send descriptor ${descriptor}`,
    );
  }

  /** Receive up to `length` bytes and what comes with them, if there is something. */
  receive(socket: number, length: number): Message | undefined {
    if (this.poll(socket, c.POLLIN) === 0) return undefined;
    this.#message.clear(length);
    const flags = c.MSG_DONTWAIT | c.MSG_CMSG_CLOEXEC;
    const received = this.#symbols.recvmsg(socket, this.#message.bytes, flags);
    if (received === -1) {
      return this.#throwUnlessLater("Cannot receive descriptor");
    }
    const message = this.#message.read(received);
    closeOnExec(this.#symbols, ...message.descriptors);
    return message;
  }

  /** Receive up to `length` bytes, and close the descriptors that come with them. */
  receiveBytes(socket: number, length: number): Uint8Array | undefined {
    const message = this.receive(socket, length);
    for (const descriptor of message?.descriptors ?? []) this.close(descriptor);
    return message?.bytes;
  }

  /** What the descriptor is ready for now, of `events` and whatever ends it; 0: nothing. */
  poll(descriptor: number, events: number): number {
    c.setPollEntry(this.#pollEntry, 0, descriptor, events);
    const count = this.#symbols.poll(this.#pollEntry, 1n, 0);
    return count > 0 ? c.pollResult(this.#pollEntry, 0) : 0;
  }
}

/** Throw unless it can be the number of a descriptor. */
export function checkDescriptor(action: string, descriptor: number): void {
  if ((descriptor | 0) === descriptor) return;
  throw new TypeError(
    `${action} ${descriptor}: a descriptor is an integer of 32 bits`,
  );
}
