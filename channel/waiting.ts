/** First in, first out; removing at the front does not move the rest. */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T) {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    // Setting the length would give back the memory that the next push() needs.
    if (this.#items.length === 1) {
      this.#head = 0; // what was after it may have been removed
      return this.#items.pop();
    }
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    if (this.#head < this.#items.length) this.#head++;
    if (this.#head === this.#items.length) {
      this.#items.length = this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  remove(item: T) {
    const at = this.#items.indexOf(item, this.#head);
    if (at !== -1) this.#items.splice(at, 1);
  }
}

/** A failure, boxed: a reason may be `undefined`. */
export interface Failure {
  readonly reason: unknown;
}

/** A promise that nobody awaits must not count as an unhandled rejection. */
export function markHandled<P extends Promise<unknown>>(promise: P): P {
  promise.catch(() => {});
  return promise;
}

/** Make a rejected promise that may not be awaited. */
export function rejectedPromise(reason: unknown): Promise<never> {
  return markHandled(Promise.reject(reason));
}

/** Reject a promise that may not be awaited. */
export function rejectHandled(
  { promise, reject }: Pick<
    PromiseWithResolvers<unknown>,
    "promise" | "reject"
  >,
  reason: unknown,
) {
  markHandled(promise);
  reject(reason);
}
