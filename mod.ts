/**
 * Start child processes, send them messages, and call their functions. A child is a Deno module
 * in a sandbox, or a program in any language.
 *
 * Run as a program (`deno run -A jsr:@socketpair/socketpair`), this module is a demo; see
 * `--help`.
 *
 * @example The parent
 * ```ts ignore
 * import { spawnModule, text } from "@socketpair/socketpair";
 *
 * const url = import.meta.resolve("./sandbox/child.ts");
 * await using child = await spawnModule(url, { serialization: text() });
 * await child.channel.send("taco cat");
 * console.log(await child.channel.receive()); // TACO CAT
 * ```
 *
 * @example The child, `sandbox/child.ts`, in a folder of its own
 * ```ts ignore
 * import { connectToParent, text } from "@socketpair/socketpair";
 *
 * const parent = await connectToParent({ serialization: text() });
 * for await (const message of parent) await parent.send(message.toUpperCase());
 * ```
 *
 * @module
 */

export {
  contentLength,
  delimiter,
  type DelimiterOptions,
  FrameDecoderStream,
  FrameEncoderStream,
  type FrameHeader,
  FrameSyntaxError,
  FrameTooLargeError,
  type Framing,
  type FramingOptions,
  lengthField,
  type LengthFieldOptions,
  netstring,
  TruncatedFrameError,
  varint,
  type VarintOptions,
} from "./framing.ts";
export {
  type AnySerialization,
  bytes,
  type BytesOptions,
  Channel,
  type ChannelOptions,
  type Connection,
  type DuplexStream,
  InvalidMessageError,
  json,
  type JsonSchemas,
  type Received,
  type Sent,
  type Serialization,
  type StandardSchemaV1,
  structured,
  text,
} from "./channel.ts";
export {
  type Child,
  ConnectError,
  type ConnectOptions,
  connectToParent,
  ExitError,
  socketPair,
  type SocketPairOptions,
  spawn,
  spawnModule,
  type SpawnModuleOptions,
  type SpawnOptions,
} from "./pair.ts";

// The main module may be a bundle that holds this one.
if (import.meta.main && import.meta.url.endsWith("/mod.ts")) {
  // A literal specifier would put demo.ts in the graph of every child.
  await import(import.meta.resolve("./demo.ts"));
}
