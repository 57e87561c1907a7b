import { assertEquals } from "@std/assert";
import { Channel, json, text } from "../../channel.ts";
import { JsonRpc, type JsonRpcOptions } from "../../jsonrpc.ts";
import { transformStreams } from "../channel/stream_pairs.ts";

/** Two that are connected, in memory. */
export function connected<Left, Right>(
  left: Left & object,
  right: Right & object,
  leftOptions: JsonRpcOptions = {},
  rightOptions: JsonRpcOptions = leftOptions,
): [JsonRpc<Right>, JsonRpc<Left>] {
  const [a, b] = transformStreams();
  const serialization = json();
  return [
    new JsonRpc<Right>(new Channel(a, { serialization }), {
      methods: left,
      ...leftOptions,
    }),
    new JsonRpc<Left>(new Channel(b, { serialization }), {
      methods: right,
      ...rightOptions,
    }),
  ];
}

/** A peer that writes what it likes, line by line, and what it talks to. */
export class RawPeer implements AsyncDisposable {
  readonly errors: unknown[] = [];
  readonly channel: Channel<string>;
  readonly rpc: JsonRpc;

  constructor(methods: object = {}, options: JsonRpcOptions = {}) {
    const [a, b] = transformStreams();
    this.channel = new Channel(a, { serialization: text() });
    this.rpc = new JsonRpc(new Channel(b, { serialization: json() }), {
      methods,
      onError: (error) => this.errors.push(error),
      ...options,
    });
  }

  async send(message: unknown) {
    await this.channel.send(
      typeof message === "string" ? message : JSON.stringify(message),
    );
  }

  async receive(): Promise<unknown> {
    const message = await this.channel.receive();
    return message === null ? "the end" : JSON.parse(message);
  }

  /** Send a message, and expect an answer; then that nothing else was answered. */
  async assertAnswer(message: unknown, answer: unknown) {
    await this.send(message);
    if (answer !== undefined) assertEquals(await this.receive(), answer);
    await this.send({ jsonrpc: "2.0", id: "last", method: "nothing" });
    const last = await this.receive();
    assertEquals(last, errorOf("last", -32601, "There is no method nothing"));
  }

  async [Symbol.asyncDispose]() {
    await this.channel.closeWrite();
    await this.rpc.closed;
    await this.channel.close();
  }
}

export function errorOf(id: unknown, code: number, message: string) {
  return { jsonrpc: "2.0", id, error: { code, message } };
}

export function resultOf(id: unknown, result: unknown) {
  return { jsonrpc: "2.0", id, result };
}
