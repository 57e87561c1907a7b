/** The connection to a child, and what its end means. */

import type { Connection } from "../channel.ts";
import { type Failure, markHandled } from "../channel/waiting.ts";
import { log, messageOf } from "./environment.ts";
import { describeStatus, ExitError } from "./outcome.ts";

const BUFFER_LENGTH = 65_536;

/** How long the exit of a child is waited for whose end of the connection has closed, in ms. */
const EXIT_WAIT = 1_000;

/**
 * What a child had sent before it exited is read at once. So a read that waits for longer, while
 * the loop turns this often, waits for somebody else who holds the child's end.
 */
const QUIET_TURNS = 3;
const TURN_LENGTH = 10;

/**
 * How long to wait after each look whether a child has gone that sends no more, in ms. Deno shuts
 * down the sending side of a program that dies of an uncaught error 2 ms before it closes the
 * socket, and up to 44 ms where six programs share each processor.
 */
const PROBE_DELAYS = [1, 2, 4, 8, 16, 32];

/** More than a socket holds: who sends more after the child's exit is somebody else. */
const MAX_LEFT = 16 * 1024 * 1024;

/**
 * A read that gives less than it could has emptied the queue, so that one after the child's exit has
 * read all that the child had sent, and what comes later is from somebody else. A pipe and TCP, which
 * may deliver late, are trusted less.
 */
const MAX_SHORT_READS = { unix: 8, other: 256 };

/** Signals that ask a program to end, whatever it makes of them. */
const ENDING: ReadonlySet<Deno.Signal> = new Set([
  "SIGABRT",
  "SIGHUP",
  "SIGINT",
  "SIGKILL",
  "SIGQUIT",
  "SIGTERM",
]);

/** The exit of a child, and whether somebody here has asked for it. */
export class Exit {
  /** Resolves when the child has exited. */
  readonly over: Promise<void>;
  isOver = false;
  /** How the child exited, if it has, and Deno says so: not where SIGCHLD is ignored. */
  status: Deno.CommandStatus | undefined;
  /** Whether the child was asked to end, so that how it does makes no difference. */
  isAsked = false;
  readonly #pid: number;
  readonly #name: string;
  readonly #signals = new Set<Deno.Signal>();
  #error: ExitError | undefined;
  #cancellation: Failure | undefined;

  /**
   * @param process The child.
   * @param name What was started, for people.
   */
  constructor(
    process: Pick<Deno.ChildProcess, "pid" | "status">,
    name: string,
  ) {
    this.#pid = process.pid;
    this.#name = name;
    const onExit = (how: string, status?: Deno.CommandStatus) => {
      this.isOver = true;
      this.status = status;
      log?.(`child ${process.pid} exited: ${how}`);
    };
    this.over = process.status.then(
      (status) => onExit(describeStatus(status), status),
      (error) => onExit(messageOf(error)),
    );
  }

  /** The child was asked to end, in general or by a signal. */
  ask(signal: Deno.Signal = "SIGTERM") {
    if (this.isOver) return;
    if (ENDING.has(signal)) this.isAsked = true;
    else this.#signals.add(signal);
  }

  /** The child was asked to end, for a reason that its channel is to give. */
  cancel(reason: unknown) {
    if (this.isOver) return;
    this.isAsked = true;
    this.#cancellation ??= { reason };
  }

  /** Throw what is said in place of the end, if that was not in order. */
  throwFailure(cause?: unknown) {
    if (this.#cancellation) throw this.#cancellation.reason;
    const { status } = this;
    if (!status || status.success || this.isAsked) return;
    if (status.signal && this.#signals.has(status.signal)) return;
    const end = status.signal === null
      ? `exited with code ${status.code}`
      : `was killed by ${status.signal}`;
    this.#error ??= new ExitError(
      `Child ${this.#pid} (${this.#name}) ${end}`,
      { status, pid: this.#pid },
    );
    if (cause !== undefined) this.#error.cause ??= cause;
    throw this.#error;
  }
}

/**
 * The connection to a child. It ends when the child does, whoever else holds the child's end, and
 * a crash is no end.
 *
 * It can outlive its channel: once {@linkcode drain} was called, and sending has ended, the
 * channel's `close()` leaves the child free to send, and what comes is discarded until the child
 * closes.
 */
export class ChildConnection implements Connection {
  /** Settles when the child, with all of its group, has gone; rejects if it crashed. */
  readonly gone: Promise<void>;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #conn: Connection;
  readonly #exit: Exit;
  /** Whether a write of no bytes tells if the child has closed its end, or sends no more. */
  readonly #canProbe: boolean;
  #isDraining = false;
  #isClosed = false;
  /** Whether it was closed since the child has exited. */
  #hasLeft = false;
  #hasSendingEnded = false;
  readonly #readingEnd = Promise.withResolvers<void>();
  /** The last read of the connection itself. */
  #reading: Promise<number | null> = Promise.resolve(null);
  /** What the child had sent, and is still to be read since it has exited. */
  readonly #rest: Uint8Array[] = [];
  /** Resolves when there is more of it. */
  #more = Promise.withResolvers<void>();
  /** Settles as the read does that comes after the rest. */
  #restEnd: Promise<null> | undefined;

  /**
   * @param conn The connection: over a Unix socket, TCP or pipes.
   * @param exit The exit of the child.
   * @param options Whether it is a Unix socket, and whether the child is a process group, which
   * does not end with the one that was started.
   */
  constructor(
    conn: Connection,
    exit: Exit,
    options: { isUnix: boolean; isGroup?: boolean | undefined },
  ) {
    this.#conn = conn;
    this.#exit = exit;
    this.#canProbe = options.isUnix && Deno.build.os === "linux";
    this.closed = this.#closed.promise;
    const maxShortReads = MAX_SHORT_READS[options.isUnix ? "unix" : "other"];
    const over = options.isGroup
      ? this.#untilGroupHasGone()
      : exit.over.then(() => {
        this.#restEnd = markHandled(this.#leave(maxShortReads));
      });
    this.gone = markHandled(over.then(() => exit.throwFailure()));
  }

  /** Those of a group who outlive the child may hold its end, and one who sends no more may receive. */
  async #untilGroupHasGone(): Promise<void> {
    await this.#exit.over;
    // What they had sent may never be read.
    if (this.#canTell) {
      await Promise.race([this.#readingEnd.promise, this.#refusal()]);
    } else await this.#readingEnd.promise;
    if (this.#canTell) await this.#refusal();
  }

  /** Whether a write of no bytes tells whether somebody takes what is written. */
  get #canTell(): boolean {
    return this.#canProbe && !this.#hasSendingEnded;
  }

  /** Resolves if nobody takes what is written. Behind a write that waits it waits, too. */
  #refusal(): Promise<void> {
    return new Promise((resolve) =>
      this.#conn.write(new Uint8Array(0)).catch(() => resolve())
    );
  }

  // Reading and writing is done at each round trip: there is no async function more around it.

  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#restEnd) return this.#readRest(buffer, this.#restEnd);
    this.#reading = this.#conn.read(buffer);
    return this.#reading.then(this.#onRead, this.#onReadError);
  }

  readonly #onRead = (read: number | null): number | Promise<null> =>
    read ?? this.#endReading(undefined);

  readonly #onReadError = (error: unknown): Promise<null> =>
    this.#endReading(this.#hasLeft ? undefined : error);

  async #endReading(cause: unknown): Promise<null> {
    this.#readingEnd.resolve();
    await this.#judge(cause);
    if (cause !== undefined) throw cause;
    return null;
  }

  /**
   * The child has exited: read at once what it had sent, and close. Somebody else may hold its
   * end, for whom a read or a write would wait.
   */
  async #leave(maxShortReads: number): Promise<null> {
    const cause: unknown = await this.#takeRest(maxShortReads)
      .catch((error) => error);
    this.#hasLeft = true;
    this.#release();
    return await this.#endReading(cause);
  }

  /** Read and keep what comes, until nothing does or it cannot be the child's. */
  async #takeRest(maxShortReads: number): Promise<void> {
    if (await soon(this.#reading) === undefined) return;
    const buffer = new Uint8Array(BUFFER_LENGTH);
    let length = 0;
    let shortReads = 0;
    while (length <= MAX_LEFT && shortReads < maxShortReads) {
      const read = await soon(this.#conn.read(buffer));
      if (!read) return;
      this.#rest.push(buffer.slice(0, read));
      this.#more.resolve();
      this.#more = Promise.withResolvers();
      length += read;
      if (read < buffer.length) shortReads++;
    }
  }

  async #readRest(
    buffer: Uint8Array,
    end: Promise<null>,
  ): Promise<number | null> {
    if (this.#rest.length === 0) await Promise.race([this.#more.promise, end]);
    const [bytes] = this.#rest;
    if (bytes === undefined) return await end;
    const part = bytes.subarray(0, buffer.length);
    buffer.set(part);
    if (part.length === bytes.length) this.#rest.shift();
    else this.#rest[0] = bytes.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes).catch(this.#onWriteError);
  }

  readonly #onWriteError = async (error: unknown): Promise<never> => {
    this.#hasSendingEnded = true;
    const cause = this.#hasLeft || (this.#isClosed && this.#exit.isOver)
      ? new Deno.errors.BrokenPipe("Cannot write: the child has exited")
      : error;
    await this.#judge(cause);
    throw cause;
  };

  async closeWrite(): Promise<void> {
    this.#hasSendingEnded = true;
    if (this.#exit.isOver) this.#exit.throwFailure();
    // Once it was closed there is nobody to be told.
    if (!this.#hasLeft) await this.#conn.closeWrite();
  }

  close(): void {
    if (this.#isDraining && this.#hasSendingEnded) void this.#discard();
    else this.destroy();
  }

  /** From now on {@linkcode close} discards what still comes before it closes. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Close both directions now. */
  destroy(): void {
    this.#isClosed = true;
    this.#release();
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }

  async #discard() {
    const buffer = new Uint8Array(BUFFER_LENGTH);
    try {
      while (await this.read(buffer) !== null);
    } catch {
      // Why there is no more does not matter.
    }
    this.destroy();
  }

  #release() {
    try {
      this.#conn.close();
    } catch {
      // It is closed.
    }
    this.#closed.resolve();
  }

  /** Throw what is to be said in place of the end, or of an error of the system. */
  async #judge(cause: unknown) {
    if (!this.#exit.isOver && !this.#exit.isAsked) {
      if (cause === undefined && !await this.#hasGone()) return;
      await within(EXIT_WAIT, this.#exit.over, this.closed);
    }
    if (!this.#isClosed) this.#exit.throwFailure(cause);
  }

  /** Whether a child that sends no more takes nothing either, as far as the system tells. */
  async #hasGone(): Promise<boolean> {
    if (!this.#canTell) return true;
    const ends = [this.#exit.over, this.closed];
    for (const delay of PROBE_DELAYS) {
      ends.push(this.#refusal());
      const gone = Promise.race(ends).then(() => true);
      if (await within(delay, gone)) return true;
    }
    return false;
  }
}

/** What a promise resolves to, or nothing if it waits while the loop turns {@linkcode QUIET_TURNS} times. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  for (let turn = 0; turn < QUIET_TURNS; turn++) {
    // In between the loop looks for what has come, however late it is.
    const value = await within(TURN_LENGTH, promise);
    if (value !== undefined) return value;
  }
}

/** What the first of some promises resolves to, or nothing after a time in ms. */
export async function within<T>(
  delay: number,
  ...promises: Promise<T>[]
): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), delay);
  try {
    return await Promise.race<T | undefined>([...promises, late]);
  } finally {
    clearTimeout(timer);
  }
}
