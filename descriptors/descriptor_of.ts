import net from "node:net";
import { addressOf, isListening, tcpAddress } from "./address.ts";
import { libc } from "./libc.ts";

/** Linux's default limit of open descriptors. */
const MAX_DESCRIPTORS = 2 ** 20;

/**
 * Get the descriptor of a TCP connection or listener, so that it can be sent.
 *
 * The descriptor still belongs to the socket: sending it sends a copy, and the socket must still
 * be closed. Close a `net.Socket` with `destroy()`, because `end()` would also end the
 * connection for its receiver. Accept connections with `pauseOnConnect: true`, because data
 * that this process has read is not sent along.
 *
 * A `Deno.TcpConn` isn't accepted, because its `close()` also ends sending for every other
 * process that holds the connection: accept with `node:net`. The socket is found by its
 * addresses, so if several listeners share a port (`reusePort`), any of them can be returned.
 *
 * For a file, use the descriptor that `openSync()` of `node:fs` returns. A `Deno.FsFile` doesn't
 * expose its descriptor.
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
 * @returns The descriptor.
 *
 * @throws {Deno.errors.BadResource} If the socket is closed, or its peer has reset it.
 * @throws {TypeError} If it is not a TCP socket.
 * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 */
export function descriptorOf(
  socket: net.Socket | net.Server | Deno.TcpListener,
): number {
  const [local, remote] = addressesOf(socket).map(({ hostname, port }) =>
    tcpAddress(hostname, port)
  );
  const end = Math.min(libc().getdtablesize(), MAX_DESCRIPTORS);
  for (let descriptor = 0; descriptor < end; descriptor++) {
    if (addressOf(descriptor) !== local) continue;
    const isIt = remote === undefined
      ? isListening(descriptor)
      : addressOf(descriptor, "getpeername") === remote;
    if (isIt) return descriptor;
  }
  throw new Deno.errors.BadResource(
    "Cannot find descriptor of socket: it is closed, or its peer has reset it",
  );
}

/** Get the local address of a socket, and the remote one if it is connected. */
function addressesOf(
  socket: net.Socket | net.Server | Deno.TcpListener,
): { hostname: string; port: number }[] {
  if (socket instanceof net.Socket) {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    if (localAddress && localPort && remoteAddress && remotePort) {
      return [
        { hostname: localAddress, port: localPort },
        { hostname: remoteAddress, port: remotePort },
      ];
    }
  } else if (socket instanceof net.Server) {
    const address = socket.address();
    if (address !== null && typeof address === "object") {
      return [{ hostname: address.address, port: address.port }];
    }
  } else if ("addr" in socket && socket.addr.transport === "tcp") {
    return [socket.addr];
  }
  throw new TypeError(
    "Cannot find descriptor of socket: it is not an open TCP socket",
  );
}
