/** What callers get: a channel, a child, or one of the errors that they catch. */

import {
  type AnySerialization,
  Channel,
  type ChannelOptions,
  type Connection,
  type DuplexStream,
  type Received,
  type Sent,
  type Serialization,
} from "../channel.ts";
import { serializationOf } from "../channel/serializations.ts";
import { log, messageOf } from "./environment.ts";

export { serializationOf };

/** Make a channel over a stream; with `SOCKETPAIR_DEBUG` it is traced. */
export function openChannel<S extends AnySerialization>(
  stream: Connection | DuplexStream,
  options: ChannelOptions<S>,
): Channel<Received<S>, Sent<S>> {
  const serialization = serializationOf(options);
  const channel = new Channel(stream, {
    ...options,
    serialization: log ? traced(serialization, log) : serialization,
  });
  if (!log) return channel;
  channel.closed.then(
    () => log?.("closed"),
    (error) => log?.(`failed: ${messageOf(error)}`),
  );
  return channel;
}

function traced<In, Out>(
  serialization: Serialization<In, Out>,
  log: (line: string) => void,
): Serialization<In, Out> {
  return {
    borrows: serialization.borrows,
    serialize(message) {
      const bytes = serialization.serialize(message);
      log(`sent frame of ${bytes.length} bytes`);
      return bytes;
    },
    deserialize(bytes) {
      log(`received frame of ${bytes.length} bytes`);
      return serialization.deserialize(bytes);
    },
  };
}

/** A child process and the channel to it: what `spawn()` and `spawnModule()` resolve to. */
export abstract class Child<In = Uint8Array<ArrayBuffer>, Out = In>
  implements AsyncDisposable {
  /**
   * The channel to the child. It ends when the child has exited and what it had sent was
   * received, whoever else holds the child's end; with `detached: true` only when nobody
   * does. If the child has not exited in success, and was not asked to, that end is an
   * {@linkcode ExitError}.
   */
  abstract readonly channel: Channel<In, Out>;
  /** The process, with the streams that the options asked for. */
  abstract readonly process: Deno.ChildProcess;

  /** The process id of the child. */
  get pid(): number {
    return this.process.pid;
  }

  /** Resolves when the process has exited. */
  get status(): Promise<Deno.CommandStatus> {
    return this.process.status;
  }

  /**
   * Send a signal to the child, or with `detached: true` to its process group. Nothing
   * happens if there is nobody left.
   *
   * @param signal The signal; SIGTERM by default.
   * @throws {TypeError} If the system has no such signal.
   */
  abstract kill(signal?: Deno.Signal): void;

  /**
   * End the child: send no more messages, discard what still comes, and wait until it has
   * exited. After `gracePeriod` ms from this call, the sending of what is queued
   * included, it gets SIGTERM, and after as long again SIGKILL.
   *
   * Standard output and error that are piped, and that nobody reads, are emptied and closed,
   * and standard input that is piped is closed unless somebody has locked it. So no child
   * waits for them, and no descriptor is left.
   *
   * A failure of the channel is not thrown here: it is in `channel.closed`.
   *
   * @returns How the child exited. Each call returns the same promise.
   * @throws {Error} What the system says where it does not tell how a child exits, since
   * whoever started this process had it ignore SIGCHLD.
   * @throws {Deno.errors.PermissionDenied} If the child does not exit, and the system refuses
   * to signal it, since it has become another user's.
   */
  abstract close(): Promise<Deno.CommandStatus>;

  /**
   * End the child at the end of an `await using` block, as {@linkcode Child.close}. What
   * that rejects with is not thrown here, where it would hide the error that ends the block.
   *
   * @returns A promise that resolves when the child has exited.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      log?.(`could not close child ${this.pid}: ${messageOf(error)}`);
    }
  }
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

/**
 * The child ended, not in success, and nobody here had asked it to: by `Child.close()`,
 * `Child.kill()`, the `signal` of its options, or `Channel.abort()`.
 *
 * What the child had sent is received first. Then `receive()`, iteration, `readable` and
 * `closed` of its channel reject with this.
 *
 * Where the stream ends, it takes a moment to tell a child that dies from one that only sends no
 * more: `null` comes after 63 ms over a Unix socket on Linux, and elsewhere, or once this side has
 * ended, too, when the child has exited, or after 1 s.
 */
export class ExitError extends Error {
  /** The name of the error: `"ExitError"`. */
  override readonly name = "ExitError";
  /** How the child ended. */
  readonly status: Deno.CommandStatus;
  /** The process id that the child had. */
  readonly pid: number;

  /**
   * Construct a new instance.
   *
   * @param message Which child ended, and how.
   * @param details How the child ended, its process id, and what else is known of why:
   * `Deno.errors.ConnectionReset`, if the child left messages unread.
   */
  constructor(
    message: string,
    details: { status: Deno.CommandStatus; pid: number; cause?: unknown },
  ) {
    const { status, pid, cause } = details;
    super(message, cause === undefined ? {} : { cause });
    this.status = status;
    this.pid = pid;
  }
}

/** Say how a process ended: `code 1`, `SIGKILL`. */
export function describeStatus({ code, signal }: Deno.CommandStatus): string {
  return signal === null ? `code ${code}` : signal;
}
