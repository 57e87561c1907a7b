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

import type {
  Channel,
  MaySerialize,
  ReceivedWith,
  SentWith,
  WithoutSerialization,
  WithSerialization,
} from "./channel.ts";
import {
  log,
  requireDescriptor,
  takeConnection,
  writeToken,
} from "./pair/environment.ts";
import type {
  ConnectOptions,
  SocketPairOptions,
  SpawnModuleOptions,
  SpawnOptions,
} from "./pair/options.ts";
import { type Child, openChannel } from "./pair/outcome.ts";

export type { Channel } from "./channel.ts";
export type * from "./channel/types.ts";
export type { FrameHeader, Framing, FramingOptions } from "./framing.ts";
export type * from "./pair/options.ts";
export { Child, ConnectError, ExitError } from "./pair/outcome.ts";

/**
 * Make two connected Unix sockets, each with both ends in this process: `UNIXSocket.pair`
 * of Ruby, `socketpair(2)`.
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
 * @param options Where the directory of the socket is made; it is gone when this resolves.
 * @returns The two ends.
 * @throws {Deno.errors.NotSupported} On Windows, where Deno has no Unix sockets.
 * @throws {RangeError} If `directory` is too long for the path of a socket: 107 bytes on
 * Linux, 103 on macOS.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Error} What the system says of the directory: `Deno.errors.NotFound`,
 * `Deno.errors.PermissionDenied`.
 */
export async function socketPair(
  options: SocketPairOptions = {},
): Promise<[Deno.UnixConn, Deno.UnixConn]> {
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported(
      "Cannot make socket pair: Deno has no Unix sockets on Windows",
    );
  }
  const { pairUp } = await loadStart();
  return await pairUp(options);
}

/**
 * Start a program as a child process and connect to it.
 *
 * The child finds the path of a Unix socket in its environment variable `SOCKETPAIR_PATH`
 * and a token of 64 hexadecimal digits in `SOCKETPAIR_TOKEN`. It connects, writes the token,
 * and from then on both sides send frames. Over TCP the port on 127.0.0.1 is in
 * `SOCKETPAIR_PORT` instead.
 *
 * A crash is no end: if the child exits, not in success, and nobody here has asked it to,
 * receiving ends with {@linkcode ExitError}, after what the child had sent.
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
 * @typeParam In What is received.
 * @typeParam Out What is sent.
 * @param command The program: a path, or a name to be found in `PATH`.
 * @param options The channel's options, and those of the process.
 * @returns The child, connected.
 * @throws {ConnectError} If the child exits before it connects, or does not connect in
 * `connectTimeout` ms, and is killed.
 * @throws {Deno.errors.NotFound} If there is no such command or directory.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.PermissionDenied} If the system does not let this user run the command
 * or write to the directory, or if with `uid` or `gid` others could replace the directory.
 * @throws {TypeError} If `transport` is none of the three, or `stdin` or `stdout` is set with
 * `"stdio"`.
 * @throws {RangeError} If a number is out of its range, or `directory` is too long for the
 * path of a socket: 107 bytes on Linux, 103 on macOS.
 * @throws {Error} The reason of `signal`.
 */
export function spawn<In, Out = In>(
  command: string | URL,
  options: SpawnOptions<In, Out> & WithSerialization<In, Out>,
): Promise<Child<In, Out>>;
/** Start a program as a child process and connect to it: messages are bytes. */
export function spawn(
  command: string | URL,
  options?:
    & SpawnOptions<Uint8Array<ArrayBuffer>, Uint8Array>
    & WithoutSerialization,
): Promise<Child<Uint8Array<ArrayBuffer>, Uint8Array>>;
/** Start a program as a child process and connect to it, with options of a type that may name a serialization. */
export function spawn<Options extends SpawnOptions<unknown, never>>(
  command: string | URL,
  options: (Options & MaySerialize<Options>) | undefined,
): Promise<Child<ReceivedWith<Options>, SentWith<Options>>>;
export async function spawn<In, Out>(
  command: string | URL,
  options: SpawnOptions<In, Out> = {},
): Promise<Child<In, Out>> {
  const { start } = await loadStart();
  return await start(command, options);
}

let parentRooms: typeof import("./pair/start.ts") | undefined;
let moduleRooms: typeof import("./pair/sandbox.ts") | undefined;

/** Load what only a parent needs: that takes a child's process 0.4 ms. */
async function loadStart(): Promise<typeof import("./pair/start.ts")> {
  if (parentRooms === undefined) requireDescriptor();
  return parentRooms ??= await import("./pair/start.ts");
}

/** Load what only a parent of modules needs. */
async function loadSandbox(): Promise<typeof import("./pair/sandbox.ts")> {
  if (moduleRooms === undefined) requireDescriptor();
  return moduleRooms ??= await import("./pair/sandbox.ts");
}

/**
 * Start a Deno module as a child process and connect to it. By default it may use its
 * socket, read the files in its own directory, and nothing else: neither while it runs
 * nor while it is loaded.
 *
 * The module finds `import.meta.main` false. What it imports from elsewhere must be in Deno's
 * cache (`deno cache`), or in `node_modules`. What it prints is copied line by line. Symbolic links that lead out
 * of its directory or up keep it from starting. What remains open to it is listed in
 * `SECURITY.md`.
 *
 * Needs what {@linkcode spawn} needs.
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
 * @typeParam In What is received.
 * @typeParam Out What is sent.
 * @param specifier The module: a URL, or a path from the current directory of the parent.
 * @param options The channel's options, those of the process, and the child's permissions.
 * @returns The child, connected.
 * @throws {Deno.errors.NotFound} If there is no such module, where this process may know.
 * @throws {TypeError} If a path that must be granted holds a comma, which a flag cannot
 * express, or if `denoArgs` holds `-A`.
 * @throws {Deno.errors.NotSupported} In a compiled program, which has no `deno` to run a
 * module: use `spawn("deno", ...)` there; and where this process was started with
 * descriptors that it cannot close for the module.
 * @throws {Error} As {@linkcode spawn}.
 */
export function spawnModule<In, Out = In>(
  specifier: string | URL,
  options: SpawnModuleOptions<In, Out> & WithSerialization<In, Out>,
): Promise<Child<In, Out>>;
/** Start a Deno module as a child process and connect to it: messages are bytes. */
export function spawnModule(
  specifier: string | URL,
  options?:
    & SpawnModuleOptions<Uint8Array<ArrayBuffer>, Uint8Array>
    & WithoutSerialization,
): Promise<Child<Uint8Array<ArrayBuffer>, Uint8Array>>;
/** Start a Deno module as a child process and connect to it, with options of a type that may name a serialization. */
export function spawnModule<Options extends SpawnModuleOptions<unknown, never>>(
  specifier: string | URL,
  options: (Options & MaySerialize<Options>) | undefined,
): Promise<Child<ReceivedWith<Options>, SentWith<Options>>>;
export async function spawnModule<In, Out>(
  specifier: string | URL,
  options: SpawnModuleOptions<In, Out> = {},
): Promise<Child<In, Out>> {
  if (Deno.build.standalone) {
    throw new Deno.errors.NotSupported(
      'Cannot spawn module: a compiled program has no deno to run it: use spawn("deno", ...)',
    );
  }
  const { planModule } = await loadSandbox();
  const plan = await planModule(specifier, options);
  const { start } = await loadStart();
  try {
    return await start(plan.command, plan.options, plan.hooks);
  } catch (error) {
    await plan.hooks.discard?.();
    throw error;
  }
}

/**
 * Connect to the process that started this one by {@linkcode spawn} or
 * {@linkcode spawnModule}.
 *
 * Or, with `transport: "stdio"`, by its standard input and output, which takes no permission:
 * what else would write to standard output then goes to standard error.
 *
 * Takes the variables out of the environment, so that children of this process do not
 * inherit them. Needs `--allow-net`, read and write access to the path, and
 * `--allow-env=SOCKETPAIR_PATH,SOCKETPAIR_PORT,SOCKETPAIR_TOKEN`; {@linkcode spawnModule}
 * sees to that.
 *
 * @example A child that answers each message in upper case
 * ```ts ignore
 * import { connectToParent, text } from "@socketpair/socketpair";
 *
 * const parent = await connectToParent({ serialization: text() });
 * for await (const message of parent) await parent.send(message.toUpperCase());
 * ```
 *
 * @typeParam In What is received.
 * @typeParam Out What is sent.
 * @param options Framing, serialization and limits; they must be the parent's.
 * @returns The channel to the parent.
 * @throws {Error} If this process was not started so, or has connected already.
 * @throws {TypeError} If one of `descriptors` is no open pipe or socket.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotFound} If the parent does not wait any more.
 */
export function connectToParent<In, Out = In>(
  options: ConnectOptions<In, Out> & WithSerialization<In, Out>,
): Promise<Channel<In, Out>>;
/** Connect to the parent: messages are bytes. */
export function connectToParent(
  options?:
    & ConnectOptions<Uint8Array<ArrayBuffer>, Uint8Array>
    & WithoutSerialization,
): Promise<Channel<Uint8Array<ArrayBuffer>, Uint8Array>>;
/** Connect to the process that started this one, with options of a type that may name a serialization. */
export function connectToParent<Options extends ConnectOptions<unknown, never>>(
  options: (Options & MaySerialize<Options>) | undefined,
): Promise<Channel<ReceivedWith<Options>, SentWith<Options>>>;
export async function connectToParent<In, Out>(
  options: ConnectOptions<In, Out> = {},
): Promise<Channel<In, Out>> {
  if (options.transport === "stdio") {
    // Only such a child loads it.
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
