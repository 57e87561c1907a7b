/**
 * Hand open files, pipes and sockets to another process, in any language.
 *
 * A descriptor is the number by which a process knows something that it has open. Over a
 * Unix socket the system hands the open thing itself to another process, where it gets a
 * number of its own (`SCM_RIGHTS`). The wire is that of Ruby's `UNIXSocket#send_io` and
 * `recv_io` and of Python's `socket.send_fds` and `recv_fds`: one byte of data with each
 * message.
 *
 * - {@linkcode spawnWithDescriptors}, {@linkcode connectDescriptorsToParent}: a child and
 *   its parent, with a {@linkcode DescriptorSocket} beside their channel.
 * - {@linkcode descriptorOf}: from a socket to its number. `openSync()` of `node:fs` gives
 *   the number of a file.
 * - {@linkcode openFile}, {@linkcode openSocket}, {@linkcode listen},
 *   {@linkcode closeDescriptor}: from a number to what it stands for.
 *
 * Deno has no interface for any of it, so this module calls the C library: it needs
 * `--allow-ffi` in full, and Linux or macOS on x86-64 or arm64 (it is tested on Linux
 * x86-64). Importing it needs neither; the first call throws
 * `Deno.errors.NotCapable` or `Deno.errors.NotSupported`.
 *
 * **`--allow-ffi` grants full access.** Deno cannot see what the C library is asked to do, so a
 * Deno child that receives descriptors must be trusted like the parent: no sandbox is left
 * around it.
 *
 * @example
 * A child in Python writes to a file that only the parent has opened:
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
  DescriptorHandshake,
  PATH_VARIABLE,
} from "./descriptors/handshake.ts";
import { Libc } from "./descriptors/libc.ts";
import type { DescriptorSocket } from "./descriptors/socket.ts";
import {
  type Child,
  connectToParent,
  spawn,
  type SpawnOptions,
} from "./pair.ts";
import { TOKEN_VARIABLE } from "./pair/environment.ts";
import { withHooks } from "./pair/hooks.ts";

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
} from "./descriptors/socket.ts";

// What the types above and below are made of.
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

/** Options for {@linkcode spawnWithDescriptors}: those of `spawn()`, over a Unix socket. */
export type SpawnWithDescriptorsOptions<
  S extends AnySerialization = undefined,
> = Omit<SpawnOptions<S>, "transport">;

/** A child and a socket for descriptors: what {@linkcode spawnWithDescriptors} resolves to. */
export interface ChildWithDescriptors<In, Out = In> extends AsyncDisposable {
  /** The child, as `spawn()` gives it. */
  readonly child: Child<In, Out>;
  /** The socket over which descriptors go to the child and come from it. */
  readonly descriptors: DescriptorSocket;
}

/** A channel and a socket for descriptors: what {@linkcode connectDescriptorsToParent} resolves to. */
export interface ParentWithDescriptors<In, Out = In> extends AsyncDisposable {
  /** The channel to the parent, as `connectToParent()` gives it. */
  readonly channel: Channel<In, Out>;
  /** The socket over which descriptors go to the parent and come from it. */
  readonly descriptors: DescriptorSocket;
}

/**
 * Start a program as a child process, and connect to it twice: by a channel, as `spawn()`
 * does, and by a socket for descriptors.
 *
 * The child finds the path of the second socket in its environment variable
 * `SOCKETPAIR_DESCRIPTORS_PATH`. It connects to both, in any order, and writes the token in
 * `SOCKETPAIR_TOKEN` to each. A Deno child calls {@linkcode connectDescriptorsToParent}.
 *
 * Needs `--allow-ffi` and what `spawn()` needs.
 *
 * @example A child in Python that opens a file for its parent
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
 * @param command The program: a path, or a name to be found in `PATH`.
 * @param options The options of `spawn()`, without `transport`.
 * @returns The child and the socket for descriptors, both connected. At the end of an
 * `await using` block both are closed; so they are by `close()` of each.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 * @throws {Error} As `spawn()`.
 */
export async function spawnWithDescriptors<
  S extends AnySerialization = undefined,
>(
  command: string | URL,
  options: SpawnWithDescriptorsOptions<S> = {},
): Promise<ChildWithDescriptors<Received<S>, Sent<S>>> {
  using libc = Libc.use();
  const handshake = new DescriptorHandshake(libc);
  try {
    const overUnix: SpawnOptions<S> = { ...options, transport: "unix" };
    const child = await spawn(
      command,
      withHooks(overUnix, { attach: (place) => handshake.open(place) }),
    );
    const { descriptors } = handshake;
    if (descriptors === undefined) {
      throw new Error("Cannot connect to child: the wait for it ended early");
    }
    return closedTogether({ descriptors, child });
  } catch (error) {
    await handshake.descriptors?.close();
    throw error;
  }
}

/**
 * Connect to the process that started this one by {@linkcode spawnWithDescriptors}: by a
 * channel, as `connectToParent()` does, and by a socket for descriptors.
 *
 * Call it instead of `connectToParent()`, as the token serves both. It takes the variables
 * out of the environment, so that children of this process do not inherit them.
 *
 * Needs `--allow-ffi`, `--allow-env=SOCKETPAIR_DESCRIPTORS_PATH`, and what
 * `connectToParent()` needs.
 *
 * @example A child that answers each connection that its parent accepts
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
 * @param options Framing, serialization and limits of the channel; they must be the
 * parent's.
 * @returns The channel and the socket for descriptors. At the end of an `await using` block
 * both are closed; so they are by `close()` of each.
 * @throws {Error} If this process was not started so, or has connected already.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
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
      `Cannot connect to parent: ${PATH_VARIABLE} and ${TOKEN_VARIABLE} are not set: spawnWithDescriptors() sets them, and they serve once`,
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

/** Have them closed at the end of an `await using` block, side by side. */
function closedTogether<Parts extends Record<string, AsyncDisposable>>(
  parts: Parts,
): Parts & AsyncDisposable {
  return {
    ...parts,
    async [Symbol.asyncDispose]() {
      await Promise.all(
        Object.values(parts).map((part) => part[Symbol.asyncDispose]()),
      );
    },
  };
}
