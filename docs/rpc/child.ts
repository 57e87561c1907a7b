import { connectToParent, text } from "@socketpair/socketpair";
import { RpcSession, RpcTarget } from "capnweb";
import { transportOf } from "./transport.ts";

export class Kitchen extends RpcTarget {
  reverse(word: string): string {
    return [...word].reverse().join("");
  }

  async cook(dishes: string[], onReady: (dish: string) => void) {
    for (const dish of dishes) await onReady(dish);
  }

  numbers(): ReadableStream<number> {
    return ReadableStream.from([1, 2, 3]);
  }
}

const parent = await connectToParent({ serialization: text() });
new RpcSession(transportOf(parent), new Kitchen());
