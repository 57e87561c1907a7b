import net from "node:net";
import { isatty } from "node:tty";
import { checkDescriptor, Libc } from "./libc.ts";
import { O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY } from "./structures.ts";

/**
 * Open a descriptor as a file: a regular file, a directory, a device, a terminal.
 *
 * The file belongs to the caller, and the descriptor to the file: it is closed. If the
 * promise rejects, the descriptor is as before.
 *
 * Deno has no way to take an open descriptor for a file, so this opens `/dev/fd/N`, with the
 * same access and at the same position. On macOS that is the same open file. **On Linux it is
 * opened once more**: the position is no longer shared with the sender, nor are locks
 * (`flock`) and later changes of its flags, and it fails with
 * `Deno.errors.PermissionDenied` if this user could not have opened the file by itself. A
 * deleted file still opens.
 *
 * Also needs `--allow-all`, since Deno requires that to open `/dev/fd/N`.
 *
 * @example A file that a child in Ruby opened
 * ```ts
 * import { openFile, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io(File.open(ARGV.first))
 * `;
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "taco cat");
 *
 * await using both = await spawnWithDescriptors("ruby", { args: ["-e", program, path] });
 * const descriptor = await both.descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * const file = await openFile(descriptor);
 * assertEquals(await new Response(file.readable).text(), "taco cat");
 * await Deno.remove(path);
 * ```
 *
 * @param descriptor The descriptor.
 * @returns A promise of the file.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is a pipe or a socket: {@linkcode openSocket} opens those.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export async function openFile(descriptor: number): Promise<Deno.FsFile> {
  const action = "Cannot open descriptor";
  using libc = Libc.use();
  const flags = libc.flags(action, descriptor);
  const position = libc.position(descriptor);
  if (position === undefined && !isatty(descriptor)) {
    throw new TypeError(
      `${action} ${descriptor} as a file: it is a pipe or a socket, which openSocket() opens`,
    );
  }
  const access = flags & O_ACCMODE;
  const file = await Deno.open(`/dev/fd/${descriptor}`, {
    read: access !== O_WRONLY,
    write: access !== O_RDONLY,
    append: (flags & O_APPEND) !== 0,
  });
  if (position !== undefined) await file.seek(position, Deno.SeekMode.Start);
  libc.close(descriptor);
  return file;
}

/**
 * Open a descriptor as a stream: a connected socket (TCP or Unix), or an end of a pipe.
 *
 * The descriptor belongs to the `net.Socket` and is closed with it. The end of a pipe is
 * readable or writable only. As any `net.Socket` it ends by itself when its peer ends,
 * unless its `allowHalfOpen` is set to `true`.
 *
 * @example The standard input of a child in Ruby
 * ```ts
 * import { openSocket, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io($stdin)
 * `;
 *
 * await using both = await spawnWithDescriptors("ruby", {
 *   args: ["-e", program],
 *   stdin: "piped",
 * });
 * const descriptor = await both.descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * const socket = openSocket(descriptor);
 *
 * const writer = both.child.process.stdin.getWriter();
 * await writer.write(new TextEncoder().encode("taco cat"));
 * await writer.close();
 * assertEquals(String(await socket.toArray()), "taco cat");
 * ```
 *
 * @param descriptor The descriptor.
 * @returns The socket. If this throws, the descriptor is as before.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is a file, or a listening socket.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function openSocket(descriptor: number): net.Socket {
  const action = "Cannot open descriptor";
  using libc = Libc.use();
  const access = libc.flags(action, descriptor) & O_ACCMODE;
  if (libc.position(descriptor) !== undefined || isatty(descriptor)) {
    throw new TypeError(
      `${action} ${descriptor} as a stream: it is a file, which openFile() opens`,
    );
  }
  if (libc.isListening(descriptor)) {
    throw new TypeError(
      `${action} ${descriptor} as a stream: it is listening, which listen() is for`,
    );
  }
  return new net.Socket({
    fd: descriptor,
    readable: access !== O_WRONLY,
    writable: access !== O_RDONLY,
  });
}

/**
 * Accept connections on a descriptor that is a listening socket (TCP or Unix).
 *
 * The descriptor belongs to the server and is closed with it. Other processes that hold
 * the same socket may go on accepting: each connection goes to one of them.
 *
 * @example A listener of a child in Ruby, which has ended
 * ```ts
 * import net from "node:net";
 * import { once } from "node:events";
 * import { listen, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io(TCPServer.new("127.0.0.1", 0))
 * `;
 *
 * const { child, descriptors } = await spawnWithDescriptors("ruby", { args: ["-e", program] });
 * const descriptor = await descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * await descriptors.close();
 * await child.close();
 *
 * const server = listen(descriptor);
 * server.on("connection", (socket) => socket.end("taco cat"));
 * await once(server, "listening");
 * const address = server.address();
 * if (typeof address !== "object" || address === null) throw new Error("It is no TCP socket");
 * const client = net.connect(address.port, "127.0.0.1");
 * assertEquals(String(await client.toArray()), "taco cat");
 * server.close();
 * await once(server, "close");
 * ```
 *
 * @param descriptor The descriptor.
 * @returns The server. If this throws, the descriptor is as before.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is not a listening socket.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function listen(descriptor: number): net.Server {
  const action = "Cannot listen on descriptor";
  using libc = Libc.use();
  libc.flags(action, descriptor);
  if (!libc.isListening(descriptor)) {
    throw new TypeError(
      `${action} ${descriptor}: it is not a listening socket`,
    );
  }
  return net.createServer().listen({ fd: descriptor });
}

/**
 * Close a descriptor that nothing else owns: one that was received and is not wanted.
 *
 * What `openFile()`, `openSocket()` and `listen()` gave is closed by its own `close()` or
 * `destroy()`, and a number that `openSync()` of `node:fs` gave by `closeSync()`.
 *
 * @example
 * ```ts
 * import { closeDescriptor, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertThrows } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io($stdin)
 * `;
 *
 * await using both = await spawnWithDescriptors("ruby", { args: ["-e", program] });
 * const descriptor = await both.descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * closeDescriptor(descriptor);
 * assertThrows(() => closeDescriptor(descriptor), Deno.errors.BadResource);
 * ```
 *
 * @param descriptor The descriptor.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function closeDescriptor(descriptor: number): void {
  checkDescriptor("Cannot close descriptor", descriptor);
  using libc = Libc.use();
  libc.close(descriptor);
}
