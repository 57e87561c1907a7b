import os from "node:os";
import { closeOnExec, errnoOf, type Symbols, systemError } from "./library.ts";
import * as c from "./structures.ts";

const ACTION = "Cannot wait for descriptors";

/** A wait for descriptors. */
export interface Wait {
  /** Settles when nothing uses the descriptors any more: only then may they be closed. */
  readonly done: Promise<void>;
  /** End it early. */
  cancel(): void;
}

interface Waiter {
  readonly descriptors: readonly number[];
  readonly events: number;
  isDone: boolean;
  resolve(): void;
  reject(reason: unknown): void;
}

/**
 * Waits for descriptors. One `poll()` on one thread serves all waits, since Deno has 32
 * threads for such calls and for its own files.
 */
export class Poller implements Disposable {
  readonly #symbols: Symbols;
  readonly #waiters = new Set<Waiter>();
  /** A byte from `#wakeupWrite` makes it ready, which ends a `poll()`. */
  readonly #wakeupRead: number;
  readonly #wakeupWrite: number;
  #isRunning = false;
  #isPolling = false;
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

  /** Wait until one of the descriptors is ready for `events`. */
  wait(descriptors: readonly number[], events: number): Wait {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { descriptors, events, isDone: false, resolve, reject };
    this.#waiters.add(waiter);
    if (this.#isRunning) this.#wakeUp();
    else this.#run();
    return {
      done: promise,
      cancel: () => {
        waiter.isDone = true;
        this.#wakeUp();
      },
    };
  }

  #wakeUp() {
    if (!this.#isPolling || this.#isWakingUp) return;
    this.#isWakingUp = true;
    this.#symbols.write(this.#wakeupWrite, new Uint8Array(1), 1n);
  }

  async #run() {
    this.#isRunning = true;
    for (;;) {
      for (const waiter of this.#waiters) {
        if (!waiter.isDone) continue;
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
      // A waiter that is woken mostly waits again at once: let that be part of this poll().
      await null;
      if (this.#waiters.size === 0) break;
      await this.#poll();
    }
    this.#isRunning = false;
  }

  async #poll() {
    const entries = [...this.#waiters].flatMap((waiter) =>
      waiter.descriptors.map((descriptor) => ({ descriptor, waiter }))
    );
    const view = new DataView(
      new ArrayBuffer(c.POLLFD_SIZE * (entries.length + 1)),
    );
    c.setPollEntry(view, 0, this.#wakeupRead, c.POLLIN);
    for (const [index, { descriptor, waiter }] of entries.entries()) {
      c.setPollEntry(view, index + 1, descriptor, waiter.events);
    }
    const symbols = this.#symbols;
    const count = BigInt(entries.length + 1);
    this.#isPolling = true;
    const ready = await symbols.pollInThread(view, count, -1);
    this.#isPolling = false;

    // That errno was another thread's: ask again on this one.
    if (ready === -1 && symbols.poll(view, count, 0) === -1) {
      return this.#fail();
    }
    if (c.pollResult(view, 0) !== 0) {
      symbols.read(this.#wakeupRead, new Uint8Array(1), 1n);
      this.#isWakingUp = false;
    }
    for (const [index, { waiter }] of entries.entries()) {
      if (c.pollResult(view, index + 1) !== 0) waiter.isDone = true;
    }
  }

  #fail() {
    const code = errnoOf(this.#symbols);
    if (code === os.constants.errno.EINTR) return;
    const error = systemError(this.#symbols, ACTION, code);
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }
}
