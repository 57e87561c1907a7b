/** What must compile and what must not: `deno check` decides, nothing here runs. */

import * as z from "zod";
import { Channel, json, structured, text } from "../../channel.ts";
import { type CallContext, JsonRpc } from "../../jsonrpc.ts";

/** Compiles only if both types are the same. */
function same<A, B>(
  ..._: (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2)
    ? []
    : [never]
) {}

const methods = {
  add: (a: number, b: number) => a + b,
  later: async (path: string, { signal }: CallContext) => {
    await Promise.reject(signal.reason);
    return [path];
  },
  maybe: (context?: CallContext) => context === undefined ? "taco" : undefined,
  partly: (_: string, _context: { signal: AbortSignal }) => {},
  greet: (name: string, greeting = "hello") => `${greeting} ${name}`,
  sum: (...numbers: number[]) => numbers.length,
  record: (record: Record<string, unknown>) => record,
  anything: (value: unknown) => value,
  // deno-lint-ignore no-explicit-any -- as in the code of others
  any: (value: any) => value,
  notCallable: 7,
  then: () => 1,
  [Symbol.iterator]: () => 1,
};

interface Kitchen {
  add(a: number, b: number): number;
  cook(dish: string, context: CallContext): Promise<Date | undefined>;
  readonly name: string;
}

/** Never called: only checked. */
export async function remoteIsTyped(channel: Channel<unknown>) {
  const { remote } = new JsonRpc<typeof methods>(channel);
  same<typeof remote.add, (a: number, b: number) => Promise<number>>();
  same<typeof remote.later, (path: string) => Promise<string[]>>();
  same<typeof remote.maybe, () => Promise<"taco" | null>>();
  same<typeof remote.partly, (_: string) => Promise<void>>();
  same<
    typeof remote.greet,
    (name: string, greeting: string) => Promise<string>
  >();
  same<typeof remote.sum, (...numbers: number[]) => Promise<number>>();
  same<
    typeof remote.record,
    (record: Record<string, unknown>) => Promise<Record<string, unknown>>
  >();
  same<typeof remote.anything, (value: unknown) => Promise<unknown>>();
  // deno-lint-ignore no-explicit-any -- as above
  same<typeof remote.any, (value: any) => Promise<any>>();
  same<
    keyof typeof remote,
    | "add"
    | "later"
    | "maybe"
    | "partly"
    | "greet"
    | "sum"
    | "record"
    | "anything"
    | "any"
  >();
  // @ts-expect-error: a number is missing
  await remote.add(1);
  // @ts-expect-error: a string is not a number
  await remote.add(1, "2");
  // @ts-expect-error: a caller has no context to pass
  await remote.later("a", { signal: AbortSignal.abort() });
  // @ts-expect-error: there is no such method
  await remote.constructor_();

  const kitchen = new JsonRpc<Kitchen>(channel).remote;
  same<typeof kitchen.add, (a: number, b: number) => Promise<number>>();
  same<typeof kitchen.cook, (dish: string) => Promise<Date | null>>();
  same<keyof typeof kitchen, "add" | "cook">();

  const untyped = new JsonRpc(channel);
  same<ReturnType<typeof untyped.request>, Promise<unknown>>();
  const listed = untyped.request<{ tools: string[] }>("tools/list", {});
  same<typeof listed, Promise<{ tools: string[] }>>();
  const result = await untyped.remote.anything?.(1, "a");
  same<typeof result, unknown>();
}

/** Never called: only checked. */
export function channelSendsAnyMessage(conn: Deno.Conn) {
  new JsonRpc(new Channel(conn, { serialization: json() }));
  new JsonRpc(new Channel(conn, { serialization: structured() }));
  const schemas = { receive: z.looseObject({}), send: z.unknown() };
  new JsonRpc(new Channel(conn, { serialization: json(schemas) }));
  // @ts-expect-error: it sends strings
  new JsonRpc(new Channel(conn, { serialization: text() }));
  const bytes = new Channel(conn);
  // @ts-expect-error: it sends bytes
  new JsonRpc(bytes);
  // @ts-expect-error: it sends orders
  new JsonRpc(new Channel(conn, { serialization: json<{ id: number }>() }));
}

/** Never called: only checked. */
export function optionalPropertiesTakeUndefined(channel: Channel<unknown>) {
  const rpc = new JsonRpc(channel, {
    methods: undefined,
    maxConcurrentRequests: undefined,
    cancelMethod: undefined,
    onError: undefined,
  });
  return rpc.request("a", undefined, { signal: undefined });
}
