import type { Libc } from "./libc.ts";

/** Runs the operations on a socket in one direction, in call order. */
export class OperationQueue {
  readonly #wait: (signal: AbortSignal) => Promise<void>;
  readonly #stopped = new AbortController();
  #last: Promise<unknown> | undefined;

  /** Operations wait until the socket is ready for `events`. */
  constructor(libc: Libc, socket: number, events: number) {
    this.#wait = (signal) => libc.wait(socket, events, signal);
  }

  /**
   * Run an operation after the ones before it, immediately if there are none. The operation
   * returns `undefined` if it would block, and runs again when the socket is ready.
   */
  perform<T>(act: () => T | undefined, signal?: AbortSignal): Promise<T> {
    const result = this.#perform(act, signal);
    // An operation that was aborted early must not let the next one overtake the ones before.
    const last = Promise.allSettled([this.#last, result]).then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    this.#last = last;
    return result;
  }

  async #perform<T>(
    act: () => T | undefined,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    if (this.#last !== undefined) await beforeAbort(this.#last, signal);
    const { signal: stopped } = this.#stopped;
    const either = signal ? AbortSignal.any([stopped, signal]) : stopped;
    for (;;) {
      const result = act();
      if (result !== undefined) return result;
      await this.#wait(either);
      signal?.throwIfAborted();
    }
  }

  /** Resolves when every operation has settled; `undefined` if none is pending. */
  get pending(): Promise<unknown> | undefined {
    return this.#last;
  }

  /** End all waits. The pending operations run once more and must not block then. */
  stop(): void {
    this.#stopped.abort();
  }
}

/** Wait for a promise that never rejects, unless the signal aborts first. */
async function beforeAbort(promise: Promise<unknown>, signal?: AbortSignal) {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
