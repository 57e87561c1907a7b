import type { Poller } from "./polling.ts";

interface Operation {
  /** Returns whether it is done. */
  attempt(): boolean;
  reject(reason: unknown): void;
}

/** Operations on a socket in one direction, done in call order. */
export class OperationQueue {
  readonly #poller: Poller;
  readonly #socket: number;
  readonly #events: number;
  readonly #operations = new Set<Operation>();
  /** Ends the wait for the socket. */
  #wait = new AbortController();
  #progress: Promise<void> | undefined;

  /** The operations wait until the socket is ready for `events`. */
  constructor(poller: Poller, socket: number, events: number) {
    this.#poller = poller;
    this.#socket = socket;
    this.#events = events;
  }

  /**
   * Do something now, or when the socket is ready and the operations before are done. It
   * returns `undefined` as long as it would block.
   */
  perform<T>(act: () => T | undefined, signal?: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const operation = {
      attempt() {
        try {
          signal?.throwIfAborted();
          const result = act();
          if (result === undefined) return false;
          resolve(result);
        } catch (error) {
          reject(error);
        }
        return true;
      },
      reject,
    };
    const onAbort = () => {
      if (this.#operations.delete(operation)) reject(signal?.reason);
      if (this.#operations.size === 0) this.#wait.abort();
    };
    signal?.addEventListener("abort", onAbort);
    // The second one, too: a rejection that nobody awaits does not count as unhandled.
    const forget = () => signal?.removeEventListener("abort", onAbort);
    promise.then(forget, forget);

    const isNext = this.#operations.size === 0 || signal?.aborted;
    if (isNext && operation.attempt()) return promise;
    this.#operations.add(operation);
    this.#progress ??= this.#proceed();
    return promise;
  }

  get isEmpty(): boolean {
    return this.#operations.size === 0;
  }

  /** Resolves when nothing is left to do, and nothing waits for the socket. */
  async finish(): Promise<void> {
    await this.#progress;
  }

  /** Attempt once more all that is left, which then must not block. */
  flush(): void {
    this.#attemptAll();
    this.#wait.abort();
  }

  async #proceed() {
    while (this.#operations.size > 0) {
      this.#wait = new AbortController();
      const { signal } = this.#wait;
      try {
        await this.#poller.wait([this.#socket], this.#events, signal);
      } catch (error) {
        for (const operation of this.#operations) operation.reject(error);
        this.#operations.clear();
      }
      this.#attemptAll();
    }
    this.#progress = undefined;
  }

  #attemptAll() {
    for (const operation of this.#operations) {
      if (!operation.attempt()) return;
      this.#operations.delete(operation);
    }
  }
}
