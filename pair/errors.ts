/** The errors that callers catch. */

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
