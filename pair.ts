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
 * const child = await spawnModule<string>(new URL("./child.ts", import.meta.resolve("@socketpair/socketpair")), {
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

// First, since it imports nothing: to load a module that imports one not yet loaded, Deno
// reads its source map, which for channel.ts takes a child 1 ms.
import "./framing.ts";
import type { Channel, ChannelOptions } from "./channel.ts";
import { DrainableConnection, openChannel } from "./pair/connection.ts";
import {
  DEBUG_VARIABLE,
  environment,
  log,
  messageOf,
} from "./pair/environment.ts";

const PATH_VARIABLE = "SOCKETPAIR_PATH";
const PORT_VARIABLE = "SOCKETPAIR_PORT";
const TOKEN_VARIABLE = "SOCKETPAIR_TOKEN";

/** Where {@linkcode startModule} leaves what it {@linkcode Started}: a global symbol. */
const CONNECTION_KEY = Symbol.for("@socketpair/socketpair");

const DEFAULT_CONNECT_TIMEOUT = 30_000;
const DEFAULT_GRACE_PERIOD = 5_000;

/** The longest delay of a timer in ms. */
const MAX_DELAY = 2 ** 31 - 1;

/** Bytes that `sockaddr_un.sun_path` holds before its final zero byte. */
const MAX_PATH_LENGTH = Deno.build.os === "linux" ? 107 : 103;

/** A token in hexadecimal digits: 256 bits. */
const TOKEN_LENGTH = 64;

/** How long a connection may take to send its token, in ms. */
const HANDSHAKE_TIMEOUT = 5_000;

/** Handshakes under way at once; for one more, the one that waits longest is dropped. */
const MAX_HANDSHAKES = 64;

/** How long a connection is left to send its token even so, in ms. */
const MIN_HANDSHAKE_TIMEOUT = 100;

/** Strangers that are remembered for {@linkcode ConnectError.strangers}. */
const MAX_STRANGERS = 1_000;

/** Options for {@linkcode socketPair}. */
export interface SocketPairOptions {
  /**
   * Where the directory of the socket is made.
   *
   * @default {the system's temporary directory}
   */
  directory?: string;
}

/** Options for {@linkcode spawn}. */
export interface SpawnOptions<T> extends ChannelOptions<T> {
  /**
   * Arguments of the command.
   *
   * @default {[]}
   */
  args?: string[];
  /**
   * Current directory of the child.
   *
   * @default {the parent's}
   */
  cwd?: string | URL;
  /**
   * Environment variables of the child, besides those that it inherits.
   *
   * @default {{}}
   */
  env?: Record<string, string>;
  /**
   * Keep the parent's environment variables from the child.
   *
   * @default {false}
   */
  clearEnv?: boolean;
  /** User id of the child; the directory and the socket are given to it. */
  uid?: number;
  /** Group id of the child; the directory and the socket are given to it. */
  gid?: number;
  /**
   * Ends the child: while it has not connected {@linkcode spawn} rejects with the
   * signal's reason; later the child gets SIGTERM.
   */
  signal?: AbortSignal;
  /**
   * Standard input of the child.
   *
   * @default {"null"}
   */
  stdin?: "piped" | "inherit" | "null";
  /**
   * Standard output of the child.
   *
   * @default {"inherit"}
   */
  stdout?: "piped" | "inherit" | "null";
  /**
   * Standard error of the child.
   *
   * @default {"inherit"}
   */
  stderr?: "piped" | "inherit" | "null";
  /**
   * Start the child in a process group of its own. Signals then go to the whole group,
   * so that `sh -c` or `npm run` does not leave the real program behind; that needs
   * `--allow-run` in full.
   *
   * @default {false}
   */
  detached?: boolean;
  /**
   * How long the child may take to connect, in ms: 0 to 2_147_483_647.
   *
   * @default {30_000}
   */
  connectTimeout?: number;
  /**
   * How long {@linkcode Child.close} waits before SIGTERM, and again before SIGKILL, in
   * ms: 0 to 2_147_483_647.
   *
   * @default {5_000}
   */
  gracePeriod?: number;
  /**
   * Where the directory of the socket is made.
   *
   * @default {the system's temporary directory}
   */
  directory?: string;
  /**
   * What connects the two: a Unix socket, or TCP on 127.0.0.1.
   *
   * @default {"unix", and "tcp" on Windows}
   */
  transport?: "unix" | "tcp";
}

/** Options for {@linkcode spawnModule}. */
export interface SpawnModuleOptions<T> extends SpawnOptions<T> {
  /**
   * What the child may do besides using its socket and reading its own directory.
   * `"inherit"` passes on each kind of permission that the parent holds in full, and
   * nothing of the others.
   *
   * @default {"none"}
   */
  permissions?: Deno.PermissionOptions;
  /**
   * Further flags for `deno run`, after those of {@linkcode spawnModule}. A `--config` or
   * `--no-config` there replaces the parent's configuration. Grant permissions by
   * `permissions`, not here: a bare `--allow-read` beside the one for the child's own
   * files is of no effect.
   *
   * @default {[]}
   */
  denoArgs?: string[];
}

/** The child never connected. */
export class ConnectError extends Error {
  /** The name of the error: `"ConnectError"`. */
  override readonly name = "ConnectError";
  /** How the child ended, if it exited by itself. */
  readonly status?: Deno.CommandStatus;
  /**
   * Who else connected, one error for each, saying why it was dropped: the last 1000.
   * The last one is also `cause`.
   */
  readonly strangers: readonly Error[];

  /**
   * Construct a new instance.
   *
   * @param message What was being done, and what was wrong.
   * @param details How the child ended, and who else connected.
   */
  constructor(
    message: string,
    details: { status?: Deno.CommandStatus; strangers?: readonly Error[] } = {},
  ) {
    const { status, strangers = [] } = details;
    super(message, strangers.length > 0 ? { cause: strangers.at(-1) } : {});
    if (status) this.status = status;
    this.strangers = strangers;
  }
}

// What a child has no use for is not imported: it would cost it 10 ms.

function nodePath() {
  return process.getBuiltinModule("node:path");
}

function nodeUrl() {
  return process.getBuiltinModule("node:url");
}

function delayOf(name: string, value: number): number {
  if (value >= 0 && value <= MAX_DELAY) return value;
  throw new RangeError(
    `Cannot use ${name}: ${value} is not a number from 0 to ${MAX_DELAY}`,
  );
}

/** Where a child can connect to. */
interface Endpoint {
  readonly listener: Deno.Listener | Deno.UnixListener;
  readonly address: Address;
  /** The directory of the socket, until it is removed; TCP needs none. */
  directory: string | undefined;
  /** What tells the child where. */
  readonly env: Record<string, string>;
}

/** Make a directory that only this user can enter and return its real path. */
async function makeDirectory(parent: string | undefined): Promise<string> {
  if (parent === undefined) {
    let made;
    try {
      made = Deno.makeTempDirSync();
    } catch (error) {
      throw inDirectory(defaultDirectory(), error);
    }
    try {
      const directory = Deno.realPathSync(made);
      if (fits(directory)) return directory;
    } catch (error) {
      await Deno.remove(made);
      throw error;
    }
    await Deno.remove(made);
    return makeDirectory("/tmp");
  }
  let directory;
  try {
    const real = await Deno.realPath(parent).catch((error) => {
      checkLength(parent);
      throw error;
    });
    checkLength(real);
    directory = await Deno.makeTempDir({ dir: real });
  } catch (error) {
    throw inDirectory(parent, error);
  }
  return directory;
}

function checkLength(directory: string) {
  // As long as the name that makeTempDir() will choose.
  const example = `${directory}/${"0".repeat(16)}`;
  if (fits(example)) return;
  throw new RangeError(
    `its socket path would have ${
      socketPathLength(example)
    } bytes, and ${MAX_PATH_LENGTH} is the limit of the system`,
  );
}

function inDirectory(directory: string, error: unknown): unknown {
  if (error instanceof Error) {
    error.message =
      `Cannot make socket in directory "${directory}": ${error.message}`;
  }
  return error;
}

/** Where Deno makes temporary files, as far as this process may know. */
function defaultDirectory(): string {
  return environment("TMPDIR") ?? "/tmp";
}

function socketPath(directory: string): string {
  return `${directory}/s`;
}

function socketPathLength(directory: string): number {
  return new TextEncoder().encode(socketPath(directory)).length;
}

function fits(directory: string): boolean {
  return socketPathLength(directory) <= MAX_PATH_LENGTH;
}

async function listen(options: {
  directory?: string;
  transport?: "unix" | "tcp";
  uid?: number;
  gid?: number;
}): Promise<Endpoint> {
  const { transport = Deno.build.os === "windows" ? "tcp" : "unix" } = options;
  if (transport !== "tcp" && transport !== "unix") {
    throw new TypeError(
      `Cannot use transport: "${transport}" is neither "unix" nor "tcp"`,
    );
  }
  if (transport === "tcp") {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    log?.(`listening on 127.0.0.1:${port}`);
    return {
      listener,
      address: { port },
      directory: undefined,
      env: { [PORT_VARIABLE]: String(port), ...withoutPath() },
    };
  }
  const directory = await makeDirectory(options.directory);
  let listener;
  try {
    const path = socketPath(directory);
    listener = Deno.listen({ transport: "unix", path });
    log?.(`listening on ${path}`);
    const { uid = null, gid = null } = options;
    if (uid !== null || gid !== null) {
      await Deno.chown(path, uid, gid);
      await Deno.chown(directory, uid, gid);
    }
    return {
      listener,
      address: { path },
      directory,
      env: { [PATH_VARIABLE]: path },
    };
  } catch (error) {
    listener?.close();
    await removeDirectory(directory);
    throw error;
  }
}

/** This process may itself be a child that has not connected, whose path is not for its own. */
function withoutPath(): Record<string, string> {
  return environment(PATH_VARIABLE) === undefined
    ? {}
    : { [PATH_VARIABLE]: "" };
}

/** Whatever a child made of its socket's path meanwhile goes, too. */
async function removeDirectory(directory: string) {
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_LENGTH / 2)).toHex();
}

/** Compare in a time that does not tell where two tokens of the same length differ. */
function equalTokens(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (const [index, byte] of a.entries()) difference |= byte ^ (b[index] ?? 0);
  return difference === 0;
}

/** Write digits. No TextEncoder: to load Deno's would take a child 0.1 ms. */
async function writeAll(conn: Deno.Conn, text: string) {
  let bytes = Uint8Array.from(text, (digit) => digit.charCodeAt(0));
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

/** A connection whose token has not arrived as a whole. */
interface Handshake {
  /** When it began, in ms. */
  readonly start: number;
  /**
   * All but the last digit have come, and are right: no stranger. The start of a
   * sandboxed module sends that much, `connectToParent()` the rest.
   */
  isExpected: boolean;
  /** Take it off the list; `false` if it is not on it. */
  end(): boolean;
  drop(why: string): void;
}

/** Lets in whoever has the token, and nobody else. */
class Reception {
  /** Resolves to the connection that sent the token. */
  readonly admitted: Promise<Deno.Conn>;
  readonly #strangers: Error[] = [];
  readonly #endpoint: Endpoint;
  readonly #token: Uint8Array;
  readonly #marker = newToken();
  /** Whether the child is one that {@linkcode startModule} starts. */
  readonly #isForModule: boolean;
  readonly #admitted = Promise.withResolvers<Deno.Conn>();
  readonly #handshakes = new Set<Handshake>();
  readonly #accepting: Promise<void>;
  /** The connection that sent the token, until {@linkcode take} takes it. */
  #conn: Deno.Conn | undefined;
  #isAdmitted = false;
  #isClosed = false;
  /** Ends the wait for a free place. */
  #makeRoom = () => {};

  constructor(endpoint: Endpoint, token: string, isForModule = false) {
    this.#isForModule = isForModule;
    this.admitted = this.#admitted.promise;
    this.admitted.catch(() => {});
    this.#endpoint = endpoint;
    this.#token = new TextEncoder().encode(token);
    this.#accepting = this.#accept().catch(this.#admitted.reject);
  }

  /** Take the admitted connection over: it is the caller's to close. */
  take(): Deno.Conn | undefined {
    const conn = this.#conn;
    this.#conn = undefined;
    return conn;
  }

  /**
   * Resolves once all who have connected and sent their token before this call are in.
   * Connections are accepted in the order they were made: so make one, which is closed
   * when its turn has come.
   */
  async settled(): Promise<void> {
    let conn;
    try {
      conn = await connect(this.#endpoint.address);
      await writeAll(conn, this.#marker);
      await conn.read(new Uint8Array(1));
    } catch (error) {
      // The socket is gone, by the child's hand, or the wait is over.
      log?.(`could not look for a late connection: ${messageOf(error)}`);
    } finally {
      conn?.close();
    }
  }

  /**
   * Accept no more, and drop all but the connection that was taken.
   *
   * @returns Who was dropped, and why.
   */
  async close(): Promise<readonly Error[]> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#endpoint.listener.close();
      this.#makeRoom();
    }
    await this.#accepting;
    for (const handshake of this.#handshakes) {
      handshake.drop("the wait was over before it sent the token");
    }
    this.take()?.close();
    return this.#strangers;
  }

  async #accept() {
    // Ends when the listener is closed.
    for await (const conn of this.#endpoint.listener) {
      if (this.#handshakes.size >= MAX_HANDSHAKES) await this.#dropLongest();
      void this.#greet(conn);
    }
  }

  async #dropLongest() {
    const waited = performance.now() - (this.#findLongest()?.start ?? 0);
    if (waited < MIN_HANDSHAKE_TIMEOUT && !this.#isClosed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, MIN_HANDSHAKE_TIMEOUT - waited);
      this.#makeRoom = resolve;
      await promise;
      clearTimeout(timer);
    }
    if (this.#handshakes.size < MAX_HANDSHAKES) return;
    this.#findLongest()?.drop("too many connections were waiting");
  }

  #findLongest(): Handshake | undefined {
    return this.#handshakes.values().find(({ isExpected }) => !isExpected);
  }

  async #greet(conn: Deno.Conn) {
    const handshake: Handshake = {
      start: performance.now(),
      isExpected: false,
      end: () => {
        clearTimeout(timer);
        if (!this.#handshakes.delete(handshake)) return false;
        this.#makeRoom();
        return true;
      },
      drop: (why) => {
        if (!handshake.end()) return;
        conn.close();
        // A module that fails to load is no stranger.
        if (handshake.isExpected && this.#isForModule) return;
        this.#remember(new Error(`Dropped connection: ${why}`));
      },
    };
    const timer = setTimeout(
      () => handshake.drop(`no token came in ${HANDSHAKE_TIMEOUT} ms`),
      HANDSHAKE_TIMEOUT,
    );
    this.#handshakes.add(handshake);
    const bytes = new Uint8Array(TOKEN_LENGTH);
    try {
      for (let length = 0; length < TOKEN_LENGTH;) {
        const read = await conn.read(bytes.subarray(length));
        if (read === null) {
          return handshake.drop(
            `it closed after ${length} bytes of ${TOKEN_LENGTH}`,
          );
        }
        length += read;
        if (
          length === TOKEN_LENGTH - 1 && this.#equal(bytes, this.#token, length)
        ) {
          handshake.isExpected = true;
          clearTimeout(timer);
        }
      }
    } catch (error) {
      return handshake.drop(messageOf(error));
    }
    if (this.#equal(bytes, this.#token)) {
      // A second one with the token is a stranger too.
      if (this.#isAdmitted) return handshake.drop("the child is in");
      if (!handshake.end()) return;
      this.#isAdmitted = true;
      this.#conn = conn;
      this.#admitted.resolve(conn);
    } else if (this.#equal(bytes, new TextEncoder().encode(this.#marker))) {
      if (handshake.end()) conn.close();
    } else {
      handshake.drop("its token was wrong");
    }
  }

  #equal(a: Uint8Array, b: Uint8Array, length = TOKEN_LENGTH): boolean {
    return equalTokens(a.subarray(0, length), b.subarray(0, length));
  }

  #remember(error: Error) {
    log?.(`stranger: ${error.message}`);
    this.#strangers.push(error);
    if (this.#strangers.length > MAX_STRANGERS) this.#strangers.shift();
  }
}

/** Where an {@linkcode Endpoint} is: a path, or a port on 127.0.0.1. */
type Address = { path: string } | { port: number };

async function connect(address: Address): Promise<Deno.Conn> {
  if ("path" in address) {
    return await Deno.connect({ transport: "unix", path: address.path });
  }
  const { port } = address;
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay();
  return conn;
}

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
  const endpoint = await listen({ ...options, transport: "unix" });
  const token = newToken();
  const reception = new Reception(endpoint, token);
  let left: Deno.Conn | undefined;
  let right: Deno.Conn | undefined;
  try {
    left = await connect(endpoint.address);
    await writeAll(left, token);
    await reception.admitted;
    right = reception.take();
    await reception.close();
    await removeEndpoint(endpoint);
    if (right && isUnix(right) && isUnix(left)) return [left, right];
    throw new TypeError(
      "Cannot make socket pair: the connections are not Unix",
    );
  } catch (error) {
    left?.close();
    right?.close();
    await reception.close();
    await removeEndpoint(endpoint);
    throw error;
  }
}

function isUnix(conn: Deno.Conn): conn is Deno.UnixConn {
  return conn.localAddr.transport === "unix";
}

async function removeEndpoint(endpoint: Endpoint) {
  if (endpoint.directory === undefined) return;
  await removeDirectory(endpoint.directory);
  endpoint.directory = undefined;
}

/** A child process and the channel to it: what {@linkcode spawn} resolves to. */
export class Child<T> implements AsyncDisposable {
  /** The channel to the child. */
  readonly channel: Channel<T>;
  /** The process, with the streams that the options asked for. */
  readonly process: Deno.ChildProcess;
  /** Resolves when the process has exited. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #connection: DrainableConnection;
  readonly #gracePeriod: number;
  readonly #kill: (signal: Deno.Signal) => void;
  #closePromise: Promise<Deno.CommandStatus> | undefined;

  /** @internal Use {@linkcode spawn}. */
  constructor(
    channel: Channel<T>,
    process: Deno.ChildProcess,
    details: {
      connection: DrainableConnection;
      gracePeriod: number;
      kill: (signal: Deno.Signal) => void;
    },
  ) {
    this.channel = channel;
    this.process = process;
    this.#connection = details.connection;
    this.#gracePeriod = details.gracePeriod;
    this.#kill = details.kill;
    this.status = process.status;
  }

  /** The process id of the child. */
  get pid(): number {
    return this.process.pid;
  }

  /**
   * Send a signal to the child, or with `detached: true` to its process group. Nothing
   * happens if there is nobody left.
   *
   * @param signal The signal.
   * @throws {TypeError} If the system has no such signal.
   */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    this.#kill(signal);
  }

  /**
   * End the child: send no more messages, drop what still comes, and wait until it has
   * exited. After `gracePeriod` ms from this call, the sending of what is queued
   * included, it gets SIGTERM, and after as long again SIGKILL.
   *
   * A failure of the channel is not thrown here: it is in `channel.closed`.
   *
   * @returns How the child exited. Each call returns the same promise.
   * @throws {Deno.errors.PermissionDenied} If the child does not exit, and the system refuses
   * to signal it, since it has become another user's.
   */
  close(): Promise<Deno.CommandStatus> {
    return this.#closePromise ??= this.#close();
  }

  async #close(): Promise<Deno.CommandStatus> {
    const grace = Promise.withResolvers<void>();
    grace.promise.catch(() => {});
    // A child may have become another user's: then signals are refused.
    const signal = (signal: Deno.Signal) => {
      try {
        this.kill(signal);
      } catch (error) {
        grace.reject(error);
      }
    };
    const terminate = setTimeout(() => signal("SIGTERM"), this.#gracePeriod);
    const kill = setTimeout(() => {
      signal("SIGKILL");
      grace.resolve();
    }, 2 * this.#gracePeriod);
    try {
      this.#connection.drain();
      this.channel.close().catch(() => {});
      const status = await Promise.race([
        this.status,
        grace.promise.then(() => this.status),
      ]);
      // A process that the child started may hold its end of the channel, and never
      // end it: then the grace period does.
      await Promise.race([this.#connection.closed, grace.promise]);
      return status;
    } finally {
      clearTimeout(terminate);
      clearTimeout(kill);
      this.channel.abort(new Error("The child has exited"));
      this.#connection.destroy();
    }
  }

  /**
   * End the child at the end of an `await using` block, as {@linkcode Child.close}.
   *
   * @returns A promise that resolves when the child has exited.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function describe({ code, signal }: Deno.CommandStatus): string {
  return signal === null ? `code ${code}` : signal;
}

/**
 * A second connection beside the channel, in the same directory and with the same token:
 * the seam at which `descriptors.ts` joins in.
 *
 * @internal
 */
export interface Attachment {
  /** Variables that tell the child of it. */
  readonly env: Record<string, string>;
  /** Resolves when the child has connected. */
  connected(signal: AbortSignal): Promise<void>;
  /** Accept no more, and leave nothing in the directory. */
  dispose(): void | Promise<void>;
}

/**
 * {@linkcode spawn}, with a second connection.
 *
 * @internal
 */
export async function launch<T = Uint8Array<ArrayBuffer>>(
  command: string | URL,
  options: SpawnOptions<T>,
  attach?: (place: { directory: string; token: string }) => Attachment,
  argsForModule?: (address: Address) => string[],
): Promise<Child<T>> {
  const connectTimeout = delayOf(
    "connectTimeout",
    options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
  );
  const gracePeriod = delayOf(
    "gracePeriod",
    options.gracePeriod ?? DEFAULT_GRACE_PERIOD,
  );
  const { signal } = options;
  signal?.throwIfAborted();
  if (options.detached && !isHeld("run")) {
    throw new Deno.errors.NotCapable(
      "Cannot spawn detached child: signals to its process group require --allow-run in full",
    );
  }
  const endpoint = await listen(options);
  const token = newToken();
  const reception = new Reception(endpoint, token, argsForModule !== undefined);
  let attachment: Attachment | undefined;
  try {
    if (attach) {
      if (endpoint.directory === undefined) {
        throw new Deno.errors.NotSupported(
          "Cannot pass descriptors: the transport is not a Unix socket",
        );
      }
      attachment = attach({ directory: endpoint.directory, token });
    }
    const args = argsForModule?.(endpoint.address) ?? options.args ?? [];
    const process = start(command, { ...options, args }, {
      ...endpoint.env,
      ...attachment?.env,
      [TOKEN_VARIABLE]: token,
    });
    const kill = killer(process, options);
    process.status.then((status) =>
      log?.(`child ${process.pid} exited: ${describe(status)}`)
    );
    let channel: Channel<T> | undefined;
    try {
      const conn = await welcome(process, reception, {
        connectTimeout,
        signal,
        attachment,
      });
      const connection = new DrainableConnection(conn);
      channel = openChannel(connection, options);
      reception.take();
      log?.(`child ${process.pid} connected`);
      await reception.close();
      await removeEndpoint(endpoint);
      const child = new Child(channel, process, {
        connection,
        gracePeriod,
        kill,
      });
      if (signal) endOnAbort(child, signal);
      return child;
    } catch (error) {
      await reception.close();
      channel?.abort(error);
      await bury(process, kill, options);
      throw error;
    }
  } finally {
    await attachment?.dispose();
    await reception.close();
    await removeEndpoint(endpoint);
  }
}

function start<T>(
  command: string | URL,
  options: SpawnOptions<T>,
  env: Record<string, string>,
): Deno.ChildProcess {
  const { cwd, uid, gid } = options;
  const process = new Deno.Command(command, {
    args: options.args ?? [],
    env: { ...options.env, ...env, ...(log && { [DEBUG_VARIABLE]: "1" }) },
    clearEnv: options.clearEnv ?? false,
    stdin: options.stdin ?? "null",
    stdout: options.stdout ?? "inherit",
    stderr: options.stderr ?? "inherit",
    detached: options.detached ?? false,
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  }).spawn();
  log?.(`started child ${process.pid}`);
  return process;
}

/** Wait for the child to connect, unless it exits, takes too long or is not wanted. */
async function welcome(
  process: Deno.ChildProcess,
  reception: Reception,
  { connectTimeout, signal, attachment }: {
    connectTimeout: number;
    signal: AbortSignal | undefined;
    attachment: Attachment | undefined;
  },
): Promise<Deno.Conn> {
  const over = new AbortController();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  const { promise: late, resolve: onTimeout } = Promise.withResolvers<"late">();
  const timer = setTimeout(onTimeout, connectTimeout, "late");
  const attached = attachment?.connected(over.signal) ?? Promise.resolve();
  const connected = Promise.all([reception.admitted, attached])
    .then(([conn]) => conn);
  connected.catch(() => {});
  const waits = [connected, late, aborted.promise] as const;
  try {
    let outcome = await Promise.race([...waits, process.status]);
    if (typeof outcome === "object" && "code" in outcome) {
      // It may have connected before it exited.
      await Promise.race([reception.settled(), late, aborted.promise]);
      // The second time, too: the attachment looks once more before it heeds this.
      over.abort();
      const isAttached = await attached.then(() => true, () => false);
      if (isAttached) {
        outcome = await Promise.race([reception.admitted, outcome]);
      }
    }
    if (typeof outcome === "object" && "read" in outcome) return outcome;
    const strangers = await reception.close();
    throw outcome === "late"
      ? new ConnectError(
        `Cannot connect to child ${process.pid}: it did not connect in ${connectTimeout} ms`,
        { strangers },
      )
      : new ConnectError(
        `Cannot connect to child ${process.pid}: it exited with ${
          describe(outcome)
        } before it connected`,
        { status: outcome, strangers },
      );
  } catch (error) {
    over.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Sends signals to the child, or to its process group; to nobody once that is gone. */
function killer<T>(
  process: Deno.ChildProcess,
  { detached }: SpawnOptions<T>,
): (signal: Deno.Signal) => void {
  let exited = false;
  process.status.then(() => exited = true);
  return (signal) => {
    // A group may outlive the process that it is named after.
    if (exited && !detached) return;
    try {
      if (detached) Deno.kill(-process.pid, signal);
      else process.kill(signal);
    } catch (error) {
      // It may have exited, and this process not have been told yet.
      const isGone = error instanceof Deno.errors.NotFound ||
        (error instanceof TypeError && /terminated/.test(error.message));
      if (!isGone) throw error;
    }
  };
}

/** Kill a child that nobody will hear of, and free what belongs to it. */
async function bury<T>(
  process: Deno.ChildProcess,
  kill: (signal: Deno.Signal) => void,
  { stdin, stdout, stderr }: SpawnOptions<T>,
) {
  if (stdin === "piped") await process.stdin.abort();
  if (stdout === "piped") await process.stdout.cancel();
  if (stderr === "piped") await process.stderr.cancel();
  try {
    kill("SIGKILL");
  } catch (error) {
    // It has become another user's, and is left to itself: the caller hears why it is not
    // wanted, not this.
    log?.(`could not kill child ${process.pid}: ${messageOf(error)}`);
    process.unref();
    return;
  }
  await process.status;
}

function endOnAbort<T>(child: Child<T>, signal: AbortSignal) {
  const onAbort = () => {
    try {
      child.kill("SIGTERM");
    } catch (error) {
      // Nobody waits for this call: close() says it, if it comes to that.
      log?.(`could not signal child ${child.pid}: ${messageOf(error)}`);
    }
  };
  const forget = () => signal.removeEventListener("abort", onAbort);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  child.status.then(forget, forget);
}

/**
 * Start a program as a child process and connect to it.
 *
 * The child finds the path of a Unix socket in its environment variable `SOCKETPAIR_PATH`
 * and a token of 64 hexadecimal digits in `SOCKETPAIR_TOKEN`. It connects, writes the token,
 * and from then on both sides send frames. Over TCP the port on 127.0.0.1 is in
 * `SOCKETPAIR_PORT` instead.
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
 * @typeParam T What is sent and received.
 * @param command The program: a path, or a name to be found in `PATH`.
 * @param options The channel's options, and those of the process.
 * @returns The child, connected.
 * @throws {ConnectError} If the child exits before it connects, or does not connect in
 * `connectTimeout` ms, and is killed.
 * @throws {Deno.errors.NotFound} If there is no such command or directory.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {RangeError} If a number is out of its range, or `directory` is too long for the
 * path of a socket: 107 bytes on Linux, 103 on macOS.
 * @throws {Error} The reason of `signal`.
 */
export function spawn<T = Uint8Array<ArrayBuffer>>(
  command: string | URL,
  options: SpawnOptions<T> = {},
): Promise<Child<T>> {
  return launch(command, options);
}

/**
 * Connect to the process that started this one by {@linkcode spawn} or
 * {@linkcode spawnModule}.
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
 * @typeParam T What is sent and received.
 * @param options Framing, serialization and limits; they must be the parent's.
 * @returns The channel to the parent.
 * @throws {Error} If this process was not started so, or has connected already.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotFound} If the parent does not wait any more.
 */
export async function connectToParent<T = Uint8Array<ArrayBuffer>>(
  options: ChannelOptions<T> = {},
): Promise<Channel<T>> {
  const { conn, rest } = await takeConnection();
  try {
    const channel = openChannel(conn, options);
    await writeAll(conn, rest);
    log?.(`connected to parent`);
    return channel;
  } catch (error) {
    conn.close();
    throw error;
  }
}

/** A connection to the parent, and what is yet to be written of the token. */
interface Started {
  conn: Deno.Conn;
  rest: string;
}

function isStarted(value: unknown): value is Started {
  return typeof value === "object" && value !== null && "conn" in value &&
    "rest" in value;
}

async function takeConnection(): Promise<Started> {
  const started: unknown = Reflect.get(globalThis, CONNECTION_KEY);
  if (isStarted(started)) {
    Reflect.deleteProperty(globalThis, CONNECTION_KEY);
    return started;
  }
  const path = takeVariable(PATH_VARIABLE);
  const port = takeVariable(PORT_VARIABLE);
  const rest = takeVariable(TOKEN_VARIABLE);
  if (rest === undefined || (path ?? port) === undefined) {
    throw new Error(
      "Cannot connect to parent: SOCKETPAIR_PATH and SOCKETPAIR_TOKEN are not set: spawn() sets them, and they serve once",
    );
  }
  const conn = await connect(
    path === undefined ? { port: Number(port) } : { path },
  );
  return { conn, rest };
}

function takeVariable(name: string): string | undefined {
  const value = Deno.env.get(name);
  Deno.env.delete(name);
  return value || undefined;
}

/** Kinds of permission; each one's flag is `--allow-` and its name. */
const PERMISSION_NAMES = [
  "env",
  "ffi",
  "import",
  "net",
  "read",
  "run",
  "sys",
  "write",
] as const;

type PermissionName = typeof PERMISSION_NAMES[number];

/** What a child may do: of each kind, everything or a list. */
type Grants = Partial<Record<PermissionName, true | string[]>>;

/** How `deno run` starts a module. */
interface ModuleStart {
  flags: string[];
  env: Record<string, string>;
  main: string;
}

/**
 * Start a Deno module as a child process and connect to it. By default it may use its
 * socket, read the files in its own directory, and nothing else: neither while it runs
 * nor while it is loaded.
 *
 * What remains open to it: CPU and memory, its standard streams, packages that are
 * already in Deno's cache, and storage of its own (`localStorage`). The module finds
 * `import.meta.main` false. What it imports from elsewhere must be in Deno's cache
 * (`deno cache`). A symbolic link in its directory that leads out of it keeps it from
 * starting.
 *
 * Needs what {@linkcode spawn} needs.
 *
 * @example A child that may read one directory
 * ```ts
 * import { text } from "@socketpair/socketpair/channel";
 * import { spawnModule } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${directory}/child.ts`, `
 *   import { connectToParent, text } from "${import.meta.resolve("@socketpair/socketpair")}";
 *   const parent = await connectToParent({ serialization: text() });
 *   for await (const path of parent) {
 *     await parent.send(await Deno.readTextFile(path).catch((error) => error.name));
 *   }
 * `);
 * await Deno.mkdir(`${directory}/data`);
 * await Deno.writeTextFile(`${directory}/data/a.txt`, "taco cat");
 *
 * {
 *   await using child = await spawnModule(`${directory}/child.ts`, {
 *     serialization: text(),
 *     permissions: { read: [`${directory}/data`] },
 *   });
 *   await child.channel.send(`${directory}/data/a.txt`);
 *   assertEquals(await child.channel.receive(), "taco cat");
 *   await child.channel.send("/etc/hostname");
 *   assertEquals(await child.channel.receive(), "NotCapable");
 * }
 * await Deno.remove(directory, { recursive: true });
 * ```
 *
 * @typeParam T What is sent and received.
 * @param specifier The module: a URL, or a path from the current directory of the parent.
 * @param options The channel's options, those of the process, and the child's permissions.
 * @returns The child, connected.
 * @throws {TypeError} If a path that must be granted holds a comma, which a flag cannot
 * express, or if `denoArgs` holds `-A`.
 * @throws {Deno.errors.NotSupported} In a compiled program, which has no `deno` to run a
 * module: use `spawn("deno", ...)` there.
 * @throws {Error} As {@linkcode spawn}.
 */
export async function spawnModule<T = Uint8Array<ArrayBuffer>>(
  specifier: string | URL,
  options: SpawnModuleOptions<T> = {},
): Promise<Child<T>> {
  if (Deno.build.standalone) {
    throw new Deno.errors.NotSupported(
      'Cannot spawn module: a compiled program has no deno to run it: use spawn("deno", ...)',
    );
  }
  const { denoArgs = [], permissions = "none" } = options;
  const all = denoArgs.find((arg) => arg === "-A" || arg === "--allow-all");
  if (all !== undefined) {
    throw new TypeError(
      `Cannot use ${all} in denoArgs: use permissions: "inherit" or an object`,
    );
  }
  const url = resolveSpecifier(specifier);
  const grants = grantsOf(permissions);
  const isTrusted = permissions === "inherit" &&
    PERMISSION_NAMES.every((name) => grants[name] === true);
  const { flags, env, main } = isTrusted
    ? { flags: [], env: {}, main: url.href }
    : await sandboxedStart(url, grants, denoArgs);
  return await launch(
    Deno.execPath(),
    { ...options, env: { ...options.env, ...env } },
    undefined,
    (address) => [
      "run",
      "--no-prompt",
      ...flags,
      ...permissionFlags(grants, address),
      ...denoArgs,
      main,
      ...options.args ?? [],
    ],
  );
}

function resolveSpecifier(specifier: string | URL): URL {
  if (specifier instanceof URL) return specifier;
  // A drive letter is no scheme.
  return URL.canParse(specifier) && !/^[A-Za-z]:[\\/]/.test(specifier)
    ? new URL(specifier)
    : nodeUrl().pathToFileURL(nodePath().resolve(specifier));
}

/** Whether this process holds a kind of permission in full. */
function isHeld(name: PermissionName): boolean {
  const { state, partial } = Deno.permissions.querySync({ name });
  return state === "granted" && !partial;
}

/**
 * A module that is not trusted with everything; `grants` is completed. Deno's permissions
 * bind a module once it runs, not how it
 * is loaded, and its flags have gaps. So it is imported, through a variable, by a `data:`
 * module ({@linkcode startModule}), for then Deno checks each local file of its graph and
 * ignores configuration beside it; and each flag here closes a way out that was tried
 * (tests/sandbox).
 */
async function sandboxedStart(
  url: URL,
  grants: Grants,
  denoArgs: string[],
): Promise<ModuleStart> {
  const directory = url.protocol === "file:"
    ? nodePath().dirname(nodeUrl().fileURLToPath(url))
    : undefined;
  if (grants.read !== true) {
    grants.read = [
      ...grants.read ?? [],
      ...directory === undefined ? [] : [directory],
      ...ownFiles(),
    ];
  }
  // --cached-only lets `import(url, { with: { type: "text" } })` fetch from everywhere.
  const hosts = [url.href, import.meta.url].flatMap(remoteHost);
  if (grants.import !== true) {
    grants.import = [...grants.import ?? [], ...new Set(hosts)];
  }
  const noImport = grants.import !== true && grants.import.length === 0;
  const code = `await (${startModule})(${
    JSON.stringify({
      specifier: url.href,
      directory,
      key: CONNECTION_KEY.description,
    })
  });`;
  return {
    flags: [
      "--cached-only",
      "--no-lock",
      ...await configFlags(denoArgs),
      // The parent's configuration may say to write node_modules and to run scripts.
      "--node-modules-dir=none",
      "--vendor=false",
      "--no-code-cache",
      // Otherwise the parent's localStorage and caches are the child's.
      `--location=http://${newToken().slice(0, 32)}.invalid/`,
      ...noImport ? ["--deny-import"] : [],
    ],
    env: {
      // An exporter of telemetry opens connections and reads files.
      OTEL_DENO: "false",
      DENO_CACHE_DB_MODE: "memory",
      DENO_KV_DB_MODE: "memory",
      // A host that may be imported from is otherwise one to send requests to.
      ...(!noImport && grants.net !== true && !grants.net?.length
        ? DEAD_PROXIES
        : {}),
    },
    main: `data:application/javascript,${encodeURIComponent(code)}`,
  };
}

const DEAD_PROXIES = {
  ...Object.fromEntries(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [
      [name, "http://127.0.0.1:0"],
      [name.toLowerCase(), "http://127.0.0.1:0"],
    ]),
  ),
  NO_PROXY: "",
  no_proxy: "",
};

function grantsOf(permissions: Deno.PermissionOptions): Grants {
  const grants: Grants = {};
  if (permissions === "none") return grants;
  for (const name of PERMISSION_NAMES) {
    const value = permissions === "inherit" ? permissions : permissions[name];
    if (value === true || (value === "inherit" && isHeld(name))) {
      grants[name] = true;
    } else if (Array.isArray(value)) {
      grants[name] = value.map((item) => grantOf(name, item));
    }
  }
  return grants;
}

function grantOf(name: PermissionName, value: string | URL): string {
  if (value instanceof URL && value.protocol === "file:") {
    return nodeUrl().fileURLToPath(value);
  }
  // The child may have another current directory.
  return name === "read" || name === "write" || name === "ffi"
    ? nodePath().resolve(String(value))
    : String(value);
}

/** What a child imports of this package, if it is on this machine. */
function ownFiles(): string[] {
  const floors = ["framing", "channel", "pair", "descriptors"];
  return ["mod.ts", ...floors.flatMap((name) => [`${name}.ts`, name])]
    .map((name) => import.meta.resolve(`./${name}`))
    .filter((url) => url.startsWith("file:"))
    .map((url) => nodeUrl().fileURLToPath(url));
}

/** Where a module is loaded from, with the port: nothing if from this machine. */
function remoteHost(href: string): string[] {
  const { protocol, hostname, port } = new URL(href);
  switch (protocol) {
    case "https:":
      return [`${hostname}:${port || 443}`];
    case "http:":
      return [`${hostname}:${port || 80}`];
    case "jsr:":
      return ["jsr.io:443"];
  }
  return [];
}

/** The configuration nearest above the main module of this process. */
async function configFlags(denoArgs: string[]): Promise<string[]> {
  const isConfig = /^(--config|-c|--no-config)(=|$)/;
  if (denoArgs.some((arg) => isConfig.test(arg))) return [];
  if (!Deno.mainModule.startsWith("file:")) return ["--no-config"];
  let directory = nodePath().dirname(nodeUrl().fileURLToPath(Deno.mainModule));
  while (true) {
    for (const name of ["deno.json", "deno.jsonc"]) {
      const path = nodePath().resolve(directory, name);
      if (await isFile(path)) return [`--config=${path}`];
    }
    const parent = nodePath().dirname(directory);
    if (parent === directory) return ["--no-config"];
    directory = parent;
  }
}

/** Whether a file is there, and this process may know. */
async function isFile(path: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "read", path });
  if (state !== "granted") return false;
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The flags of `deno run` for a child that may also use its socket. */
function permissionFlags(grants: Grants, address: Address): string[] {
  const socket: Grants = "path" in address
    ? {
      net: [`unix:${address.path}`],
      read: [address.path],
      write: [address.path],
    }
    : { net: [`127.0.0.1:${address.port}`] };
  const variables = [PATH_VARIABLE, PORT_VARIABLE, TOKEN_VARIABLE];
  socket.env = log ? [...variables, DEBUG_VARIABLE] : variables;
  return PERMISSION_NAMES.flatMap((name) => {
    const granted = grants[name] ?? [];
    if (granted === true) return [`--allow-${name}`];
    const own = socket[name] ?? [];
    const list = own === true ? granted : [...granted, ...own];
    for (const item of list) {
      if (item.includes(",")) {
        throw new TypeError(
          `Cannot grant ${name} access to "${item}": a flag of deno cannot express a comma`,
        );
      }
    }
    return list.length > 0 ? [`--allow-${name}=${list.join(",")}`] : [];
  });
}

/**
 * Runs in the child, from a `data:` module: it holds only what is written here. It
 * connects and gives up the right to, so that the socket's path, which the child could
 * else make a directory of, is out of reach; then it imports the module.
 */
async function startModule(
  module: { specifier: string; directory?: string; key: string },
): Promise<void> {
  const path = Deno.env.get("SOCKETPAIR_PATH");
  const port = Number(Deno.env.get("SOCKETPAIR_PORT"));
  const token = Deno.env.get("SOCKETPAIR_TOKEN") ?? "";
  let conn;
  if (path) {
    conn = await Deno.connect({ transport: "unix", path });
    Deno.permissions.revokeSync({ name: "net", host: `unix:${path}` });
    // Revoking drops each wider grant that covers the path, too. Where there is one,
    // there is nothing to be gained.
    const directory = path.slice(0, path.lastIndexOf("/"));
    for (const name of ["read", "write"] as const) {
      const wider = Deno.permissions.querySync({ name, path: directory });
      if (wider.state !== "granted") {
        Deno.permissions.revokeSync({ name, path });
      }
    }
  } else {
    conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay();
    const wider = Deno.permissions.querySync({
      name: "net",
      host: "127.0.0.1",
    });
    if (wider.state !== "granted") {
      Deno.permissions.revokeSync({ name: "net", host: `127.0.0.1:${port}` });
    }
  }
  for (const name of ["PATH", "PORT", "TOKEN"]) {
    const variable = `SOCKETPAIR_${name}`;
    Deno.env.delete(variable);
    Deno.permissions.revokeSync({ name: "env", variable });
  }
  // The parent waits for the last digit, which connectToParent() sends.
  const bytes = new TextEncoder().encode(token.slice(0, -1));
  for (let sent = 0; sent < bytes.length;) {
    sent += await conn.write(bytes.subarray(sent));
  }
  Reflect.set(globalThis, Symbol.for(module.key), {
    conn,
    rest: token.slice(-1),
  });

  // Deno follows symbolic links out of a directory that may be read.
  if (module.directory !== undefined) {
    const root = Deno.realPathSync(module.directory);
    const inside = root.endsWith("/") ? root : `${root}/`;
    const leadsInside = (path: string) => {
      try {
        return `${Deno.realPathSync(path)}/`.startsWith(inside);
      } catch {
        return false;
      }
    };
    // By the path that is granted: the real one may be another.
    const directories = [module.directory];
    for (const directory of directories) {
      let entries;
      try {
        entries = [...Deno.readDirSync(directory)];
      } catch (error) {
        // What this user cannot read, the module cannot either.
        if (error instanceof Deno.errors.PermissionDenied) continue;
        throw error;
      }
      for (const { name, isDirectory, isSymlink } of entries) {
        const path = `${directory}/${name}`;
        if (isDirectory) directories.push(path);
        if (isSymlink && !leadsInside(path)) {
          throw new Deno.errors.NotCapable(
            `Cannot start module: the symbolic link ${path} leads out of its directory, or nowhere`,
          );
        }
      }
    }
  }
  await import(module.specifier);
}
