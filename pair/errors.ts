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
