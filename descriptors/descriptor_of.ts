import net from "node:net";
import { Libc } from "./libc.ts";
import type { Address } from "./structures.ts";

/**
 * Get the descriptor of a TCP connection or listener, in order to send it.
 *
 * It stays the socket's own: sending it hands on a copy, and the socket still has to be
 * closed. Close a `net.Socket` by `destroy()`, as `end()` would end the connection for its
 * receiver, too. Accept with `pauseOnConnect: true`, since nobody else can read what
 * has been read here.
 *
 * A `Deno.TcpConn` is not accepted, as its `close()` also ends sending for all who
 * hold it: accept with `node:net`. The socket is found by its addresses, so with several
 * listeners on one port (`reusePort`) it can be any of them.
 *
 * For a file use the number that `openSync()` of `node:fs` gives: a `Deno.FsFile` does not
 * tell its number.
 *
 * @example
 * ```ts
 * import net from "node:net";
 * import { once } from "node:events";
 * import { descriptorOf } from "@socketpair/socketpair/descriptors";
 * import { assertGreater } from "@std/assert";
 *
 * const server = net.createServer().listen(0, "127.0.0.1");
 * await once(server, "listening");
 * assertGreater(descriptorOf(server), 2);
 * server.close();
 * ```
 *
 * @param socket The socket.
 * @returns Its descriptor.
 *
 * @throws {Deno.errors.BadResource} If it is closed, or its peer has reset it.
 * @throws {TypeError} If it is not a TCP socket.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function descriptorOf(
  socket: net.Socket | net.Server | Deno.TcpListener,
): number {
  using libc = Libc.use();
  const { local, remote } = addressesOf(libc, socket);
  const end = libc.maxDescriptors();
  for (let descriptor = 0; descriptor < end; descriptor++) {
    if (!isSame(libc.address("getsockname", descriptor), local)) continue;
    const isIt = remote
      ? isSame(libc.address("getpeername", descriptor), remote)
      : libc.isListening(descriptor);
    if (isIt) return descriptor;
  }
  throw new Deno.errors.BadResource(
    "Cannot find descriptor of socket: it is closed, or its peer has reset it",
  );
}

function addressesOf(
  libc: Libc,
  socket: net.Socket | net.Server | Deno.TcpListener,
): { local: Address; remote?: Address } {
  if (socket instanceof net.Socket) {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    if (localAddress && localPort && remoteAddress && remotePort) {
      return {
        local: libc.toAddress(localAddress, localPort),
        remote: libc.toAddress(remoteAddress, remotePort),
      };
    }
  } else if (socket instanceof net.Server) {
    const address = socket.address();
    if (address !== null && typeof address === "object") {
      return { local: libc.toAddress(address.address, address.port) };
    }
  } else if ("addr" in socket && socket.addr.transport === "tcp") {
    const { hostname, port } = socket.addr;
    return { local: libc.toAddress(hostname, port) };
  }
  throw new TypeError(
    "Cannot find descriptor of socket: it is not an open TCP socket",
  );
}

function isSame(address: Address | undefined, other: Address): boolean {
  return address !== undefined && address.family === other.family &&
    address.port === other.port &&
    other.host.every((byte, index) => byte === address.host[index]);
}
