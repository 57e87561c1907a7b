/**
 * Constants and structures of the C library on Linux and macOS (x86-64 and arm64, which are
 * little-endian). Message structures are in `message.ts`.
 *
 * Linux: from its headers. macOS: from bsd/sys/socket.h and bsd/sys/filio.h of
 * apple-oss-distributions/xnu.
 *
 * @module
 */

export const IS_LINUX: boolean = Deno.build.os === "linux";

// The same on both systems.
export const AF_UNIX = 1;
export const AF_INET = 2;
export const SOCK_STREAM = 1;
export const SCM_RIGHTS = 1;
export const SHUT_WR = 1;
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLHUP = 16;
export const F_GETFL = 3;
// As in node:fs, which takes 4 ms to load.
export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;

export const AF_INET6 = IS_LINUX ? 10 : 30;
export const SOL_SOCKET = IS_LINUX ? 1 : 0xffff;
export const MSG_CTRUNC = IS_LINUX ? 0x08 : 0x20;
export const MSG_DONTWAIT = IS_LINUX ? 0x40 : 0x80;
export const MSG_NOSIGNAL = IS_LINUX ? 0x4000 : 0x80000;
export const O_APPEND = IS_LINUX ? 0x400 : 0x8;

// Linux sets close-on-exec atomically.
export const SOCK_CLOEXEC = IS_LINUX ? 0x80000 : 0;
export const SOCK_NONBLOCK = IS_LINUX ? 0x800 : 0;
export const MSG_CMSG_CLOEXEC = IS_LINUX ? 0x40000000 : 0;

/**
 * On macOS a second call sets close-on-exec. This `ioctl()` request takes no third argument, so
 * it works on arm64, where variadic arguments need a calling convention that `Deno.dlopen()` lacks.
 */
export const FIOCLEX = 0x20006601n;

/** The size of a `struct pollfd`. */
export const POLLFD_SIZE = 8;

/** Fill in a `struct pollfd`. */
export function setPollEntry(
  view: DataView,
  descriptor: number,
  events: number,
): void {
  view.setInt32(0, descriptor, true);
  view.setInt16(4, events, true);
  view.setInt16(6, 0, true);
}

/** Get the events that `poll()` reported; 0 if there are none. */
export function pollResult(view: DataView): number {
  return view.getInt16(6, true);
}

/** The size of a `struct sockaddr_storage`, which holds any address. */
export const SOCKADDR_SIZE = 128;

/** Format a `struct sockaddr`, so that equal addresses are equal strings. */
export function readAddress(bytes: Uint8Array<ArrayBuffer>): string {
  const view = new DataView(bytes.buffer);
  const family = IS_LINUX ? view.getUint16(0, true) : view.getUint8(1);
  if (family === AF_UNIX) return "unix";
  const host = family === AF_INET ? bytes.slice(4, 8) : bytes.slice(8, 24);
  return formatAddress(family, host, view.getUint16(2));
}

export function formatAddress(
  family: number,
  host: Uint8Array,
  port: number,
): string {
  return `${family} ${host.join(".")} ${port}`;
}

/** Make a `struct sockaddr_un`. */
export function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(`\0\0${path}\0`);
  if (IS_LINUX) bytes[0] = AF_UNIX;
  else bytes.set([bytes.length, AF_UNIX]);
  return bytes;
}
