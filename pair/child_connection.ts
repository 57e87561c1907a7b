import type { Connection } from "../channel.ts";
import { type Peer, setPeer } from "../channel/transports.ts";
import type { Failure } from "../channel/waiters.ts";
import type { StartedProcess } from "./process.ts";
import { END_WAIT, limitReads, within } from "./time_limits.ts";

const BUFFER_LENGTH = 65_536;

/** The part of a child process that its connection uses. */
export type Exit = Pick<StartedProcess, "exited" | "isAsked" | "failure">;

/**
 * The connection to a child. It ends when the child has exited, even if another process still
 * holds the child's end.
 *
 * - While the child is running, the end of the stream waits for the exit, but no longer than
 *   1 s: then the child has only closed its side.
 * - After the child has exited, data that it sent is available immediately. Reads may wait 1 s in
 *   total; then only another process can hold the child's end, and the connection closes.
 *   Nothing more is written.
 * - A closed connection reports nothing about the child, unless it was the exit that closed it.
 */
export class ChildConnection implements Connection, Peer {
  /** Resolves when the child has exited, to the crash or cancellation to report, if any. */
  readonly exited: Promise<Failure | undefined>;
  readonly #conn: Connection;
  readonly #exit: Exit;
  readonly #closed = Promise.withResolvers<void>();
  #state: "running" | "exited" | "closed" = "running";
  #hasSendingEnded = false;
  readonly #limit: (read: Promise<number | null>) => Promise<number | null>;

  constructor(conn: Connection, exit: Exit) {
    this.#conn = conn;
    this.#exit = exit;
    this.#limit = limitReads(exit.exited, () => this.abort());
    this.exited = exit.exited.then(() => {
      if (this.#state === "running") this.#state = "exited";
      return exit.failure();
    });
    setPeer(this, this);
  }

  // No promise is added to a read or write: the channel calls endReading() and endWriting().

  read(buffer: Uint8Array): Promise<number | null> {
    return this.#limit(this.#conn.read(buffer));
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#state === "running"
      ? this.#conn.write(bytes)
      : Promise.reject(exitedError());
  }

  async closeWrite(): Promise<void> {
    this.#hasSendingEnded = true;
    if (this.#state === "running") return await this.#conn.closeWrite();
    const failure = await this.#exit.failure();
    if (failure) throw failure.reason;
  }

  /** Close it; if the child was asked to end, discard what it still sends first. */
  close(): void {
    if (this.#exit.isAsked && this.#hasSendingEnded) void this.#drain();
    else this.abort();
  }

  abort(): void {
    this.#state = "closed";
    this.#closed.resolve();
    try {
      this.#conn.close();
    } catch {
      // It is closed.
    }
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }

  async endReading(error?: Failure): Promise<Failure | undefined> {
    await this.#waitForExit();
    // The error of a closed connection says only that it is closed.
    const own = this.#state === "closed" ? undefined : error;
    return await this.#exit.failure(own?.reason) ?? own;
  }

  async endWriting(error?: Failure): Promise<Failure> {
    this.#hasSendingEnded = true;
    await this.#waitForExit();
    const own = this.#state !== "closed" && error || { reason: exitedError() };
    return await this.#exit.failure(own.reason) ?? own;
  }

  async #waitForExit() {
    if (this.#state !== "running" || this.#exit.isAsked) return;
    await within(END_WAIT, this.#exit.exited, this.#closed.promise);
  }

  async #drain() {
    const buffer = new Uint8Array(BUFFER_LENGTH);
    try {
      while (await this.read(buffer) !== null);
    } catch {
      // It was closed.
    }
    this.abort();
  }
}

function exitedError(): Error {
  return new Deno.errors.BrokenPipe("Cannot write: the child has exited");
}
