import { checkDescriptor, Libc } from "./libc.ts";
import { OperationQueue } from "./operation_queue.ts";
import { AF_UNIX, POLLIN, POLLOUT } from "./structures.ts";

/** Options for {@linkcode DescriptorSocket.receive}. */
export interface ReceiveDescriptorOptions {
  /** Gives up the wait. No descriptor is lost: the next call gets it. */
  signal?: AbortSignal | undefined;
}

/**
 * A connected Unix socket over which descriptors go both ways.
 *
 * A program mostly gets one from {@linkcode spawnWithDescriptors} or
 * {@linkcode connectDescriptorsToParent}. It is wire-compatible with `send_io` and
 * `recv_io` of Ruby, `send_fds` and `recv_fds` of Python, and `SCM_RIGHTS` anywhere: one
 * byte, whatever its value, comes with each message.
 *
 * A descriptor that is sent stays open in the sender until the sender closes it, and one
 * that is received belongs to the receiver, who closes it. Both then share one open file:
 * its position, its status flags, and the state of a socket. So a socket that was Deno's
 * never blocks (`O_NONBLOCK`): Ruby copes with it, and Python does after
 * `setblocking(True)`. What is sent and has not been received counts against the sender's
 * limit of open files.
 *
 * While it waits a socket keeps the process alive. Close it before the Worker that it is in
 * is terminated, since Deno then runs no more code of it: its descriptors, and those that it
 * received, stay open until the process ends, so that the peer sees no end, and a thread
 * waits on for up to 10 seconds.
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
  /** Descriptors that came in one message with another one. */
  readonly #arrived: number[] = [];
  #closed: Promise<void> | undefined;

  /**
   * Construct a new instance over a Unix stream socket that is connected already: one that
   * was inherited, say, or was itself received. It belongs to the instance from then on.
   *
   * @param descriptor The descriptor of the socket.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {TypeError} If it is no Unix socket.
   * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
   * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
   */
  constructor(descriptor: number) {
    const action = "Cannot use descriptor";
    using libc = Libc.use();
    libc.flags(action, descriptor);
    if (libc.address("getsockname", descriptor)?.family !== AF_UNIX) {
      throw new TypeError(`${action} ${descriptor}: it is not a Unix socket`);
    }
    this.#socket = descriptor;
    this.#sending = new OperationQueue(libc.poller, descriptor, POLLOUT);
    this.#receiving = new OperationQueue(libc.poller, descriptor, POLLIN);
    // Last, as nothing may fail from here on: close() gives it back.
    this.#libc = Libc.use();
  }

  /**
   * Send a descriptor.
   *
   * Calls may overlap: descriptors are sent in call order. When the receiver does not keep
   * up, the system takes some 70 (on Linux), and then the promise stays pending.
   *
   * @param descriptor The descriptor. It stays open; leave it so until the promise has
   * settled.
   * @returns A promise that resolves once the system has taken the descriptor.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {Deno.errors.BrokenPipe} If the peer has closed its socket.
   * @throws {TypeError} If this socket is closed, or `descriptor` is not an integer.
   */
  send(descriptor: number): Promise<void> {
    const sent = this.#send(descriptor);
    // A rejection that nobody awaits does not count as unhandled.
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
    const byte = new Uint8Array(1);
    await this.#sending.perform(() =>
      this.#libc.send(this.#socket, byte, descriptor)
    );
  }

  /**
   * Receive the next descriptor.
   *
   * Calls may overlap: they are answered in call order. Where a message carries several
   * descriptors, each is received by a call of its own. A bad message harms only itself:
   * the next call gets the next one.
   *
   * @param options When to give up.
   * @returns A promise of the descriptor, which is the caller's to close, by whatever opens
   * it ({@linkcode openFile}, {@linkcode openSocket}, {@linkcode listen}) or by
   * {@linkcode closeDescriptor}; programs that this one starts do not inherit it. `null`
   * when the peer has closed its socket, or this one is closed.
   *
   * @throws {Deno.errors.InvalidData} If a byte came without a descriptor.
   * @throws {Error} If the system dropped descriptors, mostly since this process has too
   * many open.
   * @throws {Deno.errors.ConnectionReset} If the peer went without receiving what was sent.
   * @throws {unknown} The reason of the signal, when it aborts.
   */
  receive(options: ReceiveDescriptorOptions = {}): Promise<number | null> {
    return this.#receiving.perform(() => this.#receive(), options.signal);
  }

  #receive(): number | null | undefined {
    if (this.#closed) return null;
    const next = this.#arrived.shift();
    if (next !== undefined) return next;
    // One byte at a time: of more, nobody could tell which one a descriptor came with.
    const message = this.#libc.receive(this.#socket, 1);
    if (message === undefined) return undefined;
    const { bytes, descriptors, isTruncated } = message;
    if (isTruncated) {
      for (const descriptor of descriptors) this.#libc.close(descriptor);
      throw new Error(
        "Cannot receive descriptor: the system dropped it, mostly since too many files are open",
      );
    }
    const [first, ...others] = descriptors;
    if (first !== undefined) {
      this.#arrived.push(...others);
      return first;
    }
    if (bytes.length === 0) return null;
    throw new Deno.errors.InvalidData(
      "Cannot receive descriptor: a byte came without one",
    );
  }

  /**
   * Close the socket, once what is being sent has been sent.
   *
   * Pending calls of {@linkcode DescriptorSocket.receive} resolve to `null`. Descriptors
   * that came, or still come, and that nobody received are closed.
   *
   * @returns A promise that resolves once the socket is closed; the same one each time.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close() {
    // So that receive() sees that it is closed.
    await null;
    this.#receiving.flush();
    await this.#receiving.finish();
    if (!this.#sending.isEmpty) await this.#finishSending();
    using libc = this.#libc;
    for (const descriptor of this.#arrived) libc.close(descriptor);
    libc.close(this.#socket);
  }

  /** Drop what comes meanwhile: the peer may be closing too, and have no room left to send. */
  async #finishSending() {
    const { poller } = this.#libc;
    const dropping = new OperationQueue(poller, this.#socket, POLLIN);
    const sent = new AbortController();
    dropping.perform(() => {
      const bytes = this.#libc.receiveBytes(this.#socket, 1);
      return bytes?.length === 0 ? true : undefined;
    }, sent.signal);
    await this.#sending.finish();
    sent.abort();
    await dropping.finish();
  }

  /**
   * Close the socket, as {@linkcode DescriptorSocket.close} does.
   *
   * @returns A promise that resolves once the socket is closed.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
