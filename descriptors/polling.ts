import { closeOnExec, type Symbols, systemError } from "./library.ts";
import * as c from "./structures.ts";

const ACTION = "Cannot wait for descriptors";

/**
 * Timeout of a `poll()` in ms, after which the next one starts. It matters only to a Worker that
 * was terminated, because nothing else ends its `poll()`.
 */
const TIMEOUT = 10_000;

interface Waiter extends PromiseWithResolvers<void> {
  readonly descriptors: readonly number[];
  readonly events: number;
}

/**
 * Waits for descriptors. All waits share one thread, because Deno has only 32 threads for
 * blocking calls, including its own file operations.
 */
export class Poller implements Disposable {
  readonly #symbols: Symbols;
  readonly #waiters = new Set<Waiter>();
  /** The waiters of the `poll()` in progress. */
  #polled: ReadonlySet<Waiter> = new Set();
  /** Every `poll()` includes it, so that a byte written to `#wakeupWrite` ends it. */
  readonly #wakeupRead: number;
  readonly #wakeupWrite: number;
  #isRunning = false;
  #isWakingUp = false;

  constructor(symbols: Symbols) {
    const ends = new Int32Array(2);
    const type = c.SOCK_STREAM | c.SOCK_CLOEXEC;
    if (symbols.socketpair(c.AF_UNIX, type, 0, ends) === -1) {
      throw systemError(symbols, ACTION);
    }
    closeOnExec(symbols, ...ends);
    [this.#wakeupRead = -1, this.#wakeupWrite = -1] = ends;
    this.#symbols = symbols;
  }

  [Symbol.dispose](): void {
    this.#symbols.close(this.#wakeupRead);
    this.#symbols.close(this.#wakeupWrite);
  }

  /**
   * Wait until one of the descriptors is ready for `events`, or the signal aborts. After that the
   * thread no longer uses the descriptors, so they can be closed.
   */
  async wait(
    descriptors: readonly number[],
    events: number,
    signal: AbortSignal,
  ): Promise<void> {
    if (signal.aborted) return;
    const waiter = { descriptors, events, ...Promise.withResolvers<void>() };
    this.#waiters.add(waiter);
    if (this.#polled.size > 0) this.#wakeUp();
    if (!this.#isRunning) this.#run();
    const onAbort = () => {
      this.#waiters.delete(waiter);
      if (this.#polled.has(waiter)) this.#wakeUp();
      else waiter.resolve();
    };
    signal.addEventListener("abort", onAbort);
    try {
      await waiter.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #wakeUp() {
    if (this.#isWakingUp) return;
    this.#isWakingUp = true;
    this.#symbols.write(this.#wakeupWrite, new Uint8Array(1), 1n);
  }

  async #run() {
    this.#isRunning = true;
    for (;;) {
      // A waiter usually waits again immediately: let the next poll() include it.
      await null;
      if (this.#waiters.size === 0) break;
      await this.#poll();
    }
    this.#isRunning = false;
  }

  async #poll() {
    const waiters = new Set(this.#waiters);
    const entries = [...waiters].flatMap((waiter) =>
      waiter.descriptors.map((descriptor) => ({ descriptor, waiter }))
    );
    const { free, malloc, poll, pollInThread, read } = this.#symbols;
    const count = entries.length + 1;
    const size = c.POLLFD_SIZE * count;
    // Not memory of this isolate: poll() still writes to it after a Worker was terminated. In
    // that case it leaks.
    const memory = malloc(BigInt(size));
    this.#polled = waiters;
    try {
      if (memory === null) throw systemError(this.#symbols, ACTION);
      const view = new DataView(
        Deno.UnsafePointerView.getArrayBuffer(memory, size),
      );
      c.setPollEntry(view, 0, this.#wakeupRead, c.POLLIN);
      for (const [index, { descriptor, waiter }] of entries.entries()) {
        c.setPollEntry(view, index + 1, descriptor, waiter.events);
      }
      const ready = await pollInThread(memory, BigInt(count), TIMEOUT);
      // errno belongs to the other thread, so repeat a failed call on this one.
      if (ready === -1 && poll(view, BigInt(count), 0) === -1) {
        throw systemError(this.#symbols, ACTION);
      }
      if (c.pollResult(view, 0) !== 0) {
        read(this.#wakeupRead, new Uint8Array(1), 1n);
        this.#isWakingUp = false;
      }
      for (const [index, { waiter }] of entries.entries()) {
        if (c.pollResult(view, index + 1) !== 0) this.#waiters.delete(waiter);
      }
      // Aborted waiters were removed, too.
      for (const waiter of waiters.difference(this.#waiters)) waiter.resolve();
    } catch (error) {
      for (const waiter of waiters) {
        this.#waiters.delete(waiter);
        waiter.reject(error);
      }
    } finally {
      free(memory);
      this.#polled = new Set();
    }
  }
}
