/** How a parent makes the socket, and starts the child that is to connect to it. */

import { checkLimits } from "../channel/sending.ts";
import {
  ConnectedChild,
  killAndRelease,
  waitForConnection,
  watch,
} from "./child.ts";
import {
  letIn,
  makeDirectory,
  removeDirectory,
  socketPath,
  withDirectoryContext,
} from "./directory.ts";
import {
  type Address,
  DEBUG_VARIABLE,
  environment,
  isHeld,
  log,
  PATH_VARIABLE,
  PORT_VARIABLE,
  TOKEN_VARIABLE,
  writeToken,
} from "./environment.ts";
import { type Endpoint, HandshakeServer } from "./handshake.ts";
import type { Attachment, LaunchHooks } from "./hooks.ts";
import type { SocketPairOptions, SpawnOptions } from "./options.ts";
import type { Child } from "./outcome.ts";
import { overPipes, PipeConnection } from "./pipes.ts";

const DEFAULT_CONNECT_TIMEOUT = 30_000;
const DEFAULT_GRACE_PERIOD = 5_000;

/** The longest delay of a timer in ms. */
const MAX_DELAY = 2 ** 31 - 1;

/** Make two connected Unix sockets, as `socketPair()`. */
export async function pairUp(
  options: SocketPairOptions,
): Promise<[Deno.UnixConn, Deno.UnixConn]> {
  const endpoint = await listenUnix(options);
  const server = new HandshakeServer(endpoint);
  let left: Deno.UnixConn | undefined;
  let right: Deno.UnixConn | undefined;
  try {
    left = await Deno.connect({ transport: "unix", ...endpoint.address });
    await writeToken(left, server.token);
    right = await server.admitted;
    server.take();
    await server.remove();
    return [left, right];
  } catch (error) {
    left?.close();
    right?.close();
    throw error;
  } finally {
    await server.discard();
  }
}

/**
 * Start a program and connect to it, as `spawn()`.
 *
 * @param command The program.
 * @param options Those of `spawn()`.
 * @param hooks Where others join in.
 */
export async function start<In, Out>(
  command: string | URL,
  options: SpawnOptions<In, Out>,
  hooks: LaunchHooks = {},
): Promise<Child<In, Out>> {
  const { connectTimeout, gracePeriod } = delaysOf(options);
  const { signal } = options;
  signal?.throwIfAborted();
  checkStart(options);
  if (options.transport === "stdio") {
    const piped = overPipes(options);
    const args = hooks.argsFor?.() ?? options.args;
    const process = startProcess(command, { ...piped, args }, {}, hooks);
    const started = watch(process, command, options, hooks);
    const conn = new PipeConnection(process);
    try {
      return new ConnectedChild(started, conn, {
        ...options,
        isUnix: false,
        gracePeriod,
      });
    } catch (error) {
      conn.close();
      await killAndRelease(started, { stderr: options.stderr });
      throw error;
    }
  }
  const endpoint = await listen(options);
  const { address, directory } = endpoint;
  const server = new HandshakeServer(endpoint, hooks);
  const { token } = server;
  let attachment: Attachment | undefined;
  try {
    if (directory !== undefined) {
      attachment = hooks.attach?.({ directory, token });
      await letIn(directory, options);
    }
    const args = hooks.argsFor?.(address) ?? options.args;
    const process = startProcess(command, { ...options, args }, {
      ...addressVariables(address),
      ...attachment?.env,
      [TOKEN_VARIABLE]: token,
    }, hooks);
    const started = watch(process, command, options, hooks);
    let child: ConnectedChild<In, Out> | undefined;
    try {
      const conn = await waitForConnection(started, server, {
        connectTimeout,
        signal,
        attachment,
      });
      const isUnix = directory !== undefined;
      child = new ConnectedChild(started, conn, {
        ...options,
        isUnix,
        gracePeriod,
      });
      server.take();
      log?.(`child ${process.pid} connected`);
      await server.remove();
      return child;
    } catch (error) {
      await server.close();
      child?.channel.abort(error);
      await killAndRelease(started, options);
      throw error;
    }
  } finally {
    await attachment?.dispose();
    await server.discard();
  }
}

/** Check the delays among the options. */
function delaysOf<In, Out>(
  {
    connectTimeout = DEFAULT_CONNECT_TIMEOUT,
    gracePeriod = DEFAULT_GRACE_PERIOD,
  }: SpawnOptions<In, Out>,
) {
  const delays = { connectTimeout, gracePeriod };
  for (const [name, delay] of Object.entries(delays)) {
    if (delay >= 0 && delay <= MAX_DELAY) continue;
    throw new RangeError(
      `Cannot use ${name}: ${delay} is not a number from 0 to ${MAX_DELAY}`,
    );
  }
  return delays;
}

/** Check what the start of a child needs, while nothing has been started. */
function checkStart<In, Out>(options: SpawnOptions<In, Out>): void {
  const { cwd, detached } = options;
  // The channel is made when the child has connected.
  checkLimits(options);
  if (detached && !isHeld({ name: "run" })) {
    throw new Deno.errors.NotCapable(
      "Cannot spawn detached child: signals to its process group require --allow-run in full",
    );
  }
  if (cwd !== undefined) return;
  try {
    Deno.cwd();
  } catch (error) {
    // One that is not UTF-8 is none of ours.
    if (!(error instanceof Deno.errors.NotFound)) return;
    throw new Deno.errors.NotFound(
      "Cannot start child: the current directory does not exist any more: set the option cwd",
    );
  }
}

async function listen<In, Out>(
  options: SpawnOptions<In, Out>,
): Promise<Endpoint> {
  const { transport = Deno.build.os === "windows" ? "tcp" : "unix" } = options;
  if (transport === "unix") return await listenUnix(options);
  if (transport !== "tcp") {
    throw new TypeError(
      `Cannot use transport: "${transport}" is none of "unix", "tcp", "stdio"`,
    );
  }
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  log?.(`listening on 127.0.0.1:${port}`);
  return { listener, address: { port } };
}

async function listenUnix(
  options: Pick<SpawnOptions<unknown>, "directory">,
): Promise<Endpoint<Deno.UnixConn, { path: string }>> {
  const directory = await makeDirectory(options.directory);
  const path = socketPath(directory);
  let listener;
  try {
    listener = Deno.listen({ transport: "unix", path });
    log?.(`listening on ${path}`);
    return { listener, address: { path }, directory };
  } catch (error) {
    listener?.close();
    await removeDirectory(directory).catch(() => {});
    throw withDirectoryContext(directory, error);
  }
}

function startProcess<In, Out>(
  command: string | URL,
  options: SpawnOptions<In, Out>,
  env: Record<string, string>,
  hooks: LaunchHooks,
): Deno.ChildProcess {
  const commandOptions_ = commandOptions(options, env);
  const process = hooks.launch?.(command, commandOptions_) ??
    new Deno.Command(command, commandOptions_).spawn();
  log?.(`started child ${process.pid}`);
  return process;
}

/** What tells a child where to connect. */
function addressVariables(address: Address): Record<string, string> {
  return "path" in address
    ? { [PATH_VARIABLE]: address.path }
    : { [PORT_VARIABLE]: String(address.port) };
}

/** A process that is a child itself, and has not connected, keeps its address and token. */
function hidden(): Record<string, string> {
  return Object.fromEntries(
    [PATH_VARIABLE, PORT_VARIABLE, TOKEN_VARIABLE]
      .filter((variable) => environment(variable) !== undefined)
      .map((variable) => [variable, ""]),
  );
}

/** The options of `Deno.Command` for a child. */
function commandOptions<In, Out>(
  options: SpawnOptions<In, Out>,
  env: Record<string, string>,
): Deno.CommandOptions {
  const { cwd, uid, gid, clearEnv = false } = options;
  return {
    args: options.args ?? [],
    env: {
      ...(!clearEnv && hidden()),
      ...options.env,
      ...env,
      ...(log && { [DEBUG_VARIABLE]: "1" }),
    },
    clearEnv,
    stdin: options.stdin ?? "null",
    stdout: options.stdout ?? "inherit",
    stderr: options.stderr ?? "inherit",
    detached: options.detached ?? false,
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}
