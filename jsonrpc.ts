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
import {
  failureOf,
  type Fields,
  isObject,
  MCP_CANCEL,
  refusalOf,
  Serving,
  toError,
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

/** A call of this side. */
interface Call {
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

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
  readonly #serving: Serving;
  readonly #limit: number;
  readonly #cancelMethod: string;
  readonly #onError: (error: unknown) => void;

  /** Pending calls of this side, by id. */
  readonly #calls = new Map<unknown, Call>();
  /** Calls of this side that were cancelled, whose answers may still arrive. */
  readonly #cancelled = new Set<unknown>();
  #lastId = 0;

  /** Messages that were not handled yet, which includes sending their answers. */
  #handling = 0;
  /** Has `#receive()` look again at how many there are. */
  #wake = () => {};

  /** Why no call can be made any longer. */
  #end: { readonly reason: unknown } | undefined;
  readonly #closed = Promise.withResolvers<void>();

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
    this.#cancelMethod = options.cancelMethod ?? "$/cancelRequest";
    this.#onError = options.onError ?? (() => {});
    this.#serving = new Serving({
      methods: options.methods ?? {},
      limit,
      cancelMethod: this.#cancelMethod,
      report: (error) => void this.#report(error),
    });
    this.remote = new Proxy(Object.create(null), {
      get: (_target, name) =>
        typeof name === "symbol" || name === "then"
          ? undefined
          : (...params: unknown[]) =>
            this.request(name, params.length > 0 ? params : undefined),
    });
    markHandled(this.#closed.promise);
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
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    markHandled(promise);
    const end = signal?.aborted ? signal : this.#end;
    if (end) {
      reject(end.reason);
      return promise;
    }
    const id = ++this.#lastId;
    const onAbort = () => {
      if (this.#calls.delete(id)) this.#cancel(id);
      reject(signal?.reason);
    };
    const forget = () => {
      this.#calls.delete(id);
      signal?.removeEventListener("abort", onAbort);
    };
    this.#calls.set(id, { resolve, reject });
    this.#wake();
    signal?.addEventListener("abort", onAbort);
    promise.then(forget, forget);
    this.#send({ id, method, params }).catch(reject);
    return promise;
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
    return this.#send({ method, params });
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
    let lastError: unknown;
    let badInARow = 0;
    for (;;) {
      while (this.#isFull) await this.#untilWoken();
      try {
        const { done, value } = await messages.next();
        if (done) break;
        badInARow = 0;
        this.#take(value);
      } catch (error) {
        if (badInARow > 0 && error === lastError) {
          // A channel that has failed rejects each call with the same error.
          this.#stop(error);
          return this.#closed.reject(error);
        }
        lastError = error;
        badInARow++;
        if (badInARow <= MAX_BAD_MESSAGES) {
          void this.#reply(this.#refuse(error));
        } else void this.#report(error);
      }
    }
    this.#rejectCalls(new Error("The channel was closed"));
    while (this.#handling > 0) await this.#untilWoken();
    await this.#close();
  }

  get #isFull(): boolean {
    const times = this.#calls.size > 0 ? MAX_WAITING_WITH_CALLS : MAX_WAITING;
    return this.#handling >= times * this.#limit;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #take(message: unknown) {
    if (!Array.isArray(message) || message.length === 0) {
      if (this.#settle(message)) return;
      void this.#reply(this.#serving.answer(message));
    } else {
      const requests = message.filter((each) => !this.#settle(each));
      if (requests.length === 0) return;
      void this.#reply(this.#serving.answerAll(requests));
    }
  }

  /** Settle the call that a message answers, if it is an answer: answers are never answered. */
  #settle(message: unknown): boolean {
    if (!isObject(message) || message.method !== undefined) return false;
    const { id, result, error } = message;
    const failure = error === undefined || error === null
      ? undefined
      : toError(error);
    const call = this.#calls.get(id);
    if (call) {
      this.#calls.delete(id);
      if (failure) call.reject(failure);
      else call.resolve(result);
      return true;
    }
    if (!("result" in message || "error" in message)) return false;
    if (!this.#cancelled.delete(id)) {
      void this.#report(
        failure ?? new Error("The other side answered no call"),
      );
    }
    return true;
  }

  /** Send an answer, if there is one. What it answers counts as handled from then on. */
  async #reply(answering: Promise<Fields | Fields[] | undefined | void>) {
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
      void this.#report(error);
    }
  }

  /** Answer a message that cannot be received. */
  async #refuse(error: unknown): Promise<void> {
    try {
      await this.#channel.send(refusalOf(error));
    } catch (reason) {
      if (reason === error) return; // The channel has failed.
    }
    void this.#report(error);
  }

  #cancel(id: number) {
    this.#cancelled.add(id);
    // Not all of them are answered.
    if (this.#cancelled.size > this.#limit) {
      const [oldest] = this.#cancelled;
      this.#cancelled.delete(oldest);
    }
    const isMcp = this.#cancelMethod === MCP_CANCEL;
    void this.notify(this.#cancelMethod, isMcp ? { requestId: id } : { id });
  }

  #send(message: Fields): Promise<void> {
    return this.#channel.send({ jsonrpc: "2.0", ...message });
  }

  async #report(error: unknown) {
    try {
      await this.#onError(error);
    } catch {
      // Nothing else can report it.
    }
  }

  #stop(reason: unknown) {
    this.#rejectCalls(reason);
    this.#serving.abort(reason);
  }

  #rejectCalls(reason: unknown) {
    this.#end ??= { reason };
    for (const call of this.#calls.values()) call.reject(this.#end.reason);
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

function markHandled(promise: Promise<unknown>) {
  promise.catch(() => {});
}
