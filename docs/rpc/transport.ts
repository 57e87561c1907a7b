import type { Channel } from "@socketpair/socketpair";
import type { RpcTransport } from "capnweb";

/** Carry the messages of Cap'n Web over a channel of text. */
export function transportOf(channel: Channel<string>): RpcTransport {
  return {
    send: (message) => channel.send(message),
    async receive() {
      const message = await channel.receive();
      if (message === null) throw new Error("The peer sends no more");
      return message;
    },
    abort: () => void channel.close(),
  };
}
