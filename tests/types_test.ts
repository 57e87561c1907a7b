/** What must compile and what must not: `deno check` decides, nothing here runs. */

import {
  type AnySerialization,
  bytes,
  Channel,
  type ChannelOptions,
  type Child,
  connectToParent,
  json,
  type Received,
  type Sent,
  type Serialization,
  spawn,
  spawnModule,
  type SpawnModuleOptions,
  type SpawnOptions,
  structured,
  text,
} from "../mod.ts";
import {
  connectDescriptorsToParent,
  spawnWithDescriptors,
} from "../descriptors.ts";

interface Order {
  id: number;
}

type Receipt = [done: boolean];

type Bytes = Uint8Array<ArrayBuffer>;

/** Compiles only if both types are the same. */
function same<A, B>(
  ..._: (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2)
    ? []
    : [never]
) {}

/** Never called: only checked. */
export async function withoutSerializationAreBytes(conn: Deno.Conn) {
  const child = await spawn("x", { args: ["y"] });
  same<Awaited<ReturnType<typeof child.channel.receive>>, Bytes | null>();
  same<typeof child, Child<Bytes, Uint8Array>>();
  const channel = new Channel(conn);
  const message = await channel.receive();
  if (message === null) return;
  new Blob([message]);
  new Response(message);
  await crypto.subtle.digest("SHA-256", message);
  new CompressionStream("gzip").writable.getWriter().write(message);
  const anyBuffer: Uint8Array = message;
  await channel.send(anyBuffer);
  await child.channel.send(anyBuffer);
  const parent: Channel = await connectToParent();
  parent.abort();

  // @ts-expect-error: a type is claimed and no serialization is there
  await spawn<string>("x");
  // @ts-expect-error: the same
  await spawn<string>("x", {});
  // @ts-expect-error: the same
  await spawn<string, string>("x", { args: [] });
  // @ts-expect-error: the same
  await spawnModule<Order>("x");
  // @ts-expect-error: the same
  await connectToParent<Order>();
  // @ts-expect-error: the same
  await spawnWithDescriptors<Order>("x");
  // @ts-expect-error: the same
  await connectDescriptorsToParent<Order>();
  // @ts-expect-error: the same
  new Channel<string>(conn);
  // @ts-expect-error: bytes are sent
  await channel.send("taco cat");
}

/** Never called: only checked. */
export async function serializationTellsBothTypes(conn: Deno.Conn) {
  const texts = new Channel(conn, { serialization: text() });
  same<typeof texts, Channel<string, string>>();

  const shop = await spawn("x", { serialization: json<Receipt, Order>() });
  same<typeof shop, Child<Receipt, Order>>();
  await shop.channel.send({ id: 1 });
  const receipt = await shop.channel.receive();
  same<typeof receipt, Receipt | null>();
  for await (const each of shop.channel) same<typeof each, Receipt>();
  same<typeof shop.channel.readable, ReadableStream<Receipt>>();
  same<typeof shop.channel.writable, WritableStream<Order>>();
  // @ts-expect-error: an Order is sent, not a Receipt
  await shop.channel.send([true]);

  const module = await spawnModule("x", { serialization: json<Order>() });
  same<typeof module, Child<Order, Order>>();
  const parent = await connectToParent({
    serialization: structured<Order, Receipt>(),
  });
  same<typeof parent, Channel<Order, Receipt>>();
  const both = await spawnWithDescriptors("x", { serialization: text() });
  same<typeof both.child, Child<string, string>>();
  const up = await connectDescriptorsToParent({ serialization: text() });
  same<typeof up.channel, Channel<string, string>>();

  const lending = new Channel(conn, {
    serialization: bytes({ borrow: true }),
  });
  same<typeof lending, Channel<Bytes, Uint8Array>>();

  const own: Serialization<Date, number> = {
    borrows: true,
    serialize: (message) => Uint8Array.of(message),
    deserialize: (bytes) => new Date(bytes[0] ?? 0),
  };
  const dates = new Channel(conn, { serialization: own });
  same<typeof dates, Channel<Date, number>>();
}

/** Never called: only checked. */
export function wrapperPassesItsOptionsOn<
  S extends AnySerialization = undefined,
>(
  options?: SpawnModuleOptions<S>,
) {
  const child = spawn("x", { ...options, detached: true });
  same<typeof child, Promise<Child<Received<S>, Sent<S>>>>();
  const module = spawnModule("x", options);
  same<typeof module, Promise<Child<Received<S>, Sent<S>>>>();
  const both = spawnWithDescriptors("x", options);
  same<Awaited<typeof both>["child"], Child<Received<S>, Sent<S>>>();
  const channelOptions: ChannelOptions<S> | undefined = options;
  const parent = connectToParent(channelOptions);
  same<typeof parent, Promise<Channel<Received<S>, Sent<S>>>>();
  const up = connectDescriptorsToParent(channelOptions);
  same<Awaited<typeof up>["channel"], Channel<Received<S>, Sent<S>>>();
}

/** Never called: only checked. */
export function wrapperReturnsTheTypesOfItsSerialization() {
  const texts = wrapperOfSpawn({ serialization: text() });
  same<typeof texts, Promise<Child<string, string>>>();
  const orders = wrapperOfSpawn({ serialization: json<Receipt, Order>() });
  same<typeof orders, Promise<Child<Receipt, Order>>>();
  const unserialized = wrapperOfSpawn();
  same<typeof unserialized, Promise<Child<Bytes, Uint8Array>>>();
}

function wrapperOfSpawn<S extends AnySerialization = undefined>(
  options?: SpawnOptions<S>,
) {
  return spawn("x", options);
}

/** Never called: only checked. */
export function serializationThatMayBeMissing(
  conn: Deno.Conn,
  options: { serialization?: Serialization<string> },
  serialization: Serialization<string> | undefined,
) {
  const child = spawn("x", { serialization });
  same<
    typeof child,
    Promise<Child<string | Bytes, string | Uint8Array>>
  >();
  // @ts-expect-error: messages may be bytes
  const channel: Channel<string> = new Channel(conn, options);
  return channel;
}

/** Never called: only checked. */
export function optionsHaveNames() {
  // @ts-expect-error: no such option
  spawn("x", { agrs: [] });
  // @ts-expect-error: the same
  spawn("x", { agrs: [], serialization: text() });
  const serialization: Serialization<string> | undefined = undefined;
  // @ts-expect-error: the same
  spawn("x", { agrs: [], serialization });
}

/** Never called: only checked. */
export function optionalPropertiesTakeUndefined() {
  return spawnModule("x", {
    args: undefined,
    connectTimeout: undefined,
    cwd: undefined,
    denoArgs: undefined,
    framing: undefined,
    maxFrameLength: undefined,
    permissions: undefined,
    signal: undefined,
    stdin: undefined,
    transport: undefined,
    uid: undefined,
  });
}
