/**
 * Make two connected sockets, and start a child process that holds one of them.
 *
 * - {@linkcode socketPair}: both ends in this process.
 * - {@linkcode spawn}: a child in any language.
 * - {@linkcode spawnModule}: a Deno module as a child, with no permission but its own
 *   socket.
 * - {@linkcode connectToParent}: the child's side.
 *
 * @example
 * ```ts
 * import { text } from "@socketpair/socketpair/channel";
 * import { spawnModule } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const child = await spawnModule(new URL("./child.ts", import.meta.resolve("@socketpair/socketpair")), {
 *   serialization: text(),
 *   stdout: "null",
 * });
 * await child.channel.send("taco cat");
 * assertEquals(await child.channel.receive(), "tac ocat");
 * assertEquals((await child.close()).code, 0);
 * ```
 *
 * @module
 */

import type { AnySerialization, Channel, Received, Sent } from "./channel.ts";
import type { Child, ConnectedChild } from "./pair/child.ts";
import {
  type Address,
  connectionVariables,
  log,
  requireDeno,
  requireDescriptor,
  takeConnection,
  writeToken,
} from "./pair/environment.ts";
import type { Endpoint } from "./pair/handshake.ts";
import type { Attachment, LaunchHooks } from "./pair/launch.ts";
import type {
  ConnectOptions,
  SocketPairOptions,
  SpawnModuleOptions,
  SpawnOptions,
} from "./pair/options.ts";
import type { StartedProcess } from "./pair/process.ts";
import { openChannel } from "./pair/open_channel.ts";

export type { Channel } from "./channel.ts";
export type * from "./channel/types.ts";
export type { FrameHeader, Framing, FramingOptions } from "./framing.ts";
export type * from "./pair/options.ts";
export type { Child } from "./pair/child.ts";
export { ConnectError, ExitError } from "./pair/errors.ts";

/**
 * Make two connected Unix sockets, both in this process, like `UNIXSocket.pair` of Ruby and
 * `socketpair(2)`.
 *
 * Needs `--allow-net`, and read and write access to the directory.
 *
 * @example
 * ```ts
 * import { socketPair } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = await socketPair();
 * await left.write(new TextEncoder().encode("taco cat"));
 *
 * const buffer = new Uint8Array(8);
 * assertEquals(await right.read(buffer), 8);
 * assertEquals(new TextDecoder().decode(buffer), "taco cat");
 * left.close();
 * right.close();
 * ```
 *
 * @param options Where to make the directory of the socket, which is removed before this resolves.
 * @returns The two ends.
 * @throws {Deno.errors.NotSupported} On Windows, and before Deno 2.9.6.
 * @throws {RangeError} If `directory` is too long: the path of a socket in it may have 107 bytes on
 * Linux, 103 on macOS.
 * @throws {Error} If the directory cannot be made.
 */
export async function socketPair(
  options: SocketPairOptions = {},
): Promise<[Deno.UnixConn, Deno.UnixConn]> {
  requireDeno("make socket pair");
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported(
      "Cannot make socket pair: Deno has no Unix sockets on Windows",
    );
  }
  const parent = await loadParent();
  const endpoint = await listenUnix(options.directory);
  await using server = new parent.HandshakeServer(endpoint);
  let right;
  const left = await Deno.connect({ transport: "unix", ...endpoint.address });
  try {
    await writeToken(left, server.token);
    right = await server.admitted;
    await server.close(right);
    return [left, right];
  } catch (error) {
    left.close();
    right?.close();
    throw error;
  }
}

async function listenUnix(place: string | undefined) {
  const { makeDirectory, removeDirectory, socketPath, withDirectoryContext } =
    await loadParent();
  const directory = await makeDirectory(place);
  const path = socketPath(directory);
  try {
    const listener = Deno.listen({ transport: "unix", path });
    log?.(`listening on ${path}`);
    return { listener, address: { path }, directory };
  } catch (error) {
    await removeDirectory(directory).catch(() => {});
    throw withDirectoryContext(directory, error);
  }
}

function listenTcp(): Endpoint {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  log?.(`listening on 127.0.0.1:${port}`);
  return { listener, address: { port } };
}

/**
 * Start a program as a child process and connect to it.
 *
 * The child finds the path of a Unix socket in its environment variable `SOCKETPAIR_PATH` (over
 * TCP, a port on 127.0.0.1 in `SOCKETPAIR_PORT`), and a token of 64 hexadecimal digits in
 * `SOCKETPAIR_TOKEN`. It connects and writes the token; then both sides send frames.
 *
 * If the child crashes, receiving rejects with {@linkcode ExitError} after its last message. When
 * this process exits, its children are killed.
 *
 * Needs `--allow-run`, `--allow-net`, and read and write access to the directory.
 *
 * @example
 * ```ts
 * import { text } from "@socketpair/socketpair/channel";
 * import { spawn } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const code = `
 * import { connectToParent, text } from "${import.meta.resolve("@socketpair/socketpair")}";
 * const parent = await connectToParent({ serialization: text() });
 * for await (const message of parent) await parent.send(message.toUpperCase());
 * `;
 * await using child = await spawn(Deno.execPath(), {
 *   args: ["eval", code],
 *   serialization: text(),
 * });
 * await child.channel.send("taco cat");
 * assertEquals(await child.channel.receive(), "TACO CAT");
 * ```
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 * @param command The program: a path, or a name to be found in `PATH`.
 * @param options The channel's options, and those of the process.
 * @returns The child, connected.
 * @throws {ConnectError} If the child exits before it connects, or does not connect within
 * `connectTimeout` ms; then it is killed.
 * @throws {Deno.errors.NotFound} If there is no such command or directory.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.PermissionDenied} If this user may not run the command or write to the
 * directory, or if others could replace the directory.
 * @throws {TypeError | RangeError} If an option is not what its documentation says.
 * @throws {unknown} The reason of `signal`.
 */
export async function spawn<S extends AnySerialization = undefined>(
  command: string | URL,
  options: SpawnOptions<S> = {},
): Promise<Child<Received<S>, Sent<S>>> {
  requireDeno("start child");
  const parent = await loadParent();
  const hooks = parent.hooksOf(options);
  const checked = parent.checkOptions(options);
  if (checked.transport === "stdio") {
    const started = await start(command, checked, hooks);
    const conn = parent.pipeConnection(started.process);
    try {
      return new parent.ConnectedChild(started, conn, checked);
    } catch (error) {
      conn.close();
      await started.abort({ stderr: options.stderr });
      throw error;
    }
  }
  const endpoint: Endpoint = checked.transport === "tcp"
    ? listenTcp()
    : await listenUnix(options.directory);
  const { address, directory } = endpoint;
  await using server = new parent.HandshakeServer(endpoint);
  const { token } = server;
  let attachment: Attachment | undefined;
  if (directory !== undefined) {
    attachment = hooks.attach?.({ directory, token });
    await parent.letIn(directory, options);
  }
  const started = await start(command, checked, hooks, address, {
    ...connectionVariables(address, token),
    ...attachment?.env,
  });
  let child: ConnectedChild<S> | undefined;
  try {
    const servers = attachment ? [attachment.server] : [];
    const conn = await parent.waitForConnection(
      started,
      [server, ...servers],
      checked,
    );
    child = new parent.ConnectedChild(started, conn, checked);
    log?.(`child ${child.pid} connected`);
    await server.close(conn);
    return child;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    child?.channel.abort(error);
    parent.addStderr(error, await started.abort(options));
    throw error;
  }
}

async function start(
  command: string | URL,
  options: SpawnOptions<AnySerialization>,
  hooks: LaunchHooks,
  address?: Address,
  env?: Record<string, string>,
): Promise<StartedProcess> {
  const { commandOptions, explainStart, StartedProcess } = await loadParent();
  const settings = commandOptions(options, hooks, address, env);
  try {
    const process = new Deno.Command(command, settings).spawn();
    log?.(`started child ${process.pid}`);
    return new StartedProcess(process, command, options, hooks);
  } catch (error) {
    throw explainStart(error, command, hooks.shown);
  }
}

/**
 * Start a Deno module as a child process and connect to it. By default it may use its
 * socket and load its own code, and nothing else. This applies at load time and at run time.
 *
 * A module's own code is what it imports by literal specifiers from its own directory or below.
 * Remote modules must be in Deno's cache (run `deno cache`), npm packages in `node_modules`. In
 * the module `import.meta.main` is false. `SECURITY.md` lists what it can still do.
 *
 * Needs what {@linkcode spawn} needs, and read access to the module's directory.
 *
 * @example A child that may read one file
 * ```ts
 * import { spawnModule } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${directory}/child.ts`, `
 *   import { connectToParent } from "${import.meta.resolve("@socketpair/socketpair")}";
 *   const parent = await connectToParent();
 *   await parent.send(await Deno.readFile("/etc/passwd"));
 * `);
 *
 * const permissions = { read: ["/etc/passwd"] };
 * const child = await spawnModule(`${directory}/child.ts`, { permissions });
 * assertEquals(await child.channel.receive(), await Deno.readFile("/etc/passwd"));
 * await child.close();
 * await Deno.remove(directory, { recursive: true });
 * ```
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 * @param specifier The module: a URL, or a path from the current directory of the parent.
 * @param options The channel's options, those of the process, and the child's permissions.
 * @returns The child, connected.
 * @throws {Deno.errors.NotFound} If there is no such module.
 * @throws {TypeError} If a path that must be granted contains a comma, or `denoArgs` contains `-A`.
 * @throws {Deno.errors.NotCapable} If a symbolic link could lead the module out of what it may
 * read or write, or if this process may not read these directories.
 * @throws {Deno.errors.NotSupported} If the wall is not available, in a compiled program, or if
 * this process was started with descriptors that it cannot close for the module.
 * @throws {Error} As {@linkcode spawn}.
 */
export async function spawnModule<S extends AnySerialization = undefined>(
  specifier: string | URL,
  options: SpawnModuleOptions<S> = {},
): Promise<Child<Received<S>, Sent<S>>> {
  requireDeno("start module");
  if (Deno.build.standalone) {
    throw new Deno.errors.NotSupported(
      'Cannot spawn module: a compiled program has no deno to run it: use spawn("deno", ...)',
    );
  }
  const { withHooks } = await loadParent();
  const { planModule } = await loadSandbox();
  const plan = await planModule(specifier, options);
  try {
    return await spawn(plan.command, withHooks(plan.options, plan.hooks));
  } catch (error) {
    await plan.hooks.dispose?.();
    throw error;
  }
}

let parentPart: typeof import("./pair/parent.ts") | undefined;
let sandboxPart: typeof import("./pair/sandbox.ts") | undefined;

async function loadParent() {
  if (parentPart === undefined) requireDescriptor();
  return parentPart ??= await import("./pair/parent.ts");
}

async function loadSandbox() {
  if (sandboxPart === undefined) requireDescriptor();
  return sandboxPart ??= await import("./pair/sandbox.ts");
}

/**
 * Connect to the process that started this one by {@linkcode spawn} or {@linkcode spawnModule}.
 *
 * Deletes the environment variables so that child processes do not inherit them. Needs
 * `--allow-net`, read and write access to the path, and
 * `--allow-env=SOCKETPAIR_PATH,SOCKETPAIR_PORT,SOCKETPAIR_TOKEN`.
 *
 * @example A child that answers each message in upper case
 * ```ts ignore
 * import { connectToParent, text } from "@socketpair/socketpair";
 *
 * const parent = await connectToParent({ serialization: text() });
 * for await (const message of parent) await parent.send(message.toUpperCase());
 * ```
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 * @param options Framing, serialization and limits; they must be the parent's.
 * @returns The channel to the parent.
 * @throws {Error} If this process was not started by a parent, or has connected already.
 * @throws {TypeError} If one of `descriptors` is not an open pipe or socket.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotFound} If the parent stopped waiting.
 */
export async function connectToParent<S extends AnySerialization = undefined>(
  options: ConnectOptions<S> = {},
): Promise<Channel<Received<S>, Sent<S>>> {
  requireDeno("connect to parent");
  if (options.transport === "stdio") {
    // Other children do not load it.
    const { takeStdio } = await import("./pair/stdio.ts");
    return openChannel(await takeStdio(options.descriptors), options);
  }
  const { conn, remainingToken } = await takeConnection();
  try {
    const channel = openChannel(conn, options);
    await writeToken(conn, remainingToken);
    log?.("connected to parent");
    return channel;
  } catch (error) {
    conn.close();
    throw error;
  }
}
