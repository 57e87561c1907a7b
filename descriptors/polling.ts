import { type Symbols, systemError } from "./library.ts";
import { POLLFD_SIZE, pollResult, setPollEntry } from "./structures.ts";

/**
 * How long a call of `poll()` waits, in ms. It bounds how long a thread is busy after an abort, and
 * how long the others wait if more than Deno's 32 threads for blocking calls are needed.
 */
const INTERVAL = 50;

/**
 * Wait until a descriptor is ready for some events, or the signal aborts. After that, no thread
 * uses the descriptor, so it can be closed.
 */
export async function waitUntilReady(
  symbols: Symbols,
  descriptor: number,
  events: number,
  signal: AbortSignal,
): Promise<void> {
  // Not memory of this isolate: poll() still writes to it after a Worker was terminated. In that
  // case it leaks.
  const memory = symbols.malloc(BigInt(POLLFD_SIZE));
  try {
    if (memory === null) throw systemError(symbols, "Cannot wait");
    const entry = new DataView(
      Deno.UnsafePointerView.getArrayBuffer(memory, POLLFD_SIZE),
    );
    setPollEntry(entry, descriptor, events);
    while (!signal.aborted && pollResult(entry) === 0) {
      const ready = await symbols.pollInThread(memory, 1n, INTERVAL);
      // errno belongs to the other thread, so repeat a failed call on this one.
      if (ready === -1 && symbols.poll(entry, 1n, 0) === -1) {
        throw systemError(symbols, "Cannot wait");
      }
    }
  } finally {
    symbols.free(memory);
  }
}
