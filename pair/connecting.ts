/** The wait for a child to connect. */

import { markHandled } from "../channel/waiting.ts";
import { ConnectError, describeStatus } from "./errors.ts";
import type { HandshakeServer } from "./handshake.ts";
import type { Attachment } from "./hooks.ts";
import type { StartedProcess } from "./process.ts";

/**
 * Wait until the child connects, exits, takes too long, or is no longer wanted.
 *
 * @throws {ConnectError} If it exits or takes too long.
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
    const { name, pid, status } = started;
    const hasExited = outcome === "exited";
    let message = `Cannot start ${name} (child ${pid}): `;
    if (hasExited) {
      const how = status ? ` with ${describeStatus(status)}` : "";
      message += `it exited${how} before it connected`;
    } else message += `it did not connect in ${connectTimeout} ms`;
    const reason = hasExited ? await server.reason() : undefined;
    if (reason !== undefined) message += `: ${reason}`;
    else if (!hasExited || status?.success) {
      message += ": does it call connectToParent()?";
    }
    const strangers = await server.stop();
    throw new ConnectError(
      message,
      hasExited ? { status, strangers } : { strangers },
    );
  } catch (error) {
    over.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
