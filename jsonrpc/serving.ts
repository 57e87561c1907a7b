import { InvalidMessageError } from "../channel.ts";

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;

/** MCP's notification that cancels a call. */
export const MCP_CANCEL = "notifications/cancelled";

/** How much of a method's name an error repeats, in UTF-16 units. */
const MAX_NAME_LENGTH = 100;

/** The members of a message. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * An error of JSON-RPC. A call rejects with it if the other side answers with an error, and a
 * method throws it to choose the code.
 *
 * @example
 * ```ts
 * import { JsonRpcError } from "@socketpair/socketpair/jsonrpc";
 * import { assertThrows } from "@std/assert";
 *
 * const methods = {
 *   buy(dish: string) {
 *     throw new JsonRpcError(404, `No ${dish} left`, { next: "18:00" });
 *   },
 * };
 * assertThrows(() => methods.buy("taco"), JsonRpcError, "No taco left");
 * ```
 */
export class JsonRpcError extends Error {
  /** The name of the class. */
  override readonly name = "JsonRpcError";
  /** An integer. The standard reserves -32768 to -32000. */
  readonly code: number;
  /** More about the error: any value that JSON can express. */
  readonly data?: unknown;

  /**
   * Construct a new instance.
   *
   * @param code An integer.
   * @param message What failed.
   * @param data More about the error.
   */
  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** The answer to a request that was cancelled. The code is LSP's. */
const CANCELLED = new JsonRpcError(-32800, "The call was cancelled");

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Make the error that a call rejects with from an answer. */
export function toError(error: unknown): JsonRpcError {
  const { code, message, data } = isObject(error) ? error : {};
  return new JsonRpcError(
    typeof code === "number" ? code : INTERNAL_ERROR,
    typeof message === "string" ? message : "The other side gave no message",
    data,
  );
}

/** Make an answer from an error. */
export function failureOf(id: unknown, error: unknown): Fields {
  const { code, message, data } = error instanceof JsonRpcError
    ? error
    : new JsonRpcError(
      error instanceof InvalidMessageError ? INVALID_PARAMS : INTERNAL_ERROR,
      messageOf(error),
    );
  return {
    jsonrpc: "2.0",
    id,
    error: { code, message, ...(data !== undefined && { data }) },
  };
}

/** Make an answer to a message that cannot be received. */
export function refusalOf(error: unknown): Fields {
  const isJson = error instanceof InvalidMessageError;
  const code = isJson ? INVALID_REQUEST : PARSE_ERROR;
  return failureOf(null, new JsonRpcError(code, messageOf(error)));
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : error;
  return typeof message === "string" ? message : "The method threw no error";
}

function isId(id: unknown): id is string | number | null {
  return typeof id === "string" || typeof id === "number" || id === null;
}

interface Request {
  readonly id?: string | number | null;
  readonly method: string;
  readonly params?: object | null;
}

function isRequest(message: unknown): message is Request {
  if (!isObject(message)) return false;
  const { jsonrpc, id, method, params } = message;
  return jsonrpc === "2.0" && typeof method === "string" &&
    (id === undefined || isId(id)) &&
    (params === undefined || typeof params === "object");
}

/** Refuse a message that is not a request. Without a method, its id may be that of an answer. */
function refuse(message: unknown): Fields {
  const { id, method } = isObject(message) ? message : {};
  return failureOf(
    typeof method === "string" && isId(id) ? id : null,
    new JsonRpcError(INVALID_REQUEST, "The message is not a request"),
  );
}

export interface ServingOptions {
  readonly methods: object;
  /** How many methods run at once. */
  readonly limit: number;
  readonly cancelMethod: string;
  report(error: unknown): void;
}

/** The side of a connection that is called. */
export class Serving {
  readonly #options: ServingOptions;
  /** Requests that were not answered yet, by id. */
  readonly #requests = new Map<unknown, AbortController>();
  #running = 0;
  /** Methods that wait until another one is done. */
  readonly #turns: (() => void)[] = [];

  constructor(options: ServingOptions) {
    this.#options = options;
  }

  /** Abort the signals of all methods. */
  abort(reason: unknown) {
    for (const controller of this.#requests.values()) controller.abort(reason);
  }

  /** Run the method that a message asks for, and return the answer, if it gets one. */
  async answer(message: unknown): Promise<Fields | undefined> {
    if (!isRequest(message)) return refuse(message);
    const { id, method, params } = message;
    if (id === undefined && method === this.#options.cancelMethod) {
      return this.#cancel(params);
    }
    const controller = new AbortController();
    const { signal } = controller;
    const key = id === undefined ? Symbol() : id;
    this.#requests.set(key, controller);
    await this.#turn();
    let answer: Fields;
    try {
      signal.throwIfAborted();
      const result = await this.#call(message, signal) ?? null;
      if (typeof result === "function" || typeof result === "symbol") {
        throw new TypeError(
          `The method returned a ${typeof result}, which has no JSON form`,
        );
      }
      answer = { jsonrpc: "2.0", id, result };
    } catch (error) {
      if (id === undefined) this.#options.report(error);
      const isCancelled = signal.aborted && error === signal.reason;
      answer = failureOf(id, isCancelled ? CANCELLED : error);
    } finally {
      if (this.#requests.get(key) === controller) this.#requests.delete(key);
      const next = this.#turns.shift();
      if (next) next();
      else this.#running--;
    }
    const isSilent = id === undefined ||
      (signal.aborted && this.#options.cancelMethod === MCP_CANCEL);
    return isSilent ? undefined : answer;
  }

  /** Answer each message of a batch. */
  async answerAll(messages: readonly unknown[]): Promise<Fields[] | undefined> {
    const running: Promise<Fields | undefined>[] = [];
    for (const message of messages) {
      // Do not queue all methods of a large batch.
      if (this.#turns.length >= this.#options.limit) await running.at(-1);
      running.push(this.answer(message));
    }
    const answers = (await Promise.all(running))
      .filter((answer) => answer !== undefined);
    return answers.length > 0 ? answers : undefined;
  }

  /** Wait for a turn: at least a microtask, so that methods start in the order of their requests. */
  #turn(): Promise<void> | undefined {
    if (this.#running >= this.#options.limit) {
      return new Promise((resolve) => this.#turns.push(resolve));
    }
    this.#running++;
  }

  #cancel(params: unknown): undefined {
    const { id, requestId } = isObject(params) ? params : {};
    this.#requests.get(id ?? requestId)?.abort(
      new DOMException("The caller cancelled the call", "AbortError"),
    );
  }

  #call({ id, method, params }: Request, signal: AbortSignal): unknown {
    const { methods } = this.#options;
    const called = Object.hasOwn(methods, method) &&
      Reflect.get(methods, method);
    if (typeof called !== "function") {
      if (id === undefined) return; // A notification may be for others.
      const name = method.slice(0, MAX_NAME_LENGTH);
      throw new JsonRpcError(METHOD_NOT_FOUND, `There is no method ${name}`);
    }
    const passed = Array.isArray(params) ? [...params] : params ? [params] : [];
    if (called.length > passed.length) {
      passed[called.length - 1] = { signal };
    }
    return Reflect.apply(called, methods, passed);
  }
}
