/** The wait for a child to connect, and why one has not. */

import { markHandled } from "../channel/waiting.ts";
import { ConnectError, describeStatus, tellingLine } from "./errors.ts";
import type { HandshakeServer } from "./handshake.ts";
import type { Attachment } from "./hooks.ts";
import type { StartedProcess } from "./process.ts";

/** Why a child has not connected. What it wrote is known only once it has ended. */
export class NotConnected {
  readonly #failure: string;
  readonly #why: string | undefined;
  readonly #details: ConstructorParameters<typeof ConnectError>[1];

  /**
   * @param failure What went wrong.
   * @param why The reason, if it is known.
   * @param details What else the error is to carry.
   */
  constructor(
    failure: string,
    why: string | undefined,
    details: ConstructorParameters<typeof ConnectError>[1],
  ) {
    this.#failure = failure;
    this.#why = why;
    this.#details = details;
  }

  /** Make the error for the caller, once the child has ended. */
  toError({ name, pid }: StartedProcess, stderr?: string): ConnectError {
    const why = this.#why ?? tellingLine(stderr);
    return new ConnectError(
      `Cannot start ${name} (child ${pid}): ${this.#failure}${
        why === undefined ? "" : `: ${why}`
      }`,
      { ...this.#details, stderr },
    );
  }
}

/**
 * Wait until the child connects, exits, takes too long, or is no longer wanted.
 *
 * @throws {NotConnected} If it exits or takes too long.
 * @throws {Error} The reason of `signal`.
 */
export async function waitForConnection(
  started: StartedProcess,
  server: HandshakeServer,
  { connectTimeout, signal, attachment }: {
    connectTimeout: number;
    signal?: AbortSignal | undefined;
    attachment?: Attachment | undefined;
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
  const connected = markHandled(
    Promise.all([server.admitted, attached]).then(([conn]) => conn),
  );
  const exited = started.exited.then(() => "exited" as const);
  try {
    let outcome = await Promise.race([
      connected,
      late,
      aborted.promise,
      exited,
    ]);
    if (outcome === "exited") {
      // It may have connected before it exited.
      await Promise.race([server.acceptBacklog(), late, aborted.promise]);
      // The attachment looks once more, and then stops.
      over.abort();
      const isAttached = await attached.then(() => true, () => false);
      if (isAttached) outcome = await Promise.race([server.admitted, exited]);
    }
    if (typeof outcome === "object") return outcome;
    const hint = "does it call connectToParent()?";
    if (outcome === "late") {
      const failure = `it did not connect in ${connectTimeout} ms`;
      const strangers = await server.stop();
      throw new NotConnected(failure, hint, { strangers });
    }
    const { status } = started;
    const how = status ? ` with ${describeStatus(status)}` : "";
    throw new NotConnected(
      `it exited${how} before it connected`,
      await server.reason() ?? (status?.success ? hint : undefined),
      { status, strangers: await server.stop() },
    );
  } catch (error) {
    over.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
