/** A child process: waiting until it has connected, and ending it. */

import type { Channel } from "../channel.ts";
import type { DrainableConnection } from "./connection.ts";
import { log, messageOf } from "./environment.ts";
import { ConnectError } from "./errors.ts";
import type { HandshakeServer } from "./handshake.ts";
import type { Attachment } from "./hooks.ts";
import type { SpawnOptions } from "./options.ts";

/** A child process and the channel to it: what `spawn()` and `spawnModule()` resolve to. */
export abstract class Child<In = Uint8Array<ArrayBuffer>, Out = In>
  implements AsyncDisposable {
  /** The channel to the child. */
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
   * A failure of the channel is not thrown here: it is in `channel.closed`.
   *
   * @returns How the child exited. Each call returns the same promise.
   * @throws {Deno.errors.PermissionDenied} If the child does not exit, and the system refuses
   * to signal it, since it has become another user's.
   */
  abstract close(): Promise<Deno.CommandStatus>;

  /**
   * End the child at the end of an `await using` block, as {@linkcode Child.close}.
   *
   * @returns A promise that resolves when the child has exited.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The only kind of {@linkcode Child}; users cannot construct it. */
export class ConnectedChild<In, Out> extends Child<In, Out> {
  readonly channel: Channel<In, Out>;
  readonly process: Deno.ChildProcess;
  readonly #connection: DrainableConnection;
  readonly #gracePeriod: number;
  readonly #kill: Kill;
  #closePromise: Promise<Deno.CommandStatus> | undefined;

  constructor(
    channel: Channel<In, Out>,
    process: Deno.ChildProcess,
    connection: DrainableConnection,
    { gracePeriod, kill }: { gracePeriod: number; kill: Kill },
  ) {
    super();
    this.channel = channel;
    this.process = process;
    this.#connection = connection;
    this.#gracePeriod = gracePeriod;
    this.#kill = kill;
  }

  kill(signal: Deno.Signal = "SIGTERM") {
    this.#kill(signal);
  }

  close(): Promise<Deno.CommandStatus> {
    return this.#closePromise ??= this.#close();
  }

  async #close(): Promise<Deno.CommandStatus> {
    const grace = Promise.withResolvers<void>();
    grace.promise.catch(() => {});
    // A child may have become another user's: then signals are refused.
    const signal = (signal: Deno.Signal) => {
      try {
        this.kill(signal);
      } catch (error) {
        grace.reject(error);
      }
    };
    const terminate = setTimeout(() => signal("SIGTERM"), this.#gracePeriod);
    const kill = setTimeout(() => {
      signal("SIGKILL");
      grace.resolve();
    }, 2 * this.#gracePeriod);
    try {
      this.#connection.drain();
      this.channel.close().catch(() => {});
      const status = await Promise.race([
        this.status,
        grace.promise.then(() => this.status),
      ]);
      // A process that the child started may hold its end of the channel, and never
      // close it: then the grace period ends the wait.
      await Promise.race([this.#connection.closed, grace.promise]);
      return status;
    } finally {
      clearTimeout(terminate);
      clearTimeout(kill);
      this.channel.abort(new Error("The child has exited"));
      this.#connection.destroy();
    }
  }

  /** SIGTERM when `signal` aborts. */
  killOnAbort(signal: AbortSignal) {
    const onAbort = () => {
      try {
        this.kill();
      } catch (error) {
        // Nobody waits for this call; close() throws the error if it meets it too.
        log?.(`could not signal child ${this.pid}: ${messageOf(error)}`);
      }
    };
    const forget = () => signal.removeEventListener("abort", onAbort);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    this.status.then(forget, forget);
  }
}

const DEFAULT_CONNECT_TIMEOUT = 30_000;
const DEFAULT_GRACE_PERIOD = 5_000;

/** The longest delay of a timer in ms. */
const MAX_DELAY = 2 ** 31 - 1;

/** Check the delays among the options. */
export function delaysOf<In, Out>(
  {
    connectTimeout = DEFAULT_CONNECT_TIMEOUT,
    gracePeriod = DEFAULT_GRACE_PERIOD,
  }: SpawnOptions<In, Out>,
) {
  const delays = { connectTimeout, gracePeriod };
  for (const [name, delay] of Object.entries(delays)) {
    if (delay >= 0 && delay <= MAX_DELAY) continue;
    throw new RangeError(
      `Cannot use ${name}: ${delay} is not a number from 0 to ${MAX_DELAY}`,
    );
  }
  return delays;
}

/** Sends a signal to a child, or to its process group; to nobody once that is gone. */
export type Kill = (signal: Deno.Signal) => void;

export function killerOf(
  process: Deno.ChildProcess,
  detached: boolean | undefined,
): Kill {
  let exited = false;
  process.status.then((status) => {
    exited = true;
    log?.(`child ${process.pid} exited: ${describeStatus(status)}`);
  });
  return (signal) => {
    // A group may outlive the process that it is named after.
    if (exited && !detached) return;
    try {
      if (detached) Deno.kill(-process.pid, signal);
      else process.kill(signal);
    } catch (error) {
      // It may have exited, and this process not have been told yet.
      const isGone = error instanceof Deno.errors.NotFound ||
        (error instanceof TypeError && /terminated/.test(error.message));
      if (!isGone) throw error;
    }
  };
}

/** Kill a child that the caller will not get, and free what belongs to it. */
export async function killAndRelease<In, Out>(
  process: Deno.ChildProcess,
  kill: Kill,
  { stdin, stdout, stderr }: SpawnOptions<In, Out>,
): Promise<void> {
  if (stdin === "piped") await process.stdin.abort();
  if (stdout === "piped") await process.stdout.cancel();
  if (stderr === "piped") await process.stderr.cancel();
  try {
    kill("SIGKILL");
  } catch (error) {
    // It has become another user's, and is left alone: the caller hears why it did not
    // get the child, not this.
    log?.(`could not kill child ${process.pid}: ${messageOf(error)}`);
    process.unref();
    return;
  }
  await process.status;
}

function describeStatus({ code, signal }: Deno.CommandStatus): string {
  return signal === null ? `code ${code}` : signal;
}

/** Wait for the child to connect, unless it exits, takes too long or is not wanted. */
export async function waitForConnection(
  process: Deno.ChildProcess,
  server: HandshakeServer,
  { connectTimeout, signal, attachment }: {
    connectTimeout: number;
    signal: AbortSignal | undefined;
    attachment: Attachment | undefined;
  },
): Promise<Deno.Conn> {
  const over = new AbortController();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  const { promise: late, resolve: onTimeout } = Promise.withResolvers<"late">();
  const timer = setTimeout(onTimeout, connectTimeout, "late");
  const attached = attachment?.connected(over.signal) ?? Promise.resolve();
  const connected = Promise.all([server.admitted, attached])
    .then(([conn]) => conn);
  connected.catch(() => {});
  const waits = [connected, late, aborted.promise] as const;
  try {
    let outcome = await Promise.race([...waits, process.status]);
    if (typeof outcome === "object" && "code" in outcome) {
      // It may have connected before it exited.
      await Promise.race([server.acceptBacklog(), late, aborted.promise]);
      // The second time, too: the attachment looks once more before it heeds this.
      over.abort();
      const isAttached = await attached.then(() => true, () => false);
      if (isAttached) {
        outcome = await Promise.race([server.admitted, outcome]);
      }
    }
    if (typeof outcome === "object" && "read" in outcome) return outcome;
    const strangers = await server.close();
    const failure = outcome === "late"
      ? `did not connect in ${connectTimeout} ms`
      : `exited with ${describeStatus(outcome)} before it connected`;
    throw new ConnectError(
      `Cannot connect to child ${process.pid}: it ${failure}`,
      outcome === "late" ? { strangers } : { status: outcome, strangers },
    );
  } catch (error) {
    over.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
