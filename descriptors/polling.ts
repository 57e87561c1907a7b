import os from "node:os";
import { closeOnExec, errnoOf, type Symbols, systemError } from "./library.ts";
import * as c from "./structures.ts";

const ACTION = "Cannot wait for descriptors";

/**
 * How long one `poll()` takes at most, in ms. Nothing ends that of a Worker which has been
 * terminated, so that it must end by itself; others begin the next one.
 */
const LIMIT = 10_000;

interface Waiter extends PromiseWithResolvers<void> {
  readonly descriptors: readonly number[];
  readonly events: number;
}

/**
 * Waits for descriptors. One `poll()` on one thread serves all waits, since Deno has 32
 * threads for such calls and for its own files.
 */
export class Poller implements Disposable {
  readonly #symbols: Symbols;
  readonly #waiters = new Set<Waiter>();
  /** Those whose descriptors the thread uses now. */
  #polled: ReadonlySet<Waiter> = new Set();
  /** A byte from `#wakeupWrite` makes it ready, which ends a `poll()`. */
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
   * Wait until one of the descriptors is ready for `events`, or the signal aborts. Nothing uses
   * them any more when this settles: only then may they be closed.
   */
  async wait(
    descriptors: readonly number[],
    events: number,
    signal: AbortSignal,
  ): Promise<void> {
    const waiter = { descriptors, events, ...Promise.withResolvers<void>() };
    this.#waiters.add(waiter);
    if (this.#polled.size > 0) this.#wakeUp();
    if (!this.#isRunning) this.#run();
    const onAbort = () => {
      this.#waiters.delete(waiter);
      // Outside of a poll() there is nothing to wake up: the wait is over at once.
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
      // A waiter that is woken mostly waits again at once: let that be part of this poll().
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
    // It belongs to the C library, not to this isolate: a Worker can be terminated while poll()
    // is to write here later. Then nobody frees it.
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
      const ready = await pollInThread(memory, BigInt(count), LIMIT);
      // That errno was another thread's: ask again on this one.
      if (ready === -1 && poll(view, BigInt(count), 0) === -1) {
        const code = errnoOf(this.#symbols);
        const { EINTR } = os.constants.errno;
        if (code !== EINTR) throw systemError(this.#symbols, ACTION, code);
      }

      if (c.pollResult(view, 0) !== 0) {
        read(this.#wakeupRead, new Uint8Array(1), 1n);
        this.#isWakingUp = false;
      }
      for (const [index, { waiter }] of entries.entries()) {
        if (c.pollResult(view, index + 1) !== 0) this.#waiters.delete(waiter);
      }
      for (const waiter of waiters) {
        // Those that were cancelled have gone, too.
        if (!this.#waiters.has(waiter)) waiter.resolve();
      }
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
