/** Unix sockets that listen, connect, and wait. */

import {
  closeOnExec,
  IS_LINUX,
  libc,
  systemError,
  wouldBlock,
} from "./libc.ts";

export const AF_UNIX = 1;
export const POLLIN = 1;
export const POLLOUT = 4;

const SOCK_STREAM = 1;
// Linux sets these flags when it creates the descriptor.
const SOCK_CLOEXEC = IS_LINUX ? 0x80000 : 0;
const SOCK_NONBLOCK = IS_LINUX ? 0x800 : 0;

/**
 * How long a call of `poll()` waits, in ms. It bounds how long `close()` takes, and how long other
 * calls wait if all of Deno's 32 threads for blocking calls are occupied.
 */
const INTERVAL = 50;

/** A `struct pollfd`. The upper half of its second number has the events that `poll()` reports. */
const POLLFD_SIZE = 8;
const pollEntry = new Int32Array(POLLFD_SIZE / 4);

/** Get the events for which a descriptor is ready; 0 if there are none. */
export function readyEvents(descriptor: number, events: number): number {
  pollEntry[0] = descriptor;
  pollEntry[1] = events;
  libc().poll(pollEntry, 1n, 0);
  return pollEntry[1] >>> 16;
}

/**
 * Wait until a descriptor is ready for some events, for at most {@linkcode INTERVAL}. The caller
 * then tries its operation, and may wait again. The descriptor may be closed meanwhile.
 */
export async function wait(descriptor: number, events: number): Promise<void> {
  // Not memory of this isolate: poll() still writes to it after a Worker was terminated. In that
  // case it leaks.
  const memory = libc().malloc(BigInt(POLLFD_SIZE));
  if (memory === null) throw systemError("Cannot wait");
  const entry = Deno.UnsafePointerView.getArrayBuffer(memory, POLLFD_SIZE);
  new Int32Array(entry).set([descriptor, events]);
  await libc().pollInThread(memory, 1n, INTERVAL);
  libc().free(memory);
}

/** Open a Unix socket that is connected to a path or bound to it. */
export function openUnixSocket(call: "bind" | "connect", path: string): number {
  const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const socket = libc().socket(AF_UNIX, type, 0);
  // A struct sockaddr_un
  const address = new TextEncoder().encode(`\0\0${path}\0`);
  address.set(IS_LINUX ? [AF_UNIX, 0] : [address.length, AF_UNIX]);
  if (socket === -1 || libc()[call](socket, address, address.length) === -1) {
    const error = systemError(`Cannot ${call} Unix socket "${path}"`);
    libc().close(socket);
    throw error;
  }
  closeOnExec(socket);
  return socket;
}

/** Accept a connection; `undefined` if none is waiting. */
export function accept(listener: number): number | undefined {
  if (readyEvents(listener, POLLIN) === 0) return undefined;
  const flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  const socket = libc().accept(listener, null, null, flags);
  if (wouldBlock("Cannot accept connection", socket)) return undefined;
  closeOnExec(socket);
  return socket;
}

/**
 * Read up to `length` bytes. The system closes descriptors that come with them. Returns none at
 * the end or after an error, and `undefined` if there are none yet.
 */
export function read(socket: number, length: number): Uint8Array | undefined {
  if (readyEvents(socket, POLLIN) === 0) return undefined;
  const bytes = new Uint8Array(length);
  const count = libc().read(socket, bytes, BigInt(length));
  return bytes.subarray(0, Math.max(count, 0));
}
