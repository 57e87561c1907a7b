/** The types of calls: of methods, as both sides see them, and options. Types only. */

/** The last argument of a method: see {@linkcode JsonRpcOptions.methods}. */
export interface CallContext {
  /** Aborts when the caller cancels the call, and when the connection fails or is disposed. */
  readonly signal: AbortSignal;
}

/** Tell whether a parameter is the {@linkcode CallContext}: `any`, `never` and records are not. */
export type IsContext<T> = 0 extends 1 & T ? false
  : [T] extends [never] ? false
  : string extends keyof T ? false
  : "signal" extends keyof T
    ? [T] extends [{ readonly signal?: AbortSignal | undefined }] ? true : false
  : false;

/** The parameters that a caller passes: see {@linkcode RemoteMethods}. */
export type PassedParams<Params extends readonly unknown[]> =
  Required<Params> extends [...infer Rest, infer Last]
    ? IsContext<NonNullable<Last>> extends true ? Rest : Required<Params>
    : Params;

/** What a caller gets: JSON has no `undefined`, which arrives as `null`. */
export type ReceivedResult<Result> = undefined extends Result
  ? void extends Result ? Result : Exclude<Result, undefined> | null
  : Result;

/**
 * The methods of the other side as this side calls them: without the {@linkcode CallContext},
 * and each returns a promise.
 *
 * Optional parameters must be passed, because a method that declares more parameters than were
 * passed gets the `CallContext` as its last one. `then` is left out: see `JsonRpc.remote`.
 *
 * @typeParam Methods The methods as the other side declares them.
 */
export type RemoteMethods<Methods> = {
  readonly [
    Name in keyof Methods as Name extends "then" | symbol ? never
      : Methods[Name] extends (...params: never) => unknown ? Name
      : never
  ]: Methods[Name] extends (...params: infer Params) => infer Result ? (
      ...params: PassedParams<Params>
    ) => Promise<ReceivedResult<Awaited<Result>>>
    : never;
};

/** Options for `new JsonRpc()`. */
export interface JsonRpcOptions {
  /**
   * The methods that the other side may call: own properties of this object that are functions.
   * Inherited ones are not reachable. Positional parameters become the arguments, named
   * parameters a single object. The answer is what the method returns or resolves to.
   *
   * A method that declares more parameters than were passed gets a {@linkcode CallContext} as its
   * last argument: `async (path, { signal }) => ...`. The method's `length` counts: it does not
   * include parameters with a default value and rest parameters.
   *
   * To choose the code of an error, throw a `JsonRpcError`. An `InvalidMessageError` becomes
   * -32602, and anything else -32603 with the error's message.
   *
   * @default {{}}
   */
  methods?: object | undefined;
  /**
   * The number of methods that run at once. As many more messages wait for their turn or for
   * their answer to be sent; beyond that, receiving stops until one is done. While calls of this
   * side are pending, receiving goes on up to 64 times this number, because their answers arrive
   * in the same way. Two sides that wait for each other with more calls than that wait
   * indefinitely.
   *
   * @default {1024}
   */
  maxConcurrentRequests?: number | undefined;
  /**
   * The notification that cancels a call: `"$/cancelRequest"` (LSP, with `{ id }`) or
   * `"notifications/cancelled"` (MCP, with `{ requestId }`). With the latter a cancelled call is
   * not answered, as MCP wants it. Otherwise it is, as LSP wants it.
   *
   * @default {"$/cancelRequest"}
   */
  cancelMethod?: string | undefined;
  /**
   * Gets the errors that no call reports: messages that are not JSON-RPC, answers to no call
   * (late answers to cancelled calls are ignored), notifications whose method threw, and results
   * that cannot be sent. Errors that it throws itself are ignored.
   *
   * @param error The error.
   */
  onError?: ((error: unknown) => void) | undefined;
}

/** Options for `JsonRpc.request()`. */
export interface RequestOptions {
  /** Rejects the call with the signal's reason, and tells the other side to cancel it. */
  signal?: AbortSignal | undefined;
}
