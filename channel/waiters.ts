/** The links of an item in a {@linkcode List}. */
export interface Linked<T> {
  previous?: T | undefined;
  next?: T | undefined;
}

/** A linked list: adding and removing take constant time, at any place. */
export class List<T extends Linked<T>> {
  first: T | undefined;
  last: T | undefined;

  push(item: T) {
    item.previous = this.last;
    item.next = undefined;
    if (this.last) this.last.next = item;
    else this.first = item;
    this.last = item;
  }

  remove(item: T) {
    const { previous, next } = item;
    if (previous) previous.next = next;
    else this.first = next;
    if (next) next.previous = previous;
    else this.last = previous;
    // A caller that keeps the item must not keep all that followed it.
    item.previous = item.next = undefined;
  }

  shift(): T | undefined {
    const { first } = this;
    if (first) this.remove(first);
    return first;
  }
}

/** A failure. It is boxed because a reason may be `undefined`. */
export interface Failure {
  readonly reason: unknown;
}

/** Prevent an unhandled rejection if nothing awaits the promise. */
export function markHandled<P extends Promise<unknown>>(promise: P): P {
  promise.catch(() => {});
  return promise;
}

/** Make a rejected promise that may never be awaited. */
export function rejectedPromise(reason: unknown): Promise<never> {
  return markHandled(Promise.reject(reason));
}

/** Reject a promise that may never be awaited. */
export function rejectHandled(
  waiter: { promise: Promise<unknown>; reject(reason: unknown): void },
  reason: unknown,
) {
  markHandled(waiter.promise);
  waiter.reject(reason);
}
