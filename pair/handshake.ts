/**
 * How the two ends find each other: the child connects and writes the token, 64 hexadecimal
 * digits. The parent accepts the connection that does so, and no other.
 *
 * - 63 digits and one: a child in the sandbox connects before its module is loaded, because it
 *   then gives up the permission to connect. It writes all digits but the last one, and
 *   `connectToParent()` writes that one. So `spawnModule()` waits for the module's call, and a
 *   connection that has written 63 correct digits may take as long as the module takes to load.
 *   If such a connection closes, the module failed to load.
 * - The reason: if the module cannot be started, the child writes `!` in place of the last
 *   digit, then the reason, as UTF-8, and closes.
 * - The marker: a child may connect, write the token and exit before the parent has accepted its
 *   connection. Connections are accepted in the order in which they were made. So when the
 *   child has exited, the parent connects to itself and writes a marker in place of the token:
 *   when the marker has arrived, so has every token that was written before it.
 *
 * @module
 */

import { markHandled } from "../channel/waiting.ts";
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
import { ANSI_COLOR } from "./pipes.ts";
import { within } from "./waiting.ts";

/** A token in hexadecimal digits: 256 bits. */
const TOKEN_LENGTH = 64;

/** How long a connection may take to send its token, in ms. */
const HANDSHAKE_TIMEOUT = 5_000;

/** How many connections may be without a token; for another one, the oldest is dropped. */
const MAX_HANDSHAKES = 64;

/** How long a connection may take even so, in ms. */
const MIN_HANDSHAKE_TIMEOUT = 100;

/** How many dropped connections `ConnectError.strangers` has. */
const MAX_STRANGERS = 1_000;

/** How many bytes of a reason are read. */
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

/** Read a reason to its end, as one line that is safe to print. */
async function readReason(conn: Deno.Conn): Promise<string> {
  const bytes = new Uint8Array(MAX_REASON_LENGTH);
  let length = 0;
  while (length < bytes.length) {
    const read = await conn.read(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return new TextDecoder().decode(bytes.subarray(0, length))
    .replace(ANSI_COLOR, "")
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}]/gu, "\uFFFD")
    .trim();
}

/** Where a {@linkcode HandshakeServer} listens. */
export interface Endpoint<Conn = Deno.Conn, At extends Address = Address> {
  readonly listener: AsyncIterable<Conn> & { close(): void };
  readonly address: At;
  /** The directory of the socket; TCP needs none. */
  readonly directory?: string;
}

/** Whether these are all digits of a token but the last, alone or with the mark of a reason. */
function isTokenStart(digits: Uint8Array, token: Uint8Array): boolean {
  const length = TOKEN_LENGTH - 1;
  return (digits.length === length || digits[length] === REASON_MARK) &&
    equalTokens(digits.subarray(0, length), token.subarray(0, length));
}

/** A connection that has not sent the whole token. */
interface Handshake extends PromiseWithResolvers<void> {
  /** When it began, in ms. */
  readonly start: number;
  /** Whether it has sent all digits but the last, and they are right. */
  isExpected: boolean;
  drop(why: string): void;
}

/** Accepts connections, and admits the first one that sends the token. */
export class HandshakeServer<Conn extends Deno.Conn = Deno.Conn>
  implements AsyncDisposable {
  readonly token = newToken();
  /** Resolves to the connection that sent the token. */
  readonly admitted: Promise<Conn>;
  readonly #endpoint: Endpoint<Conn>;
  readonly #isForModule: boolean;
  readonly #marker = newToken();
  readonly #strangers: Error[] = [];
  readonly #admitted = Promise.withResolvers<Conn>();
  /** The oldest first. */
  readonly #handshakes = new Set<Handshake>();
  readonly #accepting: Promise<void>;
  /** The connection that sent the token, until {@linkcode take} takes it. */
  #conn: Conn | undefined;
  #isAdmitted = false;
  #isStopped = false;
  #isClosed = false;
  /** Why the module was not started; pending from 63 correct digits to the end of the handshake. */
  #reason: PromiseWithResolvers<string | undefined> | undefined;

  /**
   * @param endpoint Where to listen.
   * @param isForModule Whether the child is a module, which may send a reason.
   */
  constructor(endpoint: Endpoint<Conn>, isForModule = false) {
    this.#endpoint = endpoint;
    this.#isForModule = isForModule;
    this.admitted = markHandled(this.#admitted.promise);
    this.#accepting = this.#accept().catch(this.#admitted.reject);
  }

  /** Take over the admitted connection, which {@linkcode stop} would close. */
  take(): Conn | undefined {
    const conn = this.#conn;
    this.#conn = undefined;
    return conn;
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
    if (this.#reason) return await within(REASON_TIMEOUT, this.#reason.promise);
  }

  /**
   * Accept no more, and drop all connections but the one that was taken.
   *
   * @returns Why each one was dropped.
   */
  async stop(): Promise<readonly Error[]> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#endpoint.listener.close();
    }
    await this.#accepting;
    for (const handshake of this.#handshakes) {
      handshake.drop("the wait was over before it sent the token");
    }
    this.take()?.close();
    return this.#strangers;
  }

  /** Stop, and remove the directory. */
  async close(): Promise<void> {
    await this.stop();
    const { directory } = this.#endpoint;
    if (directory === undefined || this.#isClosed) return;
    await removeDirectory(directory);
    this.#isClosed = true;
  }

  /** Close; the error that ended the block is more important than one of this. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch((error) => log?.(messageOf(error)));
  }

  async #accept() {
    // Ends when the listener is closed.
    for await (const conn of this.#endpoint.listener) {
      if (this.#handshakes.size >= MAX_HANDSHAKES) await this.#dropOldest();
      void this.#handshake(conn);
    }
  }

  async #dropOldest() {
    const oldest = this.#oldest();
    const age = performance.now() - (oldest?.start ?? 0);
    if (oldest && age < MIN_HANDSHAKE_TIMEOUT) {
      await within(MIN_HANDSHAKE_TIMEOUT - age, oldest.promise);
    }
    if (this.#handshakes.size < MAX_HANDSHAKES) return;
    this.#oldest()?.drop("too many connections were waiting");
  }

  #oldest(): Handshake | undefined {
    return this.#handshakes.values().find(({ isExpected }) => !isExpected);
  }

  async #handshake(conn: Conn) {
    const end = () => {
      clearTimeout(timer);
      handshake.resolve();
      return this.#handshakes.delete(handshake);
    };
    const handshake: Handshake = {
      ...Promise.withResolvers<void>(),
      start: performance.now(),
      isExpected: false,
      drop: (why) => {
        if (!end()) return;
        conn.close();
        // A module that failed to load is no stranger.
        if (handshake.isExpected && this.#isForModule) {
          this.#reason?.resolve(undefined);
        } else this.#remember(new Error(`Dropped connection: ${why}`));
      },
    };
    const timer = setTimeout(
      () => handshake.drop(`no token came in ${HANDSHAKE_TIMEOUT} ms`),
      HANDSHAKE_TIMEOUT,
    );
    this.#handshakes.add(handshake);
    const encoder = new TextEncoder();
    const token = encoder.encode(this.token);
    const digits = new Uint8Array(TOKEN_LENGTH);
    try {
      for (let length = 0; length < TOKEN_LENGTH;) {
        const read = await conn.read(digits.subarray(length));
        if (read === null) {
          return handshake.drop(
            `it closed after ${length} bytes of ${TOKEN_LENGTH}`,
          );
        }
        length += read;
        if (isTokenStart(digits.subarray(0, length), token)) {
          handshake.isExpected = true;
          clearTimeout(timer);
          this.#reason ??= Promise.withResolvers();
        }
      }
      const hasReason = this.#isForModule && handshake.isExpected &&
        digits.at(-1) === REASON_MARK;
      if (hasReason) this.#reason?.resolve(await readReason(conn));
    } catch (error) {
      return handshake.drop(messageOf(error));
    }
    if (equalTokens(digits, token)) {
      // A second connection with the token is a stranger, too.
      if (this.#isAdmitted) return handshake.drop("the child is connected");
      if (!end()) return;
      this.#isAdmitted = true;
      this.#conn = conn;
      this.#admitted.resolve(conn);
    } else if (equalTokens(digits, encoder.encode(this.#marker))) {
      if (end()) conn.close();
    } else {
      handshake.drop("its token was wrong");
    }
  }

  #remember(error: Error) {
    log?.(`stranger: ${error.message}`);
    this.#strangers.push(error);
    if (this.#strangers.length > MAX_STRANGERS) this.#strangers.shift();
  }
}
