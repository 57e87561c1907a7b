import net from "node:net";
import { isatty } from "node:tty";
import { isListening } from "./address.ts";
import { flagsOf, IS_LINUX, libc } from "./libc.ts";

// As in node:fs, which takes 4 ms to load.
const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_APPEND = IS_LINUX ? 0x400 : 0x8;

const ACTION = "Cannot open descriptor";

/** Find out how a descriptor can be opened. */
function inspect(descriptor: number) {
  const flags = flagsOf(ACTION, descriptor);
  const access = flags & O_ACCMODE;
  // -1 if it has none
  const position = libc().lseek(descriptor, 0n, Deno.SeekMode.Current);
  return {
    position,
    isFile: position >= 0n || isatty(descriptor),
    read: access !== O_WRONLY,
    write: access !== O_RDONLY,
    append: (flags & O_APPEND) !== 0,
  };
}

/**
 * Open a descriptor as a file: a regular file, a directory, a device, or a terminal.
 *
 * The descriptor is replaced by the file, which the caller must close. If the promise rejects,
 * the descriptor stays open.
 *
 * Deno can't create a file from a descriptor, so this function opens `/dev/fd/N` with the same
 * access and at the same position. On macOS that is the same open file. **Linux opens the file
 * again**: its position, its locks (`flock`) and later changes to its flags are no longer shared
 * with the sender, and the call fails with `Deno.errors.PermissionDenied` if the user of this
 * process couldn't have opened the file. A deleted file can still be opened.
 *
 * Also needs `--allow-all`, which Deno requires for `/dev/fd/N`.
 *
 * @example Receive a file from a child in Ruby
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
 * @throws {TypeError} If it is a pipe or a socket. Use {@linkcode openSocket} for those.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 */
export async function openFile(descriptor: number): Promise<Deno.FsFile> {
  const { position, isFile, ...access } = inspect(descriptor);
  if (!isFile) {
    throw new TypeError(
      `${ACTION} ${descriptor} as a file: it is a pipe or a socket, use openSocket()`,
    );
  }
  const file = await Deno.open(`/dev/fd/${descriptor}`, access);
  if (position >= 0n) await file.seek(position, Deno.SeekMode.Start);
  libc().close(descriptor);
  return file;
}

/**
 * Open a descriptor as a stream: a connected socket (TCP or Unix) or one end of a pipe.
 *
 * The `net.Socket` owns the descriptor and closes it. One end of a pipe is either readable or
 * writable. Like any `net.Socket`, it ends when its peer ends, unless you set its `allowHalfOpen`
 * to `true`.
 *
 * @example Receive the standard input of a child in Ruby
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
 * @returns The socket. If the function throws, the descriptor stays open.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is a file or a listening socket.
 * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 */
export function openSocket(descriptor: number): net.Socket {
  const { isFile, read, write } = inspect(descriptor);
  if (isFile) {
    throw new TypeError(
      `${ACTION} ${descriptor} as a stream: it is a file, use openFile()`,
    );
  }
  if (isListening(descriptor)) {
    throw new TypeError(
      `${ACTION} ${descriptor} as a stream: it is a listening socket, use listen()`,
    );
  }
  return new net.Socket({ fd: descriptor, readable: read, writable: write });
}

/**
 * Accept connections on a descriptor that is a listening socket (TCP or Unix).
 *
 * The server owns the descriptor and closes it. Other processes that hold the same socket can
 * accept connections too: each connection goes to one of them.
 *
 * @example Take over the listener of a child in Ruby
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
 * if (typeof address !== "object" || address === null) throw new Error("Not a TCP socket");
 * const client = net.connect(address.port, "127.0.0.1");
 * assertEquals(String(await client.toArray()), "taco cat");
 * server.close();
 * await once(server, "close");
 * ```
 *
 * @param descriptor The descriptor.
 * @returns The server. If the function throws, the descriptor stays open.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is not a listening socket.
 * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 */
export function listen(descriptor: number): net.Server {
  const action = "Cannot listen on descriptor";
  flagsOf(action, descriptor);
  if (!isListening(descriptor)) {
    throw new TypeError(
      `${action} ${descriptor}: it is not a listening socket`,
    );
  }
  return net.createServer().listen({ fd: descriptor });
}

/**
 * Close a descriptor that was received and is not needed.
 *
 * Close a file, socket or server that `openFile()`, `openSocket()` or `listen()` returned with its
 * own method, and a descriptor that `openSync()` of `node:fs` returned with `closeSync()`.
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
 * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 */
export function closeDescriptor(descriptor: number): void {
  flagsOf("Cannot close descriptor", descriptor);
  libc().close(descriptor);
}
