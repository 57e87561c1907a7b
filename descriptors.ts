/**
 * Pass open files, pipes and sockets to another process, in any language.
 *
 * A descriptor is the number of a file, pipe or socket that a process has open. Over a Unix
 * socket, a process can send descriptors to another process (`SCM_RIGHTS`), which receives them
 * under numbers of its own. The wire format is that of Ruby's `UNIXSocket#send_io` and `recv_io`
 * and of Python's `socket.send_fds` and `recv_fds`, with one byte of data in each message.
 *
 * - {@linkcode spawnWithDescriptors} and {@linkcode connectDescriptorsToParent} connect a child
 *   and its parent with a {@linkcode DescriptorSocket} in addition to their channel.
 * - {@linkcode descriptorOf} gets the descriptor of a socket. For a file, use `openSync()` of
 *   `node:fs`, which returns a descriptor.
 * - {@linkcode openFile}, {@linkcode openSocket}, {@linkcode listen} and
 *   {@linkcode closeDescriptor} use a descriptor that was received.
 *
 * Deno has no API for this, so this module calls the C library. It needs unrestricted
 * `--allow-ffi`, and Linux or macOS on x86-64 or arm64 (it is tested on Linux x86-64). You can
 * import it without either: the first call throws `Deno.errors.NotCapable` or
 * `Deno.errors.NotSupported`.
 *
 * **`--allow-ffi` grants full access.** Deno can't restrict calls to the C library, so a Deno
 * child that receives descriptors is not sandboxed. Trust it as you trust the parent.
 *
 * @example
 * The parent opens a file, and a child in Python writes to it:
 * ```ts
 * import { closeSync, openSync } from "node:fs";
 * import { spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * import os, socket
 * channel = socket.socket(socket.AF_UNIX)
 * channel.connect(os.environ["SOCKETPAIR_PATH"])
 * channel.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
 * descriptors = socket.socket(socket.AF_UNIX)
 * descriptors.connect(os.environ["SOCKETPAIR_DESCRIPTORS_PATH"])
 * descriptors.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
 *
 * data, [descriptor], flags, address = socket.recv_fds(descriptors, 1, 1)
 * os.write(descriptor, b"taco cat")
 * `;
 * const path = await Deno.makeTempFile();
 * const { child, descriptors } = await spawnWithDescriptors("python3", {
 *   args: ["-c", program],
 * });
 * const descriptor = openSync(path, "w");
 * await descriptors.send(descriptor);
 * closeSync(descriptor);
 * await child.status;
 *
 * assertEquals(await Deno.readTextFile(path), "taco cat");
 * await descriptors.close();
 * await child.close();
 * await Deno.remove(path);
 * ```
 *
 * @module
 */

import type {
  AnySerialization,
  Channel,
  ChannelOptions,
  Received,
  Sent,
} from "./channel.ts";
import {
  connectTo,
  listenForDescriptors,
  PATH_VARIABLE,
} from "./descriptors/handshake.ts";
import { libc } from "./descriptors/libc.ts";
import { DescriptorSocket } from "./descriptors/descriptor_socket.ts";
import {
  type Child,
  connectToParent,
  spawn,
  type SpawnOptions,
} from "./pair.ts";
import { TOKEN_VARIABLE } from "./pair/environment.ts";
import { withHooks } from "./pair/launch.ts";

export { descriptorOf } from "./descriptors/descriptor_of.ts";
export {
  closeDescriptor,
  listen,
  openFile,
  openSocket,
} from "./descriptors/opening.ts";
export {
  DescriptorSocket,
  type ReceiveDescriptorOptions,
} from "./descriptors/descriptor_socket.ts";

// Types that the public types refer to.
export type { FrameHeader, Framing, FramingOptions } from "./framing.ts";
export type {
  AnySerialization,
  Channel,
  ChannelOptions,
  Connection,
  DuplexStream,
  Received,
  Sent,
  Serialization,
} from "./channel.ts";
export type { Child, SpawnOptions } from "./pair.ts";

/** Options for {@linkcode spawnWithDescriptors}: those of `spawn()` except `transport`. */
export type SpawnWithDescriptorsOptions<
  S extends AnySerialization = undefined,
> = Omit<SpawnOptions<S>, "transport">;

/** A child and a socket for descriptors: what {@linkcode spawnWithDescriptors} resolves to. */
export interface ChildWithDescriptors<In, Out = In> extends AsyncDisposable {
  /** The child, as returned by `spawn()`. */
  readonly child: Child<In, Out>;
  /** The socket that sends descriptors to the child and receives them from it. */
  readonly descriptors: DescriptorSocket;
}

/** A channel and a socket for descriptors: what {@linkcode connectDescriptorsToParent} resolves to. */
export interface ParentWithDescriptors<In, Out = In> extends AsyncDisposable {
  /** The channel to the parent, as returned by `connectToParent()`. */
  readonly channel: Channel<In, Out>;
  /** The socket that sends descriptors to the parent and receives them from it. */
  readonly descriptors: DescriptorSocket;
}

/**
 * Start a program as a child process, and connect to it with a channel and a socket for
 * descriptors.
 *
 * The environment variable `SOCKETPAIR_DESCRIPTORS_PATH` tells the child the path of the second
 * socket. The child connects to both sockets, in any order, and writes the token in
 * `SOCKETPAIR_TOKEN` to each. A Deno child calls {@linkcode connectDescriptorsToParent}.
 *
 * Needs `--allow-ffi` and the permissions of `spawn()`.
 *
 * @example Receive a file that a child in Python opened
 * ```ts
 * import { openFile, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * import os, socket, sys
 *
 * def connect(variable):
 *     connection = socket.socket(socket.AF_UNIX)
 *     connection.connect(os.environ[variable])
 *     connection.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
 *     return connection
 *
 * channel = connect("SOCKETPAIR_PATH")
 * descriptors = connect("SOCKETPAIR_DESCRIPTORS_PATH")
 * with open(sys.argv[1]) as file:
 *     socket.send_fds(descriptors, [b"."], [file.fileno()])
 * `;
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "taco cat");
 *
 * const { child, descriptors } = await spawnWithDescriptors("python3", {
 *   args: ["-c", program, path],
 * });
 * const descriptor = await descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * const file = await openFile(descriptor);
 * assertEquals(await new Response(file.readable).text(), "taco cat");
 *
 * await descriptors.close();
 * await child.close();
 * await Deno.remove(path);
 * ```
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 * @param command The program: a path, or a name to look up in `PATH`.
 * @param options The options of `spawn()`, without `transport`.
 * @returns The child and the socket for descriptors, both connected. Close both with `await using`,
 * or each with its own `close()`.
 * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 * @throws {Error} If `spawn()` would throw.
 */
export async function spawnWithDescriptors<
  S extends AnySerialization = undefined,
>(
  command: string | URL,
  options: SpawnWithDescriptorsOptions<S> = {},
): Promise<ChildWithDescriptors<Received<S>, Sent<S>>> {
  // Throws if descriptors are not available, before anything is made.
  libc();
  await using stack = new AsyncDisposableStack();
  const listening = Promise.withResolvers<
    ReturnType<typeof listenForDescriptors>["server"]
  >();
  const attach = (place: { directory: string; token: string }) => {
    const attachment = listenForDescriptors(place);
    listening.resolve(stack.use(attachment.server));
    return attachment;
  };
  const overUnix: SpawnOptions<S> = { ...options, transport: "unix" };
  const child = await spawn(command, withHooks(overUnix, { attach }));
  const server = await listening.promise;
  const socket = await server.admitted;
  await server.close(socket);
  const descriptors = new DescriptorSocket(socket.descriptor);
  return closedTogether({ descriptors, child });
}

/**
 * Connect to the process that started this one with {@linkcode spawnWithDescriptors}, with a
 * channel and a socket for descriptors.
 *
 * Call it instead of `connectToParent()`, because both connections use the same token. It
 * deletes the environment variables so that children of this process don't inherit them.
 *
 * Needs `--allow-ffi`, `--allow-env=SOCKETPAIR_DESCRIPTORS_PATH`, and the permissions of
 * `connectToParent()`.
 *
 * @example Answer each connection that the parent accepts
 * ```ts ignore
 * import {
 *   connectDescriptorsToParent,
 *   openSocket,
 * } from "@socketpair/socketpair/descriptors";
 *
 * const { descriptors } = await connectDescriptorsToParent();
 * for (
 *   let descriptor;
 *   (descriptor = await descriptors.receive()) !== null;
 * ) {
 *   openSocket(descriptor).end(`Hello from process ${Deno.pid}\n`);
 * }
 * ```
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 * @param options Framing, serialization and limits of the channel, which must match the
 * parent's.
 * @returns The channel and the socket for descriptors. Close both with `await using`, or each
 * with its own `close()`.
 * @throws {Error} If this process was not started with `spawnWithDescriptors()`, or has already
 * connected.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
 */
export async function connectDescriptorsToParent<
  S extends AnySerialization = undefined,
>(
  options: ChannelOptions<S> = {},
): Promise<ParentWithDescriptors<Received<S>, Sent<S>>> {
  const path = Deno.env.get(PATH_VARIABLE);
  const token = Deno.env.get(TOKEN_VARIABLE);
  if (path === undefined || token === undefined) {
    throw new Error(
      `Cannot connect to parent: ${PATH_VARIABLE} and ${TOKEN_VARIABLE} are not set: call this once, in a child of spawnWithDescriptors()`,
    );
  }
  Deno.env.delete(PATH_VARIABLE);
  const descriptors = connectTo(path, token);
  try {
    const channel = await connectToParent(options);
    return closedTogether({ descriptors, channel });
  } catch (error) {
    await descriptors.close();
    throw error;
  }
}

/** Make an object that closes its parts concurrently when it is disposed. */
function closedTogether<Parts extends Record<string, AsyncDisposable>>(
  parts: Parts,
): Parts & AsyncDisposable {
  const disposables = Object.values(parts);
  return {
    ...parts,
    async [Symbol.asyncDispose]() {
      await Promise.all(disposables.map((part) => part[Symbol.asyncDispose]()));
    },
  };
}
