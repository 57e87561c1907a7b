import os from "node:os";
import { closeOnExec, errnoOf, loadLibrary, systemError } from "./library.ts";
import { type Message, MessageBuffer } from "./message.ts";
import { waitUntilReady } from "./polling.ts";
import * as c from "./structures.ts";

/** Linux's default limit of open descriptors. */
const MAX_DESCRIPTORS = 2 ** 20;

/**
 * The C library, which stays loaded while it is in use.
 *
 * Calls that could block are made only after `poll()` has reported that they will not. So all
 * calls run on the JavaScript thread, where `errno` belongs to the last one.
 */
export class Libc implements Disposable {
  static #shared: Libc | undefined;
  static #users = 0;

  readonly #library = loadLibrary();
  readonly #symbols = this.#library.symbols;
  readonly #message = new MessageBuffer();
  readonly #pollEntry = new DataView(new ArrayBuffer(c.POLLFD_SIZE));

  /** Get the library. It is unloaded when every user has disposed it. */
  static use(): Libc {
    Libc.#shared ??= new Libc();
    Libc.#users++;
    return Libc.#shared;
  }

  [Symbol.dispose](): void {
    if (--Libc.#users > 0) return;
    Libc.#shared = undefined;
    this.#library.close();
  }

  /** Wait until a descriptor is ready: see {@linkcode waitUntilReady}. */
  wait(descriptor: number, events: number, signal: AbortSignal): Promise<void> {
    return waitUntilReady(this.#symbols, descriptor, events, signal);
  }

  close(descriptor: number): void {
    const failed = this.#symbols.close(descriptor) === -1;
    // Any other error still closes the descriptor.
    if (failed && errnoOf(this.#symbols) === os.constants.errno.EBADF) {
      throw new Deno.errors.BadResource(
        `Cannot close descriptor ${descriptor}: it is not open`,
      );
    }
  }

  /** Get the flags with which it was opened: `O_ACCMODE`, `O_APPEND`. */
  flags(action: string, descriptor: number): number {
    checkDescriptor(action, descriptor);
    const flags = this.#symbols.fcntl(descriptor, c.F_GETFL);
    if (flags !== -1) return flags;
    throw new Deno.errors.BadResource(
      `${action} ${descriptor}: it is not open`,
    );
  }

  /** Get the position in a file; `undefined` if the descriptor has none. */
  position(descriptor: number): bigint | undefined {
    const position = this.#symbols.lseek(descriptor, 0n, Deno.SeekMode.Current);
    return position === -1n ? undefined : position;
  }

  /** Get a number that is higher than any descriptor. */
  maxDescriptors(): number {
    return Math.min(this.#symbols.getdtablesize(), MAX_DESCRIPTORS);
  }

  /** Get the address of a socket or of its peer, as {@linkcode c.readAddress} formats it. */
  address(
    get: "getsockname" | "getpeername",
    descriptor: number,
  ): string | undefined {
    const bytes = new Uint8Array(c.SOCKADDR_SIZE);
    const length = new Uint32Array([bytes.length]);
    const failed = this.#symbols[get](descriptor, bytes, length) === -1;
    return failed ? undefined : c.readAddress(bytes);
  }

  isListening(descriptor: number): boolean {
    return this.address("getsockname", descriptor) !== undefined &&
      this.address("getpeername", descriptor) === undefined &&
      // A connection that was reset has no peer either. macOS lacks SO_ACCEPTCONN.
      (this.#poll(descriptor, 0) & c.POLLHUP) === 0;
  }

  /** Format a TCP address as {@linkcode address} does. */
  tcpAddress(hostname: string, port: number): string {
    const family = hostname.includes(":") ? c.AF_INET6 : c.AF_INET;
    const host = new Uint8Array(family === c.AF_INET ? 4 : 16);
    const text = new TextEncoder().encode(`${hostname}\0`);
    this.#symbols.inet_pton(family, text, host);
    return c.formatAddress(family, host, port);
  }

  /** Listen on a Unix socket with a queue of `backlog` connections. */
  listen(path: string, backlog: number): number {
    const socket = this.openSocket("bind", path);
    this.#symbols.listen(socket, backlog);
    return socket;
  }

  /** Open a Unix socket that is connected to a path or bound to it. */
  openSocket(call: "bind" | "connect", path: string): number {
    const type = c.SOCK_STREAM | c.SOCK_CLOEXEC | c.SOCK_NONBLOCK;
    const address = c.unixAddress(path);
    const socket = this.#symbols.socket(c.AF_UNIX, type, 0);
    const failed = socket === -1 ||
      this.#symbols[call](socket, address, address.length) === -1;
    if (failed) {
      const action = `Cannot ${call} Unix socket "${path}"`;
      const error = systemError(this.#symbols, action);
      if (socket !== -1) this.close(socket);
      throw error;
    }
    closeOnExec(this.#symbols, socket);
    return socket;
  }

  /** Accept a connection; `undefined` if none is waiting. */
  accept(listener: number): number | undefined {
    if (this.#poll(listener, c.POLLIN) === 0) return undefined;
    const flags = c.SOCK_CLOEXEC | c.SOCK_NONBLOCK;
    const socket = this.#symbols.accept(listener, null, null, flags);
    if (this.#wouldBlock("Cannot accept connection", socket)) return undefined;
    closeOnExec(this.#symbols, socket);
    return socket;
  }

  /** Send a descriptor. Returns `undefined` if that would block. */
  send(socket: number, descriptor: number): true | undefined {
    // macOS has no MSG_DONTWAIT for sending.
    if (this.#poll(socket, c.POLLOUT) === 0) return undefined;
    this.#message.write(descriptor);
    const flags = c.MSG_DONTWAIT | c.MSG_NOSIGNAL;
    const sent = this.#symbols.sendmsg(socket, this.#message.bytes, flags);
    const action = `Cannot send descriptor ${descriptor}`;
    return this.#wouldBlock(action, sent) ? undefined : true;
  }

  /** Receive one byte with its descriptors: `null` at the end, `undefined` if there is none yet. */
  receive(socket: number): Message | null | undefined {
    if (this.#poll(socket, c.POLLIN) === 0) return undefined;
    this.#message.clear();
    const flags = c.MSG_DONTWAIT | c.MSG_CMSG_CLOEXEC;
    const received = this.#symbols.recvmsg(socket, this.#message.bytes, flags);
    if (this.#wouldBlock("Cannot receive descriptor", received)) return;
    const message = this.#message.read();
    closeOnExec(this.#symbols, ...message.descriptors);
    return received === 0 ? null : message;
  }

  /** Write bytes that fit into the socket's buffer. The next operation reports an error. */
  write(socket: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#symbols.write(socket, bytes, BigInt(bytes.length));
  }

  /**
   * Read up to `length` bytes. The system closes descriptors that come with them. Returns none at
   * the end or after an error, and `undefined` if there are none yet.
   */
  read(socket: number, length: number): Uint8Array | undefined {
    if (this.#poll(socket, c.POLLIN) === 0) return undefined;
    const bytes = new Uint8Array(length);
    const count = this.#symbols.read(socket, bytes, BigInt(length));
    return bytes.subarray(0, Math.max(count, 0));
  }

  /** Tell the peer that nothing more follows. */
  closeWrite(socket: number): void {
    this.#symbols.shutdown(socket, c.SHUT_WR);
  }

  /** Get the events for which a descriptor is ready; 0 if there are none. */
  #poll(descriptor: number, events: number): number {
    c.setPollEntry(this.#pollEntry, descriptor, events);
    const count = this.#symbols.poll(this.#pollEntry, 1n, 0);
    return count > 0 ? c.pollResult(this.#pollEntry) : 0;
  }

  /** Throw the error of the last call, if `result` says that it failed and not only for now. */
  #wouldBlock(action: string, result: number): boolean {
    if (result !== -1) return false;
    const code = errnoOf(this.#symbols);
    const { EAGAIN, EINTR } = os.constants.errno;
    if (code === EAGAIN || code === EINTR) return true;
    throw systemError(this.#symbols, action, code);
  }
}

/** Throw unless the number can be a descriptor. */
export function checkDescriptor(action: string, descriptor: number): void {
  if ((descriptor | 0) === descriptor) return;
  throw new TypeError(
    `${action} ${descriptor}: a descriptor is a 32-bit integer`,
  );
}
