import type { Channel } from "../../channel.ts";

/** A message of JSON-RPC: a request, a notification (without `id`) or an answer (without `method`). */
export interface Message {
  jsonrpc: "2.0";
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

/** The side of JSON-RPC that calls: one call at a time. */
export class Caller {
  readonly #channel: Channel<Message>;
  #id = 0;
  /** The notifications that have come and were not waited for, by method. */
  readonly #notifications: Message[] = [];

  constructor(channel: Channel<Message>) {
    this.#channel = channel;
  }

  async notify(method: string, params?: unknown) {
    await this.#channel.send({ jsonrpc: "2.0", method, params });
  }

  async call(method: string, params?: unknown): Promise<unknown> {
    const id = ++this.#id;
    await this.#channel.send({ jsonrpc: "2.0", id, method, params });
    for (;;) {
      const message = await this.#receive();
      if (message.method !== undefined) continue;
      if (message.error) throw new Error(message.error.message);
      if (message.id === id) return message.result;
    }
  }

  /** Wait for a notification that says what is wanted, and return its parameters. */
  async notified<T>(
    method: string,
    isWanted: (params: unknown) => params is T,
  ): Promise<T> {
    for (;;) {
      const next = this.#notifications.shift() ?? await this.#receive();
      if (next.method === method && isWanted(next.params)) return next.params;
    }
  }

  /** Receive the next message; what the peer asks is answered by `null`. */
  async #receive(): Promise<Message> {
    const message = await this.#channel.receive();
    if (message === null) throw new Error("The peer has closed");
    const { id, method } = message;
    if (method !== undefined && id !== undefined) {
      await this.#channel.send({ jsonrpc: "2.0", id, result: null });
    } else if (method !== undefined) {
      this.#notifications.push(message);
    }
    return message;
  }
}
