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
  { promise, reject }: {
    promise: Promise<unknown>;
    reject(reason: unknown): void;
  },
  reason: unknown,
) {
  markHandled(promise);
  reject(reason);
}
