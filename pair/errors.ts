/** The errors of this layer that callers catch. */

const MAX_LINE_LENGTH = 300;

/** The child never connected. */
export class ConnectError extends Error {
  /** The name of the error: `"ConnectError"`. */
  override readonly name = "ConnectError";
  /** How the child exited, if it exited by itself. */
  readonly status?: Deno.CommandStatus;
  /**
   * The end of what the child wrote to standard error, at most 4096 characters, if that was
   * copied (the default of `spawnModule()`) or `"piped"`. Control characters are escaped.
   */
  readonly stderr?: string;
  /**
   * The other connections, one error for each, saying why it was dropped: the last 1000.
   * The last one is also the `cause`.
   */
  readonly strangers: readonly Error[];

  /** Construct a new instance. */
  constructor(
    message: string,
    { status, strangers = [] }: {
      status?: Deno.CommandStatus | undefined;
      strangers?: readonly Error[];
    } = {},
  ) {
    super(message, strangers.length > 0 ? { cause: strangers.at(-1) } : {});
    if (status) this.status = status;
    this.strangers = strangers;
  }
}

/**
 * The child exited with a failure that this process did not cause by `Child.close()`,
 * `Child.kill()`, the `signal` of its options, or `Channel.abort()`.
 *
 * Messages that the child sent before it exited are received first. Then `receive()`,
 * iteration, `readable` and `closed` of its channel reject with this error. Its `cause` is the error
 * of the connection, if there was one.
 */
export class ExitError extends Error {
  /** The name of the error: `"ExitError"`. */
  override readonly name = "ExitError";
  /** How the child exited. */
  readonly status: Deno.CommandStatus;
  /** The process id that the child had. */
  readonly pid: number;
  /**
   * The end of what the child wrote to standard error, as {@linkcode ConnectError.stderr}. If that
   * was `"piped"`, it is the caller's to read.
   */
  readonly stderr?: string;

  /** Construct a new instance. */
  constructor(
    message: string,
    { status, pid, stderr }: {
      status: Deno.CommandStatus;
      pid: number;
      stderr?: string | undefined;
    },
  ) {
    super(message);
    this.status = status;
    this.pid = pid;
    if (stderr) this.stderr = stderr;
  }
}

/** Say how a process exited: `code 1`, `SIGKILL`. */
export function describeStatus({ code, signal }: Deno.CommandStatus): string {
  return signal === null ? `code ${code}` : signal;
}

/** Add what the child wrote to standard error, which is known once it has ended. */
export function addStderr(error: unknown, stderr: string | undefined) {
  if (!(error instanceof ConnectError) || !stderr) return;
  Object.assign(error, { stderr });
  if (error.message.endsWith("connected")) error.message += telling(stderr);
}

/** The line that says most about a failure: the last one that names an error, or else the last one. */
export function telling(stderr = ""): string {
  const lines = stderr.trimEnd().split("\n");
  const line =
    lines.findLast((line) =>
      /^(error|panic|fatal|[\w.]*(Error|Exception))\b.*: ?/i.test(line)
    ) ?? lines.at(-1);
  return line ? `: ${line.slice(0, MAX_LINE_LENGTH)}` : "";
}
