import type { Channel } from "../channel.ts";
import {
  type Failure,
  markHandled,
  rejectedPromise,
} from "../channel/waiters.ts";
import {
  type Fields,
  isObject,
  MCP_CANCEL,
  type ServingOptions,
  toError,
} from "./serving.ts";

interface Call {
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

/** The side of a connection that calls. */
export class Calling {
  readonly #channel: Channel<unknown, unknown>;
  readonly #options: ServingOptions;
  /** Pending calls, by id. */
  readonly #calls = new Map<unknown, Call>();
  #lastId = 0;
  /** Why no call can be made any longer. */
  #end: Failure | undefined;

  constructor(channel: Channel<unknown, unknown>, options: ServingOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  get isPending(): boolean {
    return this.#calls.size > 0;
  }

  send(message: Fields): Promise<void> {
    return this.#channel.send({ jsonrpc: "2.0", ...message });
  }

  request<R>(
    method: string,
    params: object | undefined,
    signal: AbortSignal | undefined,
  ): Promise<R> {
    const end = signal?.aborted ? signal : this.#end;
    if (end) return rejectedPromise(end.reason);
    const { promise, resolve, reject } = Promise.withResolvers<R>();
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
    signal?.addEventListener("abort", onAbort);
    promise.then(forget, forget);
    this.send({ id, method, params }).catch(reject);
    return markHandled(promise);
  }

  #cancel(id: number) {
    const { cancelMethod: method } = this.#options;
    void this.send({
      method,
      params: method === MCP_CANCEL ? { requestId: id } : { id },
    });
  }

  /** Settle the call that a message answers, if it is an answer: answers are never answered. */
  settle(message: unknown): boolean {
    if (!isObject(message) || message.method !== undefined) return false;
    const { id, result, error = null } = message;
    const failure = error === null ? undefined : toError(error);
    const call = this.#calls.get(id);
    if (call) {
      this.#calls.delete(id);
      if (failure) call.reject(failure);
      else call.resolve(result);
      return true;
    }
    if (!("result" in message || "error" in message)) return false;
    // Otherwise it answers a call that was cancelled.
    if (typeof id !== "number" || id > this.#lastId) {
      const unknown = new Error("The other side answered no call");
      this.#options.report(failure ?? unknown);
    }
    return true;
  }

  /** Reject pending and later calls. */
  end(reason: unknown) {
    this.#end ??= { reason };
    for (const call of this.#calls.values()) call.reject(this.#end.reason);
  }
}
