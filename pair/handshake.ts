/**
 * The parent's half of the handshake: it admits the connection that writes the token, 64
 * hexadecimal digits.
 *
 * - A child in the sandbox connects before its module is loaded, and then gives up the permission
 *   to connect. It writes 63 digits; `connectToParent()` writes the last one. If the module cannot
 *   be started, the child writes `!` in its place, then the reason, as UTF-8, and closes.
 * - A child may exit before the parent has accepted its connection. Connections are accepted in
 *   their order, so the parent then connects to itself and writes a marker: when that has arrived,
 *   so has every token written before.
 */

import { markHandled } from "../channel/waiters.ts";
import { removeDirectory } from "./directory.ts";
import {
  type Address,
  connect,
  isOutOfDescriptors,
  log,
  messageOf,
  REASON_MARK,
  writeToken,
} from "./environment.ts";
import { ConnectError, describeStatus } from "./errors.ts";
import { ANSI_COLOR } from "./pipes.ts";
import type { Admission } from "./launch.ts";
import type { StartedProcess } from "./process.ts";
import { within } from "./time_limits.ts";

/** A token in hexadecimal digits: 256 bits. */
const TOKEN_LENGTH = 64;

/** How long a connection may take to send its token, in ms. */
const HANDSHAKE_TIMEOUT = 5_000;

/** How many connections may be without a token. */
const MAX_HANDSHAKES = 64;

/** How long they may take if there is another one, in ms; then all but the expected are dropped. */
const CROWDED_TIMEOUT = 100;

/** How many dropped connections `ConnectError.strangers` has. */
const MAX_STRANGERS = 1_000;

const MAX_REASON_LENGTH = 4_096;

/** How long the reason of a child that has exited may take to arrive, in ms. */
const REASON_TIMEOUT = 1_000;

function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_LENGTH / 2)).toHex();
}

/** Compare two tokens in a time that depends only on their lengths. */
export function equalTokens(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (const [index, byte] of a.entries()) difference |= byte ^ (b[index] ?? 0);
  return difference === 0;
}

export interface Handshaking {
  read(buffer: Uint8Array): Promise<number | null>;
  close(): void | Promise<void>;
}

async function fill(conn: Handshaking, buffer: Uint8Array, from = 0) {
  for (let length = from; length < buffer.length;) {
    const read = await conn.read(buffer.subarray(length));
    if (read === null) {
      throw new Error(`it closed after ${length} bytes of ${TOKEN_LENGTH}`);
    }
    length += read;
  }
}

/** Read a reason to its end, as one line that is safe to print. */
async function readReason(conn: Handshaking): Promise<string> {
  const bytes = new Uint8Array(MAX_REASON_LENGTH);
  // The rest stays zero.
  await fill(conn, bytes).catch(() => {});
  return new TextDecoder().decode(bytes)
    .replace(/\0+$/, "")
    .replace(ANSI_COLOR, "")
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}]/gu, "\uFFFD")
    .trim();
}

export interface Endpoint<Conn = Deno.Conn> {
  readonly listener: AsyncIterable<Conn> & { close(): void };
  readonly address: Address;
  /** The directory of the socket; TCP needs none. */
  readonly directory?: string;
}

/** Accepts connections, and admits the first one that sends the token. */
export class HandshakeServer<Conn extends Handshaking = Deno.Conn>
  implements AsyncDisposable {
  readonly token: string;
  /** Resolves to the connection that sent the token. */
  readonly admitted: Promise<Conn>;
  /** Why other connections were dropped; at most 1000. */
  readonly strangers: Error[] = [];
  readonly #endpoint: Endpoint<Conn>;
  readonly #marker = newToken();
  readonly #admitted = Promise.withResolvers<Conn>();
  /** Connections without a token, the oldest first, and when each is dropped. */
  readonly #handshakes = new Map<Conn, ReturnType<typeof setTimeout>>();
  /** The connection that has sent all digits but the last. */
  #expected: Conn | undefined;
  /** Resolves when the handshake of that connection has ended, to the reason that it sent. */
  readonly #reason = Promise.withResolvers<string | undefined>();
  readonly #accepting: Promise<void>;
  #conn: Conn | undefined;
  /** Resolves when the dropped connections are closed. */
  #dropped: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(endpoint: Endpoint<Conn>, token = newToken()) {
    this.#endpoint = endpoint;
    this.token = token;
    this.admitted = markHandled(this.#admitted.promise);
    this.#accepting = this.#accept().catch(this.#admitted.reject);
  }

  /** Resolves when every token that was sent before this call has been looked at. */
  async acceptBacklog(): Promise<void> {
    let conn;
    try {
      conn = await connect(this.#endpoint.address);
      await writeToken(conn, this.#marker);
      // It is not answered if the parent has failed to accept.
      await Promise.race([conn.read(new Uint8Array(1)), this.#accepting]);
      await Promise.race([this.admitted, undefined]);
    } catch (error) {
      if (isOutOfDescriptors(error)) throw error;
      // The child has removed the socket, or the wait is over.
      log?.(`could not look for a late connection: ${messageOf(error)}`);
    } finally {
      conn?.close();
    }
  }

  /** Resolves to the reason why the module of a child that has exited was not started. */
  async reason(): Promise<string | undefined> {
    if (!this.#expected) return;
    return await within(REASON_TIMEOUT, this.#reason.promise);
  }

  /** Drop all connections but one that was admitted, and remove the directory. */
  close(kept?: Conn): Promise<void> {
    return this.#closing ??= this.#close(kept);
  }

  async #close(kept?: Conn) {
    const { listener, directory } = this.#endpoint;
    listener.close();
    await this.#accepting;
    this.#dropAll("the wait was over before it sent the token");
    if (this.#expected) this.#drop(this.#expected, "the wait was over");
    if (!kept) await this.#conn?.close();
    await this.#dropped;
    if (directory !== undefined) await removeDirectory(directory);
  }

  /** Close; the error that ended the block is more important than one of this. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch((error) => log?.(messageOf(error)));
  }

  async #accept() {
    // Ends when the listener is closed.
    for await (const conn of this.#endpoint.listener) {
      if (this.#handshakes.size >= MAX_HANDSHAKES) {
        await within(CROWDED_TIMEOUT);
        this.#dropAll("too many connections were waiting");
      }
      void this.#handshake(conn);
    }
  }

  async #handshake(conn: Conn) {
    const late = `no token came in ${HANDSHAKE_TIMEOUT} ms`;
    const timer = setTimeout(() => this.#drop(conn, late), HANDSHAKE_TIMEOUT);
    this.#handshakes.set(conn, timer);
    const encoder = new TextEncoder();
    const token = encoder.encode(this.token);
    const digits = new Uint8Array(TOKEN_LENGTH);
    try {
      const most = digits.subarray(0, -1);
      await fill(conn, most);
      if (equalTokens(most, token.subarray(0, -1))) {
        clearTimeout(timer);
        this.#expected ??= conn;
      }
      await fill(conn, digits, most.length);
      if (equalTokens(digits, token)) {
        // A second connection with the token is a stranger, too.
        if (this.#conn) throw new Error("the child is connected");
        if (this.#end(conn)) this.#admitted.resolve(this.#conn = conn);
        this.#reason.resolve(undefined);
      } else if (equalTokens(digits, encoder.encode(this.#marker))) {
        this.#drop(conn);
      } else if (
        conn === this.#expected && digits.at(-1) === REASON_MARK.charCodeAt(0)
      ) {
        this.#reason.resolve(await readReason(conn));
        this.#drop(conn);
      } else {
        throw new Error("its token was wrong");
      }
    } catch (error) {
      this.#drop(conn, messageOf(error));
    }
  }

  #end(conn: Conn): boolean {
    clearTimeout(this.#handshakes.get(conn));
    return this.#handshakes.delete(conn);
  }

  #dropAll(why: string) {
    for (const conn of this.#handshakes.keys()) {
      if (conn !== this.#expected) this.#drop(conn, why);
    }
  }

  /** Close a connection; with a reason it is a stranger. */
  #drop(conn: Conn, why?: string) {
    if (!this.#end(conn)) return;
    this.#dropped = Promise.all([this.#dropped, conn.close()]);
    if (conn === this.#expected) this.#reason.resolve(undefined);
    if (why === undefined) return;
    const error = new Error(`Dropped connection: ${why}`);
    log?.(`stranger: ${error.message}`);
    this.strangers.push(error);
    if (this.strangers.length > MAX_STRANGERS) this.strangers.shift();
  }
}

/** Wait until the child connects, exits, takes too long, or is no longer wanted. */
export async function waitForConnection(
  started: StartedProcess,
  servers: readonly [HandshakeServer, ...Admission[]],
  { connectTimeout, signal }: {
    connectTimeout: number;
    signal?: AbortSignal | undefined;
  },
): Promise<Deno.Conn> {
  const [server] = servers;
  let isOver = false;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  const connected = markHandled(
    Promise.all(servers.map(({ admitted }) => admitted))
      .then(() => server.admitted),
  );
  const exited = markHandled(started.exited.then(async () => {
    if (isOver) return null;
    // It may have connected before it exited.
    await Promise.all(servers.map((server) => server.acceptBacklog()));
    return await within(0, connected) ?? null;
  }));
  try {
    const conn = await within(
      connectTimeout,
      connected,
      exited,
      aborted.promise,
    );
    if (conn) return conn;
    const { name, pid, status } = started;
    const reason = conn === null && await server.reason();
    const how = conn === undefined
      ? `did not connect in ${connectTimeout} ms`
      : `exited${
        status ? ` with ${describeStatus(status)}` : ""
      } before it connected`;
    const why = reason ||
      (conn === undefined || status?.success) &&
        "does it call connectToParent()?";
    // Another error while closing is less important.
    for (const server of servers) await server[Symbol.asyncDispose]();
    throw new ConnectError(
      `Cannot start ${name} (child ${pid}): it ${how}${why ? `: ${why}` : ""}`,
      {
        strangers: servers.flatMap(({ strangers }) => strangers),
        status: conn === null ? status : undefined,
      },
    );
  } finally {
    isOver = true;
    signal?.removeEventListener("abort", onAbort);
  }
}
