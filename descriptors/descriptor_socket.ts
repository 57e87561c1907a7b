import { addressOf } from "./address.ts";
import { checkDescriptor, flagsOf, libc } from "./libc.ts";
import { MessageBuffer } from "./message.ts";
import { POLLIN, POLLOUT, read, wait } from "./unix_socket.ts";

/** Options for {@linkcode DescriptorSocket.receive}. */
export interface ReceiveDescriptorOptions {
  /** Stops waiting. No descriptor is lost: the next call receives it. */
  signal?: AbortSignal | undefined;
}

/**
 * A connected Unix socket that sends and receives descriptors.
 *
 * {@linkcode spawnWithDescriptors} and {@linkcode connectDescriptorsToParent} create one. The
 * wire format is that of Ruby's `send_io` and `recv_io`, Python's `send_fds` and `recv_fds`, and
 * other users of `SCM_RIGHTS`: each message has one byte of data, with any value.
 *
 * A descriptor that was sent stays open in the sender until the sender closes it. A descriptor
 * that was received must be closed by the receiver. Both refer to the same open file, so
 * they share its position, its status flags, and the state of a socket. For example, a socket
 * from Deno is non-blocking (`O_NONBLOCK`): Ruby handles that, and Python needs
 * `setblocking(True)`. Descriptors that haven't been received yet count against the sender's
 * limit of open files.
 *
 * A pending call keeps the process alive. Close the socket before you terminate its Worker:
 * Deno runs no more code of a terminated Worker, so its descriptors stay open until the process
 * exits, and the peer isn't notified.
 *
 * A waiting call checks every 50 ms whether the socket is closed, so `close()` can take that long.
 * It occupies one of Deno's 32 threads for blocking calls. If more sockets wait, they and Deno's
 * file operations become slower.
 *
 * @example
 * ```ts
 * import { closeSync, openSync } from "node:fs";
 * import { openFile, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * // The child sends each descriptor back.
 * const program = `
 * require "socket"
 * UNIXSocket.new(ENV["SOCKETPAIR_PATH"]).write(ENV["SOCKETPAIR_TOKEN"])
 * descriptors = UNIXSocket.new(ENV["SOCKETPAIR_DESCRIPTORS_PATH"])
 * descriptors.write(ENV["SOCKETPAIR_TOKEN"])
 * descriptors.send_io(descriptors.recv_io)
 * `;
 * const { child, descriptors } = await spawnWithDescriptors("ruby", { args: ["-e", program] });
 *
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "taco cat");
 * const descriptor = openSync(path, "r");
 * await descriptors.send(descriptor);
 * closeSync(descriptor);
 *
 * const received = await descriptors.receive();
 * if (received === null) throw new Error("The child sent nothing");
 * const file = await openFile(received);
 * assertEquals(await new Response(file.readable).text(), "taco cat");
 *
 * assertEquals(await descriptors.receive(), null);
 * await descriptors.close();
 * await child.close();
 * await Deno.remove(path);
 * ```
 */
export class DescriptorSocket implements AsyncDisposable {
  readonly #socket: number;
  readonly #message: MessageBuffer;
  /** Settles when all calls of `send()` so far have ended. */
  #sending: Promise<unknown> = Promise.resolve();
  /** Settles when all calls of `receive()` so far have ended. */
  #receiving: Promise<unknown> = Promise.resolve();
  /** Descriptors of the last message that were not received. */
  readonly #arrived: number[] = [];
  #closed: Promise<void> | undefined;

  /**
   * Create an instance for a connected Unix stream socket, such as one that was inherited or
   * received. The instance owns the descriptor.
   *
   * @param descriptor The descriptor of the socket, which must not have the option `SO_PASSCRED`.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {TypeError} If it is not a Unix socket.
   * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
   * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
   */
  constructor(descriptor: number) {
    const action = "Cannot use descriptor";
    flagsOf(action, descriptor);
    if (addressOf(descriptor) !== "unix") {
      throw new TypeError(`${action} ${descriptor}: it is not a Unix socket`);
    }
    this.#socket = descriptor;
    this.#message = new MessageBuffer();
  }

  /**
   * Send a descriptor.
   *
   * Descriptors are sent in call order. If the receiver doesn't keep up, the system queues about
   * 70 descriptors (on Linux), and later calls wait.
   *
   * @param descriptor The descriptor. Don't close it before the promise settles.
   * @returns A promise that resolves when the system has taken the descriptor.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {Deno.errors.BrokenPipe} If the peer has closed its socket.
   * @throws {TypeError} If this socket is closed, or `descriptor` is not an integer.
   */
  send(descriptor: number): Promise<void> {
    const action = "Cannot send descriptor";
    const isClosed = this.#closed !== undefined;
    const sent = this.#sending.then(async () => {
      checkDescriptor(action, descriptor);
      if (isClosed) {
        throw new TypeError(`${action} ${descriptor}: the socket is closed`);
      }
      while (!this.#message.send(this.#socket, descriptor)) {
        await wait(this.#socket, POLLOUT);
      }
    });
    // Also keeps a rejection from being reported as unhandled.
    this.#sending = sent.catch(() => {});
    return sent;
  }

  /**
   * Receive the next descriptor.
   *
   * Overlapping calls resolve in call order. If a message carries several descriptors, each call
   * receives one of them. After an error, the next call receives the next message.
   *
   * @param options When to stop waiting.
   * @returns A promise of the descriptor, or of `null` if the peer has closed its socket or this
   * socket is closed. The caller must close the descriptor, either with the object that
   * {@linkcode openFile}, {@linkcode openSocket} or {@linkcode listen} returns for it, or with
   * {@linkcode closeDescriptor}. Child processes don't inherit it.
   *
   * @throws {Deno.errors.InvalidData} If a message has no descriptor.
   * @throws {Error} If the system dropped descriptors, usually because this process has too
   * many open.
   * @throws {Deno.errors.ConnectionReset} If the peer closed its socket without receiving
   * everything that was sent.
   * @throws {unknown} The signal's reason, if the signal aborts.
   */
  receive(
    { signal }: ReceiveDescriptorOptions = {},
  ): Promise<number | null> {
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    const onAbort = () => reject(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort);
    this.#receiving = this.#receiving.then(async () => {
      while (!signal?.aborted) {
        const next = this.#next();
        // At once, so that an abort can't lose the descriptor.
        if (next !== undefined) return resolve(next);
        await wait(this.#socket, POLLIN);
      }
    }).catch(reject).finally(() =>
      signal?.removeEventListener("abort", onAbort)
    );
    // Don't report a rejection as unhandled.
    promise.catch(() => {});
    return promise;
  }

  /** Get the next descriptor: `null` at the end, `undefined` if there is none yet. */
  #next(): number | null | undefined {
    if (this.#closed) return null;
    if (this.#arrived.length === 0) {
      const descriptors = this.#message.receive(this.#socket);
      if (descriptors === undefined) return undefined;
      this.#arrived.push(...descriptors);
    }
    return this.#arrived.shift() ?? null;
  }

  /**
   * Close the socket after pending sends have finished. What the peer sends meanwhile is
   * discarded. After that, the peer can no longer send: even if it is closing too, its pending
   * sends reject with `Deno.errors.BrokenPipe`.
   *
   * Pending calls of {@linkcode DescriptorSocket.receive} resolve to `null`. Descriptors that
   * were not received are closed.
   *
   * @returns A promise that resolves when the socket is closed. Each call returns the same one.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close() {
    let hasSent = false;
    const sent = this.#sending.then(() => hasSent = true);
    await this.#receiving;
    // The peer may be closing too: it can finish only if this process reads what it sends.
    while (!hasSent && read(this.#socket, 64)?.length !== 0) {
      await wait(this.#socket, POLLIN);
    }
    await sent;
    for (const descriptor of this.#arrived) libc().close(descriptor);
    libc().close(this.#socket);
  }

  /**
   * Close the socket like {@linkcode DescriptorSocket.close}.
   *
   * @returns A promise that resolves when the socket is closed.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
