import type { Wait } from "./polling.ts";

interface Operation {
  /** Returns whether it is done. */
  attempt(): boolean;
  reject(reason: unknown): void;
}

/** Operations on a socket in one direction, done in call order. */
export class OperationQueue {
  readonly #startWait: () => Wait;
  readonly #operations = new Set<Operation>();
  #wait: Wait | undefined;
  #progress: Promise<void> | undefined;

  /** Takes what begins to wait until the socket is ready. */
  constructor(startWait: () => Wait) {
    this.#startWait = startWait;
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
      if (this.#operations.size === 0) this.#wait?.cancel();
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
    this.#wait?.cancel();
  }

  async #proceed() {
    while (this.#operations.size > 0) {
      this.#wait = this.#startWait();
      try {
        await this.#wait.done;
      } catch (error) {
        for (const operation of this.#operations) operation.reject(error);
        this.#operations.clear();
      }
      this.#attemptAll();
    }
    this.#wait = undefined;
    this.#progress = undefined;
  }

  #attemptAll() {
    for (const operation of this.#operations) {
      if (!operation.attempt()) return;
      this.#operations.delete(operation);
    }
  }
}
