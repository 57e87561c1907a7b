import { checkDescriptor, Libc } from "./libc.ts";
import { OperationQueue } from "./operation_queue.ts";
import { POLLIN, POLLOUT } from "./structures.ts";

/** How long a peer that is sending too may take to finish, in ms. */
const PEER_TIMEOUT = 1_000;

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
 * A call that waits looks whether it is still wanted every 50 ms, so an abort or a close can take
 * that long. It takes one of the 32 threads that Deno has for blocking calls: with more sockets
 * that wait, each of them and Deno's own file operations are slower.
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
  readonly #libc: Libc;
  readonly #socket: number;
  readonly #sending: OperationQueue;
  readonly #receiving: OperationQueue;
  /** The other descriptors of a message whose first one was received. */
  readonly #arrived: number[] = [];
  #closed: Promise<void> | undefined;

  /**
   * Create an instance for a connected Unix stream socket, such as one that was inherited or
   * received. The instance owns the descriptor.
   *
   * @param descriptor The descriptor of the socket.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {TypeError} If it is not a Unix socket.
   * @throws {Deno.errors.NotCapable} If unrestricted `--allow-ffi` is not granted.
   * @throws {Deno.errors.NotSupported} On systems other than Linux and macOS.
   */
  constructor(descriptor: number) {
    const action = "Cannot use descriptor";
    using libc = Libc.use();
    libc.flags(action, descriptor);
    if (libc.address("getsockname", descriptor) !== "unix") {
      throw new TypeError(`${action} ${descriptor}: it is not a Unix socket`);
    }
    this.#socket = descriptor;
    this.#sending = new OperationQueue(libc, descriptor, POLLOUT);
    this.#receiving = new OperationQueue(libc, descriptor, POLLIN);
    // Acquire last: only close() releases it.
    this.#libc = Libc.use();
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
    const sent = this.#send(descriptor);
    // Don't report a rejection as unhandled.
    sent.catch(() => {});
    return sent;
  }

  async #send(descriptor: number) {
    checkDescriptor("Cannot send descriptor", descriptor);
    if (this.#closed) {
      throw new TypeError(
        `Cannot send descriptor ${descriptor}: the socket is closed`,
      );
    }
    await this.#sending.perform(() =>
      this.#libc.send(this.#socket, descriptor)
    );
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
  receive(options: ReceiveDescriptorOptions = {}): Promise<number | null> {
    return this.#receiving.perform(() => this.#receive(), options.signal);
  }

  #receive(): number | null | undefined {
    if (this.#closed) return null;
    const next = this.#arrived.shift();
    if (next !== undefined) return next;
    const message = this.#libc.receive(this.#socket);
    if (message === undefined) return undefined;
    if (message === null) return null;
    const { descriptors, isTruncated } = message;
    if (isTruncated) {
      for (const descriptor of descriptors) this.#libc.close(descriptor);
      throw new Error(
        "Cannot receive descriptor: the system dropped it, usually because too many files are open",
      );
    }
    const [first, ...others] = descriptors;
    if (first === undefined) {
      throw new Deno.errors.InvalidData(
        "Cannot receive descriptor: the message has none",
      );
    }
    this.#arrived.push(...others);
    return first;
  }

  /**
   * Close the socket after pending sends have finished. If the peer is sending too, it has 1 s
   * after that to finish.
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
    // Let close() set #closed first, so that pending calls resolve to null.
    await null;
    this.#receiving.stop();
    await this.#receiving.pending;
    using libc = this.#libc;
    if (this.#sending.pending) {
      // The peer may be closing too: it can finish only if this process reads what it sends.
      const discarding = new OperationQueue(libc, this.#socket, POLLIN);
      const over = new AbortController();
      let isPeerSending = false;
      discarding.perform(() => {
        const bytes = libc.read(this.#socket, 64);
        if (bytes?.length === 0) return true;
        if (bytes) isPeerSending = true;
        return undefined;
      }, over.signal).catch(() => {});
      await this.#sending.pending;
      libc.closeWrite(this.#socket);
      const delay = isPeerSending ? PEER_TIMEOUT : 0;
      const timer = setTimeout(() => over.abort(), delay);
      await discarding.pending;
      clearTimeout(timer);
    }
    for (const descriptor of this.#arrived) libc.close(descriptor);
    libc.close(this.#socket);
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
