/** A child process: waiting until it has connected, and ending it. */

import type {
  AnySerialization,
  Channel,
  Connection,
  Serialization,
} from "../channel.ts";
import { ChildConnection, Exit } from "./connection.ts";
import { log, messageOf } from "./environment.ts";
import type { HandshakeServer } from "./handshake.ts";
import type { Attachment, LaunchHooks } from "./hooks.ts";
import type { SpawnOptions } from "./options.ts";
import { Child, ConnectError, describeStatus, openChannel } from "./outcome.ts";
import { emptyPipes, type PipeOptions, releasePipes } from "./pipes.ts";

/** The only kind of {@linkcode Child}; users cannot construct it. */
export class ConnectedChild<In, Out> extends Child<In, Out> {
  readonly channel: Channel<In, Out>;
  readonly process: Deno.ChildProcess;
  readonly #connection: ChildConnection;
  readonly #exit: Exit;
  readonly #gracePeriod: number;
  readonly #kill: Kill;
  readonly #options: PipeOptions;
  /** Resolves when nothing is left to do for the child. */
  readonly #finished: Promise<void> | undefined;
  #closePromise: Promise<Deno.CommandStatus> | undefined;

  /**
   * @param started The process.
   * @param conn The connection to it: over a Unix socket, TCP or pipes.
   * @param options Those of `spawn()`.
   */
  constructor(
    { process, exit, kill, finished }: Started,
    conn: Connection,
    options: SpawnOptions<Serialization<In, Out>> & {
      isUnix: boolean;
      gracePeriod: number;
    },
  ) {
    super();
    this.process = process;
    this.#exit = exit;
    this.#kill = kill;
    this.#finished = finished;
    this.#gracePeriod = options.gracePeriod;
    const { isUnix, detached: isGroup, signal } = options;
    this.#connection = new ChildConnection(conn, exit, { isUnix, isGroup });
    this.channel = openChannel(this.#connection, options);
    this.#options = options;
    if (signal) this.#killOnAbort(signal);
  }

  kill(signal: Deno.Signal = "SIGTERM") {
    this.#kill(signal);
    this.#exit.ask(signal);
  }

  close(): Promise<Deno.CommandStatus> {
    if (this.#closePromise === undefined) {
      this.#closePromise = this.#close();
      // Nobody may wait for it.
      this.#closePromise.catch(() => {});
    }
    return this.#closePromise;
  }

  async #close(): Promise<Deno.CommandStatus> {
    this.#exit.ask();
    const ladder = this.#descend(this.#gracePeriod);
    const release = emptyPipes(this.process, this.#options);
    try {
      this.#connection.drain();
      this.channel.close().catch(() => {});
      const status = await Promise.race([
        this.status,
        ladder.end.then(() => this.status),
      ]);
      await Promise.race([this.#connection.closed, ladder.end]);
      await this.#finished;
      return status;
    } finally {
      ladder.leave();
      release();
      this.channel.abort(new Error("The child has exited"));
      this.#connection.destroy();
    }
  }

  /** SIGTERM when `signal` aborts, and SIGKILL after `gracePeriod`. */
  #killOnAbort(signal: AbortSignal) {
    const onAbort = () => {
      this.#exit.cancel(signal.reason);
      const ladder = this.#descend(0);
      // Nobody waits for it; close() throws the error if it meets it too.
      ladder.end.catch((error) =>
        log?.(`could not signal child ${this.pid}: ${messageOf(error)}`)
      );
      void this.#exit.over.then(ladder.leave);
    };
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    void this.#exit.over.then(() =>
      signal.removeEventListener("abort", onAbort)
    );
  }

  /** SIGTERM after `delay` ms, SIGKILL `gracePeriod` ms later. */
  #descend(delay: number): Ladder {
    const { promise: end, resolve, reject } = Promise.withResolvers<void>();
    end.catch(() => {});
    // A child may have become another user's: then signals are refused.
    const signal = (name: Deno.Signal) => {
      try {
        this.#kill(name);
      } catch (error) {
        reject(error);
      }
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const terminate = () => {
      signal("SIGTERM");
      timer = setTimeout(() => {
        signal("SIGKILL");
        resolve();
      }, this.#gracePeriod);
    };
    if (delay === 0) terminate();
    else timer = setTimeout(terminate, delay);
    return { end, leave: () => clearTimeout(timer) };
  }
}

/** The signals that end a child, one after the other. */
interface Ladder {
  /** Resolves after SIGKILL; rejects if the system refuses a signal. */
  readonly end: Promise<void>;
  leave(): void;
}

/** Sends a signal to a child, or to its process group; to nobody once that is gone. */
type Kill = (signal: Deno.Signal) => void;

/** A process that was started, how it ends, and what ends it. */
export interface Started {
  readonly process: Deno.ChildProcess;
  /** What was started. */
  readonly name: string;
  readonly exit: Exit;
  readonly kill: Kill;
  /** Resolves when nothing is left to do for it, which is some time after it has exited. */
  readonly finished: Promise<void> | undefined;
}

/** Watch over a process from its first moment on. */
export function watch(
  process: Deno.ChildProcess,
  command: string | URL,
  { detached }: SpawnOptions<AnySerialization>,
  hooks: LaunchHooks,
): Started {
  const kind = hooks.module === undefined ? "" : "module ";
  const full = shorten(hooks.module ?? String(command));
  const short = full.replace(/[?#].*$/, "").split(/[\\/]/).at(-1);
  const exit = new Exit(process, kind + short);
  const kill = (signal: Deno.Signal) => {
    // A group may outlive the process that it is named after.
    if (exit.isOver && !detached) return;
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
  const finished = hooks.onStart?.(process, exit.over);
  // Nobody may call close().
  finished?.catch(() => {});
  return { process, name: kind + full, exit, kill, finished };
}

/** A module can be in its URL as a whole. */
function shorten(name: string): string {
  return name.startsWith("data:") ? "data:..." : name;
}

/** Kill a child that the caller will not get, and free what belongs to it. */
export async function killAndRelease(
  { process, exit, kill, finished }: Started,
  pipes: PipeOptions,
): Promise<void> {
  await releasePipes(process, pipes);
  try {
    kill("SIGKILL");
  } catch (error) {
    // It has become another user's, and is left alone: the caller hears why it did not
    // get the child, not this.
    log?.(`could not kill child ${process.pid}: ${messageOf(error)}`);
    process.unref();
    return;
  }
  await exit.over;
  await finished;
}

/** Wait for the child to connect, unless it exits, takes too long or is not wanted. */
export async function waitForConnection(
  { process, exit, name }: Started,
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
  const exited = exit.over.then(() => "exited" as const);
  try {
    let outcome = await Promise.race([...waits, exited]);
    if (outcome === "exited") {
      // It may have connected before it exited.
      await Promise.race([server.acceptBacklog(), late, aborted.promise]);
      // The second time, too: the attachment looks once more before it heeds this.
      over.abort();
      const isAttached = await attached.then(() => true, () => false);
      if (isAttached) {
        outcome = await Promise.race([server.admitted, exited]);
      }
    }
    if (typeof outcome === "object") return outcome;
    const reason = outcome === "late" ? undefined : await server.reason();
    const strangers = await server.close();
    const { status } = exit;
    const failure = outcome === "late"
      ? `it did not connect in ${connectTimeout} ms`
      : `it exited${
        status ? ` with ${describeStatus(status)}` : ""
      } before it connected`;
    const why = reason ??
      (outcome === "late" || status?.success
        ? "does it call connectToParent()?"
        : undefined);
    throw new ConnectError(
      `Cannot start ${name} (child ${process.pid}): ${failure}${
        why === undefined ? "" : `: ${why}`
      }`,
      outcome === "exited" && status ? { status, strangers } : { strangers },
    );
  } catch (error) {
    over.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
