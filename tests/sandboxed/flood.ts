const MAX_MESSAGES = 256;
const MESSAGE_LENGTH = 1_048_576;
const STALL_INTERVAL = 200;

/** Send messages of 1 MiB until `send()` stalls, and return how many it took: 256 at most. */
export async function flood(
  send: (length: number) => Promise<void>,
): Promise<number> {
  let count = 0;
  const sending = (async () => {
    for (; count < MAX_MESSAGES; count++) await send(MESSAGE_LENGTH);
  })();
  const { promise: stalled, resolve } = Promise.withResolvers<void>();
  let before = -1;
  const timer = setInterval(() => {
    if (count === before) resolve();
    before = count;
  }, STALL_INTERVAL);
  await Promise.race([sending, stalled]);
  clearInterval(timer);
  sending.catch(() => {});
  return count;
}
