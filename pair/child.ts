/** A child: what `spawn()` and `spawnModule()` resolve to. */

import type {
  AnySerialization,
  Channel,
  Connection,
  Received,
  Sent,
} from "../channel.ts";
import { markHandled } from "../channel/waiters.ts";
import { ChildConnection } from "./child_connection.ts";
import { log, messageOf } from "./environment.ts";
import type { SpawnOptions } from "./options.ts";
import { emptyPipes } from "./pipes.ts";
import type { StartedProcess } from "./process.ts";
import { openChannel } from "./open_channel.ts";
import { END_WAIT, within } from "./time_limits.ts";

/**
 * A child process and the channel to it: what `spawn()` and `spawnModule()` resolve to.
 *
 * @typeParam In The type of the messages that are received.
 * @typeParam Out The type of the messages that are sent.
 */
export interface Child<In = Uint8Array<ArrayBuffer>, Out = In>
  extends AsyncDisposable {
  /**
   * The channel to the child. It ends when the child has exited and its messages were received,
   * even if another process still holds the child's end. After a crash the end is an
   * {@linkcode ExitError}.
   */
  readonly channel: Channel<In, Out>;
  /** The process, with the streams that the options asked for. */
  readonly process: Deno.ChildProcess;
  /** The process id of the child. */
  readonly pid: number;
  /** Resolves when the process has exited. */
  readonly status: Promise<Deno.CommandStatus>;
  /**
   * Send a signal to the child, or with `detached: true` to its process group. Does nothing if
   * the child has exited; for a group, once the group was found to be empty.
   *
   * @param signal The signal; SIGTERM by default.
   * @throws {TypeError} If the system has no such signal.
   * @throws {Deno.errors.PermissionDenied} If the child belongs to another user.
   */
  kill(signal?: Deno.Signal): void;
  /**
   * End the child: send no more messages, discard what still arrives, and wait until it has
   * exited. The child gets SIGTERM `gracePeriod` ms after this call, and SIGKILL after another
   * `gracePeriod` ms. With `detached: true`, processes that it leaves in its group get SIGTERM as
   * soon as it has exited, and SIGKILL `gracePeriod` ms later.
   *
   * Standard streams that are piped and not locked are emptied and closed. A failure of the channel
   * does not reject this promise; see `channel.closed`.
   *
   * @returns How the child exited. Each call returns the same promise.
   * @throws {Error} If this process was started with SIGCHLD ignored: then the system does not tell
   * how a child exits.
   * @throws {Deno.errors.PermissionDenied} If the child does not exit and belongs to another user.
   */
  close(): Promise<Deno.CommandStatus>;
  /** {@linkcode Child.close}, but does not throw: that would hide the error that ended the block. */
  [Symbol.asyncDispose](): Promise<void>;
}

export class ConnectedChild<S extends AnySerialization>
  implements Child<Received<S>, Sent<S>> {
  readonly channel: Channel<Received<S>, Sent<S>>;
  readonly #started: StartedProcess;
  readonly #connection: ChildConnection;
  readonly #options: SpawnOptions<S> & { gracePeriod: number };
  #closing: Promise<Deno.CommandStatus> | undefined;

  constructor(
    started: StartedProcess,
    conn: Connection,
    options: SpawnOptions<S> & { gracePeriod: number },
  ) {
    this.#started = started;
    this.#connection = new ChildConnection(conn, started);
    this.#options = options;
    this.channel = openChannel(this.#connection, options);
    if (options.signal) this.#endOnAbort(options.signal, options.gracePeriod);
  }

  get process(): Deno.ChildProcess {
    return this.#started.process;
  }

  get pid(): number {
    return this.process.pid;
  }

  get status(): Promise<Deno.CommandStatus> {
    return this.process.status;
  }

  kill(signal: Deno.Signal = "SIGTERM") {
    this.#started.kill(signal);
  }

  close(): Promise<Deno.CommandStatus> {
    return this.#closing ??= markHandled(this.#close());
  }

  async #close(): Promise<Deno.CommandStatus> {
    this.#started.ask();
    const { gracePeriod } = this.#options;
    const closePipes = emptyPipes(this.process, this.#options);
    try {
      const closed = markHandled(this.channel.close());
      await this.#started.end(gracePeriod, gracePeriod);
      await Promise.all([
        // Another process may hold the child's end, and read nothing.
        within(END_WAIT, closed).catch(() => {}),
        this.#started.finished,
      ]);
      return await this.status;
    } finally {
      void closePipes();
      this.channel.abort(new Error("The child has exited"));
      this.#connection.abort();
    }
  }

  /** Without this, the error of `using` does not help. */
  get [Symbol.dispose](): never {
    throw new TypeError(
      'Cannot use a child with "using", because ending it takes time: use "await using"',
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      log?.(`could not close child ${this.pid}: ${messageOf(error)}`);
    }
  }

  /** SIGTERM when `signal` aborts, and SIGKILL after `gracePeriod`. */
  #endOnAbort(signal: AbortSignal, gracePeriod: number) {
    const onAbort = () => {
      this.#started.ask({ reason: signal.reason });
      // close() rejects with the same error.
      this.#started.end(0, gracePeriod).catch((error) =>
        log?.(`could not signal child ${this.pid}: ${messageOf(error)}`)
      );
    };
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    void this.#started.exited.then(() =>
      signal.removeEventListener("abort", onAbort)
    );
  }
}
