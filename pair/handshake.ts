/**
 * How the two ends find each other: the child connects and writes the token, 64 hexadecimal
 * digits. The parent lets in the connection that does, and no other.
 *
 * - 63 digits and one: a sandboxed child connects before its module is loaded, as it gives
 *   up the right to connect by then. It writes all digits but the last one, and
 *   `connectToParent()` writes that. So `spawnModule()` waits for the module's call, a
 *   connection that has written 63 right digits may take as long as the module takes to load,
 *   and if it closes it is no stranger, but a module that failed to load.
 * - The reason: if the module cannot be started, the child writes `!` in place of the last
 *   digit, then why, as UTF-8, and closes. Only who has written 63 right digits is believed.
 * - The marker connection: a child may connect, write the token and exit before the parent
 *   has accepted its connection. Connections are accepted in the order they were made. So,
 *   when the child has exited, the parent connects to itself and writes a marker in place
 *   of the token: when the marker has come, so has every token that was written before it.
 *
 * @module
 */

import { within } from "./connection.ts";
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
import type { LaunchHooks } from "./hooks.ts";

/** A token in hexadecimal digits: 256 bits. */
const TOKEN_LENGTH = 64;

/** How long a connection may take to send its token, in ms. */
const HANDSHAKE_TIMEOUT = 5_000;

/** Handshakes under way at once; for one more, the one that waits longest is dropped. */
const MAX_HANDSHAKES = 64;

/** How long a connection is left to send its token even so, in ms. */
const MIN_HANDSHAKE_TIMEOUT = 100;

/** Strangers that are remembered for `ConnectError.strangers`. */
const MAX_STRANGERS = 1_000;

/** Bytes of a reason that are read. */
const MAX_REASON_LENGTH = 4_096;

/** Deno's messages are colored. */
// deno-lint-ignore no-control-regex -- a color begins with one
const ANSI_COLOR = /\x1b\[[0-9;]*m/g;

/** How long an exited child's reason may take to arrive, in ms. */
const REASON_TIMEOUT = 1_000;

function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_LENGTH / 2)).toHex();
}

/** Compare in a time that does not tell where two tokens of the same length differ. */
export function equalTokens(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (const [index, byte] of a.entries()) difference |= byte ^ (b[index] ?? 0);
  return difference === 0;
}

/** Read a reason to its end, as one line that a terminal can bear. */
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
export interface Endpoint<Conn = Deno.Conn, At = Address> {
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

/** A connection whose token has not arrived as a whole. */
interface Handshake {
  /** When it began, in ms. */
  readonly start: number;
  /** Whether all digits but the last have come and are right. */
  isExpected: boolean;
  /** Take it off the list; `false` if it is not on it. */
  end(): boolean;
  drop(why: string): void;
}

/** Accepts connections, and lets in the first one that sends the token. */
export class HandshakeServer<Conn extends Deno.Conn = Deno.Conn> {
  readonly token = newToken();
  /** Resolves to the connection that sent the token. */
  readonly admitted: Promise<Conn>;
  readonly #endpoint: Endpoint<Conn>;
  readonly #isForModule: boolean;
  readonly #marker = newToken();
  readonly #strangers: Error[] = [];
  readonly #admitted = Promise.withResolvers<Conn>();
  /** The longest waiting first. */
  readonly #handshakes = new Set<Handshake>();
  readonly #accepting: Promise<void>;
  /** The connection that sent the token, until {@linkcode take} takes it. */
  #conn: Conn | undefined;
  #isAdmitted = false;
  #isClosed = false;
  #isRemoved = false;
  /** Ends the wait for a free place. */
  #onFreePlace = () => {};
  /** Why the module was not started; pending from 63 right digits to the end of its handshake. */
  #reason: PromiseWithResolvers<string | undefined> | undefined;

  constructor(endpoint: Endpoint<Conn>, hooks?: LaunchHooks) {
    this.#endpoint = endpoint;
    this.#isForModule = hooks?.argsFor !== undefined;
    this.admitted = this.#admitted.promise;
    this.admitted.catch(() => {});
    this.#accepting = this.#accept().catch(this.#admitted.reject);
  }

  /** Take the admitted connection over: it is the caller's to close. */
  take(): Conn | undefined {
    const conn = this.#conn;
    this.#conn = undefined;
    return conn;
  }

  /** Resolves once all who connected and sent their token before this call are in. */
  async acceptBacklog(): Promise<void> {
    let conn;
    try {
      conn = await connect(this.#endpoint.address);
      await writeToken(conn, this.#marker);
      // It is not answered where the parent has failed to accept.
      await Promise.race([conn.read(new Uint8Array(1)), this.#accepting]);
      await Promise.race([this.#admitted.promise, undefined]);
    } catch (error) {
      if (isOutOfDescriptors(error)) throw error;
      // The child has removed the socket, or the wait is over.
      log?.(`could not look for a late connection: ${messageOf(error)}`);
    } finally {
      conn?.close();
    }
  }

  /** Why the module of a child that has exited was not started, if it said so. */
  async reason(): Promise<string | undefined> {
    if (this.#reason) return await within(REASON_TIMEOUT, this.#reason.promise);
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
      this.#onFreePlace();
    }
    await this.#accepting;
    for (const handshake of this.#handshakes) {
      handshake.drop("the wait was over before it sent the token");
    }
    this.take()?.close();
    return this.#strangers;
  }

  /** Close, and remove the directory. */
  async remove(): Promise<void> {
    await this.close();
    const { directory } = this.#endpoint;
    if (directory === undefined || this.#isRemoved) return;
    await removeDirectory(directory);
    this.#isRemoved = true;
  }

  /** Remove where something has failed already: that is what the caller hears of. */
  async discard(): Promise<void> {
    await this.remove().catch((error) => log?.(messageOf(error)));
  }

  async #accept() {
    // Ends when the listener is closed.
    for await (const conn of this.#endpoint.listener) {
      if (this.#handshakes.size >= MAX_HANDSHAKES) await this.#dropLongest();
      void this.#handshake(conn);
    }
  }

  async #dropLongest() {
    const waited = performance.now() - (this.#findLongest()?.start ?? 0);
    if (waited < MIN_HANDSHAKE_TIMEOUT && !this.#isClosed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onFreePlace = resolve;
      await within(MIN_HANDSHAKE_TIMEOUT - waited, promise);
    }
    if (this.#handshakes.size < MAX_HANDSHAKES) return;
    this.#findLongest()?.drop("too many connections were waiting");
  }

  #findLongest(): Handshake | undefined {
    return this.#handshakes.values().find(({ isExpected }) => !isExpected);
  }

  async #handshake(conn: Conn) {
    const handshake: Handshake = {
      start: performance.now(),
      isExpected: false,
      end: () => {
        clearTimeout(timer);
        if (!this.#handshakes.delete(handshake)) return false;
        this.#onFreePlace();
        return true;
      },
      drop: (why) => {
        if (!handshake.end()) return;
        conn.close();
        // A module that failed to load is no stranger.
        if (handshake.isExpected && this.#isForModule) {
          return this.#reason?.resolve(undefined);
        }
        this.#remember(new Error(`Dropped connection: ${why}`));
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
      // A second one with the token is a stranger too.
      if (this.#isAdmitted) return handshake.drop("the child is in");
      if (!handshake.end()) return;
      this.#isAdmitted = true;
      this.#conn = conn;
      this.#admitted.resolve(conn);
    } else if (equalTokens(digits, encoder.encode(this.#marker))) {
      if (handshake.end()) conn.close();
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
