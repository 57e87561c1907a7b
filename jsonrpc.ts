/**
 * Call functions of the process at the other end of a channel.
 *
 * {@linkcode JsonRpc} speaks {@link https://www.jsonrpc.org/specification | JSON-RPC 2.0} over a
 * channel of `json()`: with another `JsonRpc`, or with any program that speaks it, such as
 * language servers and MCP servers.
 *
 * @example The parent
 * ```ts ignore
 * import { json, spawnModule } from "@socketpair/socketpair";
 * import { JsonRpc } from "@socketpair/socketpair/jsonrpc";
 * import type { Methods } from "./child.ts";
 *
 * await using child = await spawnModule("./child.ts", { serialization: json() });
 * const { remote } = new JsonRpc<Methods>(child.channel);
 * console.log(await remote.add(1, 2)); // 3
 * ```
 *
 * @example The child, `child.ts`
 * ```ts ignore
 * import { connectToParent, json } from "@socketpair/socketpair";
 * import { JsonRpc } from "@socketpair/socketpair/jsonrpc";
 *
 * const methods = { add: (a: number, b: number) => a + b };
 * export type Methods = typeof methods;
 * new JsonRpc(await connectToParent({ serialization: json() }), { methods });
 * ```
 *
 * @module
 */

import type { Channel } from "./channel.ts";
import { type Failure, markHandled } from "./channel/waiters.ts";
import { Calling } from "./jsonrpc/calling.ts";
import {
  failureOf,
  type Fields,
  refusalOf,
  Serving,
} from "./jsonrpc/serving.ts";
import type {
  JsonRpcOptions,
  RemoteMethods,
  RequestOptions,
} from "./jsonrpc/types.ts";

export { JsonRpcError } from "./jsonrpc/serving.ts";
export type * from "./jsonrpc/types.ts";

/**
 * Bad messages in a row that are answered. Without a limit, two peers with different serializations
 * would answer each other's answers indefinitely.
 */
const MAX_BAD_MESSAGES = 16;

/** How many times the limit of methods are received before receiving stops. */
const MAX_WAITING = 2;
/** The same while calls of this side are pending, whose answers have to be received. */
const MAX_WAITING_WITH_CALLS = 64;

/**
 * Calls in both directions over a channel of `json()`.
 *
 * It receives every message of the channel, so do not receive from the channel elsewhere. When the
 * other side closes its direction, pending calls reject, methods that are running finish and are
 * answered, and then the channel is closed.
 *
 * No promise of a `JsonRpc` is ever an unhandled rejection.
 *
 * @example
 * ```ts
 * import { Channel, json } from "@socketpair/socketpair/channel";
 * import { JsonRpc } from "@socketpair/socketpair/jsonrpc";
 * import { socketPair } from "@socketpair/socketpair/pair";
 * import { assertEquals } from "@std/assert";
 *
 * const methods = { add: (a: number, b: number) => a + b };
 * const [left, right] = await socketPair();
 * await using server = new JsonRpc(new Channel(left, { serialization: json() }), { methods });
 * await using client = new JsonRpc<typeof methods>(
 *   new Channel(right, { serialization: json() }),
 * );
 *
 * assertEquals(await client.remote.add(1, 2), 3);
 * ```
 *
 * @typeParam Remote The methods of the other side. This is a claim: nothing checks it.
 */
export class JsonRpc<
  Remote = Record<string, (...params: unknown[]) => unknown>,
> implements AsyncDisposable {
  readonly #channel: Channel<unknown, unknown>;
  readonly #calling: Calling;
  readonly #serving: Serving;
  readonly #limit: number;
  readonly #report: (error: unknown) => void;
  readonly #closed = Promise.withResolvers<void>();
  /** Why the channel failed, if it did. */
  #failure: Failure | undefined;

  /** Messages that were not handled yet, which includes sending their answers. */
  #handling = 0;
  /** Has `#receive()` look again at how many there are. */
  #wake = () => {};

  /**
   * The methods of the other side, which get their parameters by position.
   *
   * `then` is never a method, so that an async function can return this object. Call a method of
   * that name with {@linkcode JsonRpc.request}.
   */
  readonly remote: RemoteMethods<Remote>;

  /**
   * Construct a new instance and start receiving.
   *
   * @param channel A channel that sends any message, as one of `json()` does.
   * @param options Methods and limits.
   * @throws {RangeError} If `maxConcurrentRequests` is not an integer of 1 or more.
   */
  constructor(
    channel: Channel<unknown, unknown> & {
      // A property, not a method: a channel that sends strings only does not fit.
      send: (message: object) => Promise<void>;
    },
    options: JsonRpcOptions = {},
  ) {
    const { maxConcurrentRequests: limit = 1024 } = options;
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new RangeError(
        `Cannot use maxConcurrentRequests ${limit}: it must be an integer of 1 or more`,
      );
    }
    this.#channel = channel;
    this.#limit = limit;
    this.#report = async (error) => {
      try {
        await options.onError?.(error);
      } catch {
        // Nothing else can report it.
      }
    };
    const { methods = {}, cancelMethod = "$/cancelRequest" } = options;
    const shared = { methods, limit, cancelMethod, report: this.#report };
    this.#calling = new Calling(channel, shared);
    this.#serving = new Serving(shared);
    this.remote = new Proxy(Object.create(null), {
      get: (_target, name) =>
        typeof name === "symbol" || name === "then"
          ? undefined
          : (...params: unknown[]) =>
            this.request(name, params.length > 0 ? params : undefined),
    });
    markHandled(this.#closed.promise);
    channel.closed.catch((reason) => this.#failure = { reason });
    void this.#receive();
  }

  /**
   * Call a method of the other side with named parameters, with a signal, or by a name that is
   * not known to the types.
   *
   * @param method The name of the method.
   * @param params An array of positional parameters, or an object of named ones.
   * @param options A signal that cancels the call.
   * @returns A promise of the result.
   * @typeParam R The type of the result. This is a claim: nothing checks it.
   * @throws {JsonRpcError} If the other side answers with an error.
   * @throws {TypeError} If the parameters have no JSON form.
   * @throws {Error} The signal's reason, or the reason why the channel ended, such as `ExitError`.
   */
  request<R = unknown>(
    method: string,
    params?: object | undefined,
    options: RequestOptions = {},
  ): Promise<R> {
    const result = this.#calling.request<R>(method, params, options.signal);
    this.#wake();
    return result;
  }

  /**
   * Call a method of the other side and do not wait for an answer.
   *
   * @param method The name of the method.
   * @param params An array of positional parameters, or an object of named ones.
   * @returns A promise that resolves as that of `Channel.send()`.
   * @throws {TypeError} If the parameters have no JSON form.
   * @throws {Error} As `Channel.send()`.
   */
  notify(method: string, params?: object | undefined): Promise<void> {
    return this.#calling.send({ method, params });
  }

  /**
   * Resolves once the other side has closed its direction and its requests are answered, or once
   * this was disposed. Rejects if the channel fails.
   */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /**
   * Close the channel at the end of an `await using` block. Pending calls reject, and the signals
   * of running methods abort. If the channel fails, {@linkcode JsonRpc.closed} says so.
   *
   * @returns A promise that resolves when the channel is closed.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop(new DOMException("JsonRpc was disposed", "AbortError"));
    await this.#close();
  }

  async #receive() {
    const messages = this.#channel[Symbol.asyncIterator]();
    for (let badInARow = 0;;) {
      while (this.#isFull) await this.#untilWoken();
      try {
        const { done, value } = await messages.next();
        if (done) break;
        badInARow = 0;
        this.#take(value);
      } catch (error) {
        if (this.#failure) {
          this.#stop(this.#failure.reason);
          return this.#closed.reject(this.#failure.reason);
        }
        if (++badInARow <= MAX_BAD_MESSAGES) this.#reply(refusalOf(error));
        this.#report(error);
      }
    }
    this.#calling.end(new Error("The channel was closed"));
    while (this.#handling > 0) await this.#untilWoken();
    await this.#close();
  }

  get #isFull(): boolean {
    const times = this.#calling.isPending
      ? MAX_WAITING_WITH_CALLS
      : MAX_WAITING;
    return this.#handling >= times * this.#limit;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #take(message: unknown) {
    if (!Array.isArray(message) || message.length === 0) {
      if (this.#calling.settle(message)) return;
      this.#reply(this.#serving.answer(message));
    } else {
      const requests = message.filter((each) => !this.#calling.settle(each));
      if (requests.length > 0) this.#reply(this.#serving.answerAll(requests));
    }
  }

  /** Send an answer, if there is one. What it answers counts as handled from then on. */
  async #reply(answering: Fields | Promise<Fields | Fields[] | undefined>) {
    this.#handling++;
    try {
      const answer = await answering;
      if (answer) await this.#sendAnswer(answer);
    } catch {
      // The channel has failed: #receive() gets the reason.
    } finally {
      this.#handling--;
      this.#wake();
    }
  }

  async #sendAnswer(answer: Fields | Fields[]) {
    try {
      await this.#channel.send(answer);
    } catch (error) {
      // A result has no JSON form, or is too long.
      await this.#channel.send(
        Array.isArray(answer)
          ? answer.map(({ id }) => failureOf(id, error))
          : failureOf(answer.id, error),
      );
      this.#report(error);
    }
  }

  #stop(reason: unknown) {
    this.#calling.end(reason);
    this.#serving.abort(reason);
  }

  async #close() {
    try {
      await this.#channel.close();
      this.#closed.resolve();
    } catch (error) {
      this.#closed.reject(error);
    }
  }
}
