import { IS_LINUX, libc } from "./libc.ts";
import { AF_UNIX, readyEvents } from "./unix_socket.ts";

const AF_INET = 2;
const AF_INET6 = IS_LINUX ? 10 : 30;
const POLLHUP = 16;

/** The size of a `struct sockaddr_storage`, which holds any address. */
const SOCKADDR_SIZE = 128;

/**
 * Get the address of a socket or of its peer as a string: `unix`, or what
 * {@linkcode tcpAddress} returns for it. Returns `undefined` if there is none.
 */
export function addressOf(
  descriptor: number,
  get: "getsockname" | "getpeername" = "getsockname",
): string | undefined {
  const bytes = new Uint8Array(SOCKADDR_SIZE);
  const length = new Uint32Array([SOCKADDR_SIZE]);
  if (libc()[get](descriptor, bytes, length) === -1) return undefined;
  const family = bytes[IS_LINUX ? 0 : 1];
  if (family === AF_UNIX) return "unix";
  const port = new DataView(bytes.buffer).getUint16(2);
  const host = family === AF_INET ? bytes.slice(4, 8) : bytes.slice(8, 24);
  return `${host} ${port}`;
}

/** Format a TCP address, so that equal addresses are equal strings. */
export function tcpAddress(hostname: string, port: number): string {
  const family = hostname.includes(":") ? AF_INET6 : AF_INET;
  const host = new Uint8Array(family === AF_INET ? 4 : 16);
  const text = new TextEncoder().encode(`${hostname}\0`);
  libc().inet_pton(family, text, host);
  return `${host} ${port}`;
}

export function isListening(descriptor: number): boolean {
  return addressOf(descriptor) !== undefined &&
    addressOf(descriptor, "getpeername") === undefined &&
    // A connection that was reset has no peer either. macOS lacks SO_ACCEPTCONN.
    (readyEvents(descriptor, 0) & POLLHUP) === 0;
}
