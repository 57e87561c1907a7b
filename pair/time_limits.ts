/** How long the end of a stream waits for the exit of the child, and the exit for the end, in ms. */
export const END_WAIT = 1_000;

/** The steps in which the waiting time of reads is counted, in ms. */
const STEP = 10;

/** Resolves to what the first of some promises resolves to, or to `undefined` after a time in ms. */
export async function within<T>(
  delay: number,
  ...promises: Promise<T>[]
): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, delay, undefined);
  try {
    return await Promise.race<T | undefined>([...promises, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Limit how long reads wait in total after the exit of a child. What the child wrote is available
 * immediately, so a read that waits is waiting for another process that holds the child's end.
 *
 * @param exited Resolves when the child has exited.
 * @param close Called when reads have waited for {@linkcode END_WAIT} since then.
 * @returns A function to call with each read, which returns it.
 */
export function limitReads(
  exited: Promise<unknown>,
  close: () => void,
): <T>(read: Promise<T>) => Promise<T> {
  let left = END_WAIT;
  let hasExited = false;
  let last: Promise<unknown> = Promise.resolve();
  async function limit() {
    let start = performance.now();
    const count = () => {
      // A step lasts longer if this process is busy meanwhile: that is not the reads' time.
      left -= Math.min(performance.now() - start, STEP);
      start = performance.now();
      if (left <= 0) close();
    };
    const timer = setInterval(count, STEP);
    await last.catch(() => {});
    clearInterval(timer);
    count();
  }
  void exited.then(() => {
    hasExited = true;
    return limit();
  });
  return (read) => {
    last = read;
    if (hasExited) void limit();
    return read;
  };
}
