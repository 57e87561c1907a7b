import { assert } from "@std/assert";
import type { Channel } from "../../channel.ts";
import { A } from "./messages.ts";

/** Let all that happens without the operating system happen. */
export async function idle() {
  for (let turn = 0; turn < 200; turn++) await undefined;
}

/** Let also what the event loop has ready happen. */
export async function turnOfEventLoop() {
  await new Promise((resolve) => setTimeout(resolve));
}

export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settle = () => pending = false;
  promise.then(settle, settle);
  await idle();
  return pending;
}

export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (reason) {
    return reason;
  }
  throw new Error("Cannot find reason: the promise was not rejected");
}

/** Reject with a failure if the promise waits for what does not come by itself. */
export async function promptly<T>(promise: Promise<T>): Promise<T> {
  assert(!await isPending(promise), "the promise stays pending");
  return await promise;
}

/** Everything that a channel promises. */
export function everythingOf(
  channel: Channel,
): Record<string, Promise<unknown>> {
  return {
    send: channel.send(A),
    receive: channel.receive(),
    receiveInto: channel.receiveInto(new Uint8Array(1)),
    flush: channel.flush(),
    next: channel[Symbol.asyncIterator]().next(),
    closeWrite: channel.closeWrite(),
    close: channel.close(),
    closed: channel.closed,
  };
}

export async function unhandledDuring(
  run: () => Promise<void>,
): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  try {
    await run();
    await turnOfEventLoop();
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
  return reasons;
}
